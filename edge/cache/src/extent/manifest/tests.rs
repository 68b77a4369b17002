//! What is written reads back, and what was torn, moved or rotted does not.

use proptest::prelude::*;

use super::*;

const DISK: u128 = 3;

fn change(n: u32) -> Change {
    let entry =
        Entry::live(n.wrapping_mul(77), n % 70_000 + 1, n.is_multiple_of(2), n.is_multiple_of(3));
    Change { slot: Slot(n), class: Class::FULL, entry }
}

fn pin(n: u32) -> Pin {
    Pin { object: ObjectId(u128::from(n)), generation: 1, chunks: 0..n }
}

/// A file with `snapshot` changes and pins in its snapshot, then one frame for each of `log`.
fn file(snapshot: u32, log: u32) -> (Vec<u8>, Vec<Item>) {
    let framer = Framer { disk: DISK, generation: 5 };
    let changes: Vec<_> = (0..snapshot).map(change).collect();
    let pins: Vec<_> = (0..snapshot).map(pin).collect();
    let blocks = framer.blocks(PAGE, &changes, &pins);
    let mut file = framer.title(blocks.len() as u64 / PAGE);
    file.extend(blocks);
    let mut items: Vec<_> = changes.into_iter().map(Item::Change).collect();
    items.extend(pins.into_iter().map(Item::Pin));
    for n in 0..log {
        let frames = framer.frames(file.len() as u64, &[change(n)], &[pin(n)]);
        file.extend(frames);
        items.extend([Item::Change(change(n)), Item::Pin(pin(n))]);
    }
    (file, items)
}

fn read(bytes: &[u8]) -> (Option<Loaded>, Vec<Item>) {
    let mut items = Vec::new();
    let loaded = load(bytes, DISK, 1 << 30, |item| items.push(item)).unwrap();
    (loaded, items)
}

#[test]
fn what_is_written_reads_back() {
    for (snapshot, log) in [(0, 0), (1, 0), (0, 3), (340, 1), (341, 2), (2000, 50)] {
        let (bytes, items) = file(snapshot, log);
        let (loaded, found) = read(&bytes);
        let loaded = loaded.unwrap();
        assert!(loaded.whole && loaded.generation == 5, "{loaded:?}");
        assert_eq!((loaded.end, found.len()), (bytes.len() as u64, items.len()));
        assert!(found == items, "{snapshot} {log}");
    }
    let (bytes, _) = file(3, 3);
    assert_eq!(load(&bytes[..], DISK + 1, 1 << 30, |_| ()).unwrap(), None);
}

#[test]
fn a_torn_tail_is_dropped_and_only_that() {
    let (bytes, items) = file(1, 10);
    let whole = read(&bytes[..]).0.unwrap();
    for end in whole.snapshot as usize..bytes.len() {
        let (loaded, found) = read(&bytes[..end]);
        let loaded = loaded.unwrap();
        assert!(loaded.end <= end as u64 && items.starts_with(&found), "{end}");
        assert_eq!(loaded.whole, loaded.end == end as u64, "{end}");
    }
}

#[test]
fn what_was_cut_out_or_moved_does_not_hold() {
    let (bytes, items) = file(1, 10);
    let snapshot = read(&bytes[..]).0.unwrap().snapshot as usize;
    // One frame of a change and one of a pin, 72 bytes together.
    let mut cut = bytes.clone();
    cut.drain(snapshot..snapshot + 72);
    let (loaded, found) = read(&cut);
    assert!(!loaded.unwrap().whole);
    assert_eq!(found, items[..2]);
}

proptest! {
    #[test]
    fn rot_costs_what_it_hits(flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4)) {
        let (mut bytes, items) = file(700, 30);
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        let (_, found) = read(&bytes);
        // In order, with gaps.
        let mut rest = items.iter();
        for item in &found {
            prop_assert!(rest.any(|other| other == item), "{item:?} was never written");
        }
    }

    #[test]
    fn any_bytes_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000), title: bool) {
        let mut file = if title { Framer { disk: DISK, generation: 1 }.title(1) } else { Vec::new() };
        file.extend(bytes);
        let (_, found) = read(&file);
        prop_assert!(found.is_empty());
    }
}
