//! Slots against a small model, and who stays when room is short.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::extent::geometry::SIZE_MIN;

fn space() -> Space {
    Space::new(Geometry::of(SIZE_MIN).unwrap())
}

fn put(space: &mut Space, fingerprint: u32, length: u32) -> Option<Slot> {
    let slot = space.take(length)?;
    space.publish(slot, fingerprint, length, false);
    Some(slot)
}

#[derive(Debug, Clone)]
enum Step {
    Put(u32, u32),
    Read(u32),
    Remove(u32),
    Pin(u32, bool),
    /// Start again from what the manifest would say, after a snapshot or without.
    Restart(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0_u32..120;
    let length = prop_oneof![Just(1 << 20), 1_u32..=1 << 20, 1_u32..20_000, 1_u32..900];
    prop_oneof![
        8 => (name.clone(), length).prop_map(|(name, length)| Step::Put(name, length)),
        4 => name.clone().prop_map(Step::Read),
        2 => name.clone().prop_map(Step::Remove),
        1 => (name, any::<bool>()).prop_map(|(name, pinned)| Step::Pin(name, pinned)),
        1 => any::<bool>().prop_map(Step::Restart),
    ]
}

fn fingerprint(name: u32) -> u32 {
    name.wrapping_mul(0x9e37_79b9)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn slots_never_overlap_and_nothing_comes_back(steps in prop::collection::vec(step(), 1..400)) {
        let mut space = space();
        let (mut log, mut lengths) = (Vec::new(), HashMap::new());
        let mut pinned = HashMap::new();
        for step in steps {
            match step {
                Step::Put(name, length) => {
                    if put(&mut space, fingerprint(name), length).is_some() {
                        lengths.insert(name, length);
                        pinned.remove(&name);
                    }
                }
                Step::Read(name) => {
                    if let Some((slot, _)) = space.find(fingerprint(name)) {
                        space.touch(slot);
                    }
                }
                Step::Remove(name) => {
                    if let Some((slot, entry)) = space.find(fingerprint(name)) {
                        prop_assert!(space.condemn(slot, entry));
                        prop_assert!(!space.condemn(slot, entry));
                        space.release(slot);
                        lengths.remove(&name);
                        pinned.remove(&name);
                    }
                }
                Step::Pin(name, pin) => {
                    // Less than half, so that there is always something to push out.
                    let few = space.counts().pinned < 14 << 20;
                    if let Some((slot, _)) = space.find(fingerprint(name)) && (few || !pin) {
                        space.set_pinned(slot, pin);
                        pinned.insert(name, pin);
                    }
                }
                Step::Restart(snapshot) => {
                    log.extend(space.changes());
                    if snapshot {
                        let (all, end) = space.walk(0, usize::MAX);
                        prop_assert_eq!(end, None);
                        log = all;
                    }
                    let before = space.counts();
                    space = Space::new(Geometry::of(SIZE_MIN).unwrap());
                    log.iter().for_each(|change| space.replay(*change));
                    space.settle();
                    let after = space.counts();
                    prop_assert_eq!((after.chunks, after.used, after.pinned), (before.chunks, before.used, before.pinned));
                }
            }
            space.check();
            log.extend(space.changes());
            // Every chunk found is as it was put, pinned ones are there, and no two share a byte.
            let mut taken = Vec::new();
            for name in 0..120 {
                let Some((slot, entry)) = space.find(fingerprint(name)) else {
                    prop_assert!(pinned.get(&name) != Some(&true), "{} was pinned", name);
                    continue;
                };
                prop_assert_eq!(Some(&entry.length()), lengths.get(&name));
                let start = space.offset(slot);
                taken.push(start..start + space.class(slot).slot_bytes());
            }
            taken.sort_by_key(|range| range.start);
            prop_assert!(taken.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert!(taken.last().is_none_or(|last| last.end <= space.geometry.data_bytes()));
        }
    }

    #[test]
    fn any_manifest_is_a_space(changes in prop::collection::vec((any::<u32>(), 0_u8..21, any::<u32>(), 1_u32..=1 << 20, any::<bool>(), any::<bool>()), 0..300)) {
        let mut space = space();
        for (slot, class, fingerprint, length, live, narrow) in changes {
            let slot = Slot(if narrow { slot % 40_000 } else { slot });
            let entry = if live { Entry::live(fingerprint, length, false, false) } else { Entry::FREE };
            space.replay(Change { slot, class: Class::from_number(class).unwrap(), entry });
        }
        space.settle();
        space.check();
        for n in 0..100 {
            prop_assert!(put(&mut space, n << 24, 1 << (n % 21)).is_some());
            space.check();
        }
    }
}

#[test]
fn a_scan_leaves_what_is_read_alone() {
    let mut space = space();
    for name in 0..20 {
        put(&mut space, fingerprint(name), 1 << 20);
    }
    for name in 0..10 {
        let (slot, _) = space.find(fingerprint(name)).unwrap();
        space.touch(slot);
    }
    for name in 100..1000 {
        assert!(put(&mut space, fingerprint(name), 1 << 20).is_some());
    }
    let kept = (0..20).filter(|name| space.find(fingerprint(*name)).is_some()).count();
    assert_eq!(kept, 10);
    assert!((0..10).all(|name| space.find(fingerprint(name)).is_some()));
}

#[test]
fn another_mix_of_sizes_gets_its_room() {
    let mut space = space();
    let regions = u64::from(space.geometry.regions);
    let mut name = 0;
    for length in [1 << 20, 3000, 400_000, 1 << 20, 60_000, 1 << 20] {
        for _ in 0..6 * regions * (1 << 20) / u64::from(length.max(15_000)) {
            name += 1;
            assert!(put(&mut space, fingerprint(name), length).is_some());
        }
        space.check();
        let bytes = space.counts().chunks * u64::from(length);
        // Sizes between two classes, and 64 chunks a region for small ones, leave some empty.
        let least = (regions << 20) / if length == 3000 { 7 } else { 2 };
        assert!(bytes >= least, "{length}: {bytes} bytes of {least}: {:?}", space.counts());
    }
}

#[test]
fn sixteen_bytes_a_chunk() {
    // 256 GiB full of chunks of 1 MiB.
    let mut space = Space::new(Geometry::of(256 << 30).unwrap());
    for name in 0..260_000 {
        assert!(put(&mut space, fingerprint(name), 1 << 20).is_some());
        space.changes();
    }
    let counts = space.counts();
    let each = space.memory_bytes() as f64 / counts.chunks as f64;
    assert!(each <= 16.0, "{each} bytes for each of {counts:?}");
}
