//! Bytes on the device that are not what was written: a miss, counted, and never served.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use super::{data_files, holds, open, put, try_open};
use crate::support::{MIB, key};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use weir_edge_cache::{ChunkKey, ChunkStore, StoreStats, Verdict};

fn writable(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn flip(file: &File, place: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotten_bytes_are_a_miss_and_counted() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    for index in 0..17 {
        put(&store, key(index), 1 << 20).await;
    }
    store.flush().await;
    // Under the running store: a byte in the middle of every half MiB.
    for path in data_files(directory.path()) {
        let file = writable(&path);
        for place in (300_000..file.metadata().unwrap().len()).step_by(1 << 19) {
            flip(&file, place);
        }
        file.sync_all().unwrap();
    }
    assert_eq!(store.verify(&key(16)).await, Verdict::Rotten);
    for index in 0..16 {
        assert!(!holds(&store, key(index)).await, "{index} should be rotten");
        assert!(!store.contains(&key(index)), "{index} should be removed");
        assert!(!holds(&store, key(index)).await, "{index} should be gone");
    }
    assert_eq!(store.verify(&key(16)).await, Verdict::Absent);
    let stats = store.stats();
    assert_eq!((stats.checksum_failures, stats.read_hits, stats.io_errors), (17, 0, 0));
    assert!(stats.read_misses >= 32, "{stats:?}");
    // Rot is not a failing device.
    assert!(store.health().online && store.health().errors == 0);
    put(&store, key(0), 1 << 20).await;
    store.flush().await;
    assert!(holds(&store, key(0)).await, "its place can be taken again");
}

/// Every step of a scrub: chunks read back, and the keys of what did not hold.
async fn scrubbed(store: &Arc<dyn ChunkStore>, bytes: u64) -> (u64, Vec<Option<ChunkKey>>) {
    let (mut cursor, mut chunks, mut damaged) = (0, 0, Vec::new());
    loop {
        let step = store.scrub(cursor, bytes).await.unwrap();
        assert!(step.bytes < bytes + 2 * MIB, "{step:?}");
        chunks += step.chunks;
        damaged.extend(step.damaged);
        let Some(next) = step.next else { return (chunks, damaged) };
        assert!(next > cursor || step.chunks == 0, "it goes on");
        cursor = next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrub_finds_all_rot_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    // Whole chunks and small ones, which share regions.
    for index in 0..40_u32 {
        let length = if index.is_multiple_of(4) { 30_000 + index as usize } else { 1 << 20 };
        put(&store, key(index), length).await;
    }
    store.flush().await;
    assert_eq!(scrubbed(&store, 3 * MIB).await, (40, vec![]));
    assert_eq!(scrubbed(&store, 1).await, (40, vec![]), "a step looks at one at least");
    assert_eq!(store.scrub(u64::MAX, MIB).await.unwrap().next, None, "no cursor of ours");
    let file = writable(&data_files(directory.path())[0]);
    // Middles of chunks, and the head of the first one, which hides whose it was.
    let length = file.metadata().unwrap().len();
    let places = (500_000 + (7 << 20)..length).step_by(7 << 20);
    places.chain([20]).for_each(|place| flip(&file, place));
    file.sync_all().unwrap();
    let (chunks, damaged) = scrubbed(&store, 5 * MIB).await;
    assert_eq!(chunks, 40);
    assert!((3..=10).contains(&damaged.len()) && damaged.contains(&None), "{damaged:?}");
    for key in damaged.iter().flatten() {
        assert!(!store.contains(key), "{key:?} should be dropped");
    }
    let stats = store.stats();
    assert_eq!((stats.checksum_failures, stats.io_errors), (damaged.len() as u64, 0));
    store.flush().await;
    let left = 40 - damaged.len() as u64;
    assert_eq!(scrubbed(&store, 5 * MIB).await, (left, vec![]), "what is left holds");
    let mut held = 0;
    for index in 0..40_u32 {
        held += u64::from(holds(&store, key(index)).await);
    }
    assert_eq!((held, store.stats().checksum_failures), (left, damaged.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rot_in_another_part_is_not_read() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    put(&store, key(0), 1 << 20).await;
    store.flush().await;
    // In the last grain but one, wherever the head lies.
    let files = data_files(directory.path());
    flip(&writable(&files[0]), (1 << 20) - 80_000);
    writable(&files[0]).sync_all().unwrap();
    assert!(store.read_part(&key(0), 0..700_000).await.is_some());
    assert_eq!(store.read_part(&key(0), 0..1 << 20).await, None);
    assert_eq!(store.stats().checksum_failures, 1);
    assert_eq!(store.read_part(&key(0), 0..10).await, None, "dropped, once it was found");
}

/// Ruins the files of a closed store and looks what comes back.
async fn check_ruined(ruin: impl Fn(usize, &File)) -> StoreStats {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    for index in 0..40 {
        put(&store, key(index), 1 << 20).await;
    }
    store.close().await;
    drop(store);
    for (number, path) in data_files(directory.path()).iter().enumerate() {
        ruin(number, &writable(path));
    }
    let store = open(directory.path(), 64 * MIB);
    // `holds` fails on wrong bytes.
    for index in 0..40 {
        holds(&store, key(index)).await;
    }
    let stats = store.stats();
    put(&store, key(50), 1 << 20).await;
    store.flush().await;
    assert!(holds(&store, key(50)).await, "a ruined store takes new chunks");
    stats
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_files_lose_chunks_and_nothing_else() {
    let stats = check_ruined(|number, file| {
        let length = file.metadata().unwrap().len();
        file.set_len(length * (number as u64 + 3) / 20).unwrap();
    })
    .await;
    assert!(stats.read_hits < 40 && stats.read_hits + stats.read_misses == 40, "{stats:?}");
    assert_eq!(stats.io_errors, 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_bytes_are_never_taken_for_others() {
    // The first chunk's bytes over the second's place and the other way round, with their
    // heads and without.
    for from in [0, 4096] {
        let stats = check_ruined(|_, file| {
            let (mut one, mut two) = (vec![0; 1 << 20], vec![0; 1 << 20]);
            let second = from + (1 << 20) + 4096;
            file.read_exact_at(&mut one, from).unwrap();
            file.read_exact_at(&mut two, second).unwrap();
            file.write_all_at(&two, from).unwrap();
            file.write_all_at(&one, second).unwrap();
        })
        .await;
        assert!(stats.read_hits < 40, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_an_empty_store() {
    let stats = check_ruined(|_, file| {
        let garbage: Vec<u8> =
            (0..file.metadata().unwrap().len()).map(|n| (n % 251) as u8).collect();
        file.write_all_at(&garbage, 0).unwrap();
    })
    .await;
    assert_eq!(stats.read_hits, 0);
}

/// One thing that may happen to a file.
#[derive(Debug, Clone)]
enum Ruin {
    Flip(u64, u8),
    Cut(u64),
    Zero(u64, u64),
    Copy(u64, u64, u64),
    Noise(u64, Vec<u8>),
    Remove,
}

fn ruin() -> impl Strategy<Value = (prop::sample::Index, Ruin)> {
    let at = || prop_oneof![0_u64..200, 0_u64..1 << 17, any::<u64>()];
    let length = || prop_oneof![1_u64..100, 1_u64..1 << 20];
    let ruin = prop_oneof![
        6 => (at(), 1_u8..).prop_map(|(at, bits)| Ruin::Flip(at, bits)),
        2 => at().prop_map(Ruin::Cut),
        2 => (at(), length()).prop_map(|(at, length)| Ruin::Zero(at, length)),
        2 => (at(), at(), length()).prop_map(|(from, to, length)| Ruin::Copy(from, to, length)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..5000)).prop_map(|(at, bytes)| Ruin::Noise(at, bytes)),
        1 => Just(Ruin::Remove),
    ];
    (any::<prop::sample::Index>(), ruin)
}

fn apply(path: &Path, ruin: &Ruin) {
    let file = writable(path);
    let length = file.metadata().unwrap().len();
    if length == 0 {
        return;
    }
    let clip = |at: u64, bytes: u64| (at % length, bytes.min(length - at % length) as usize);
    match ruin {
        Ruin::Flip(at, bits) => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at % length).unwrap();
            file.write_all_at(&[byte[0] ^ bits], at % length).unwrap();
        }
        Ruin::Cut(at) => file.set_len(at % length).unwrap(),
        Ruin::Zero(at, bytes) => {
            let (at, bytes) = clip(*at, *bytes);
            file.write_all_at(&vec![0; bytes], at).unwrap();
        }
        Ruin::Copy(from, to, bytes) => {
            let (from, bytes) = clip(*from, *bytes);
            let (to, bytes) = clip(*to, bytes as u64);
            let mut part = vec![0; bytes];
            file.read_exact_at(&mut part, from).unwrap_or_default();
            file.write_all_at(&part, to).unwrap();
        }
        Ruin::Noise(at, bytes) => file.write_all_at(bytes, at % length).unwrap(),
        Ruin::Remove => fs::remove_file(path).unwrap(),
    }
}

const LENGTHS: [usize; 5] = [1 << 20, 700, 70_000, 400_000, 5000];

async fn fill(store: &Arc<dyn ChunkStore>, from: u32) {
    for index in from..from + 60 {
        put(store, key(index), LENGTHS[index as usize % 5]).await;
    }
    store.flush().await;
}

/// Any bytes as a disk: a clear error or a store that serves nothing but what was written.
async fn check_any(ruins: &[(prop::sample::Index, Ruin)]) {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 40 * MIB);
    fill(&store, 0).await;
    store.close().await;
    let store = open(directory.path(), 40 * MIB);
    // So that there is a log behind the snapshot, and no order at the end.
    fill(&store, 60).await;
    store.remove(&key(61));
    store.pin(&key(0).object, key(0).generation, 70..80);
    store.flush().await;
    let image = TempDir::new().unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, image.path().join(path.file_name().unwrap())).unwrap();
    }
    for (which, ruin) in ruins {
        let mut files: Vec<_> =
            fs::read_dir(image.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        if let Some(path) = (!files.is_empty()).then(|| which.get(&files)) {
            apply(path, ruin);
        }
    }
    let Ok(store) = try_open(image.path(), 40 * MIB, 16 * MIB) else { return };
    for index in 0..120 {
        holds(&store, key(index)).await;
        store.read_part(&key(index), 0..100).await;
        store.verify(&key(index)).await;
    }
    assert!(!holds(&store, key(61)).await, "what was removed came back");
    store.list(0, 1000).await;
    fill(&store, 200).await;
    assert!(holds(&store, key(259)).await, "a ruined store takes new chunks");
    assert!(store.health().online, "{:?}", store.health());
    store.close().await;
}

#[test]
fn any_bytes_as_a_disk_image() {
    let runtime = Runtime::new().unwrap();
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    proptest!(config, |(ruins in prop::collection::vec(ruin(), 1..12))| {
        runtime.block_on(check_any(&ruins));
    });
}
