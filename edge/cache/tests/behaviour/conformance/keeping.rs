//! Chunks come in and out as they were, until there is no more room.

use std::sync::Arc;

use super::{device_bytes, holds, offer, open, put, try_open};
use crate::support::{MIB, chunk, key};
use tempfile::TempDir;
use tokio::runtime::Builder;
use weir_edge_cache::{Admission, Chunk, ChunkKey, ChunkStore, ObjectId, StoreOpenError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_readable_at_once() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 256 * MIB);
    for index in 0..120 {
        put(&store, key(index), 1 << 20).await;
        assert!(store.contains(&key(index)), "{index}");
        assert!(holds(&store, key(index)).await, "{index}");
    }
    store.flush().await;
    for index in 0..120 {
        assert!(store.contains(&key(index)) && holds(&store, key(index)).await, "{index}");
    }
    assert!(!store.contains(&key(500)) && !holds(&store, key(500)).await);
    let stats = store.stats();
    assert_eq!((stats.read_hits, stats.read_misses, stats.read_bytes), (240, 1, 240 * MIB));
    assert_eq!((stats.lost_chunks, stats.io_errors, stats.checksum_failures), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_never_drops() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 1024 * MIB);
    let chunks: Vec<_> = (0..500).map(|index| (key(index), chunk(key(index), 1 << 20))).collect();
    let mut accepted = Vec::new();
    for (key, chunk) in &chunks {
        match store.offer(*key, chunk.clone()) {
            Admission::Accepted => accepted.push(*key),
            other => assert_eq!(other, Admission::Busy),
        }
    }
    for key in &accepted {
        assert!(holds(&store, *key).await, "{key:?} was accepted");
    }
    store.flush().await;
    for key in &accepted {
        assert!(holds(&store, *key).await, "{key:?} was flushed");
    }
    let stats = store.stats();
    assert_eq!(stats.accepted_chunks, accepted.len() as u64);
    assert_eq!(stats.accepted_chunks + stats.refused_chunks, 500);
    assert_eq!(stats.accepted_bytes + stats.refused_bytes, 500 * MIB);
    assert!(stats.refused_chunks > 0, "a queue of some MiB took a burst of 500 MiB");
    assert!(stats.device_written_bytes >= stats.accepted_bytes);
    // Offered as fast as it takes them, all of them get there.
    for (key, chunk) in &chunks {
        offer(&store, *key, chunk).await;
    }
    store.flush().await;
    for (key, _) in &chunks {
        assert!(holds(&store, *key).await, "{key:?}");
    }
    assert_eq!((store.stats().lost_chunks, store.stats().io_errors), (0, 0));
}

const SIZES: [usize; 16] = [
    1,
    2,
    900,
    4000,
    4095,
    4096,
    5000,
    65_535,
    65_536,
    65_537,
    200_000,
    1 << 19,
    (1 << 19) + 1,
    900_000,
    (1 << 20) - 1,
    1 << 20,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sizes_survive_a_restart() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    for (index, size) in (0..).zip(SIZES) {
        put(&store, key(index), size).await;
    }
    store.close().await;
    drop(store);
    for _ in 0..2 {
        let store = open(directory.path(), 64 * MIB);
        for (index, size) in (0..).zip(SIZES) {
            let found = store.read(&key(index)).await;
            let found = found.unwrap_or_else(|| panic!("{size} bytes lost"));
            assert_eq!(found.data(), chunk(key(index), size).data());
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_what_the_whole_has_there() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    for flushed in [false, true] {
        for (index, size) in (0..).zip(SIZES) {
            let whole = chunk(key(index), size);
            if !flushed {
                offer(&store, key(index), &whole).await;
            }
            let end = size as u32;
            let ends = [0, 1, 2, 65_535, 65_536, 65_537, 131_072, end / 2, end - 1, end];
            for start in ends {
                for end in ends.into_iter().filter(|end| *end as usize <= size) {
                    let part = store.read_part(&key(index), start..end).await;
                    let expected =
                        (start < end).then(|| whole.data().slice(start as usize..end as usize));
                    assert_eq!(part, expected, "{start}..{end} of {size}");
                }
            }
            for range in [0..end + 1, end..end + 1, 0..u32::MAX] {
                assert_eq!(store.read_part(&key(index), range).await, None, "beyond {size}");
            }
        }
        store.flush().await;
    }
    assert_eq!(store.read_part(&key(99), 0..1).await, None);
    assert_eq!(store.stats().checksum_failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_of_a_key_is_read() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    // One key, other bytes each time: as a longer tail of the same generation has.
    let versions: Vec<_> = (0..40).map(|n| chunk(key(1000 + n), 1000 * (n as usize + 1))).collect();
    let is_newest = |found: Option<Chunk>, newest: usize| {
        let found = found.expect("offered");
        let version = versions.iter().position(|version| version.data() == found.data());
        let version = version.expect("one of those that were offered");
        assert_eq!(version, newest);
    };
    for (n, version) in versions.iter().enumerate() {
        offer(&store, key(0), version).await;
        if n % 3 == 0 {
            store.flush().await;
        }
        is_newest(store.read(&key(0)).await, n);
    }
    store.close().await;
    drop(store);
    let store = open(directory.path(), 64 * MIB);
    is_newest(store.read(&key(0)).await, 39);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_stays_away() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    for index in 0..20 {
        put(&store, key(index), 1 << 19).await;
        // In the queue, in flight or on disk: gone at once.
        if index % 2 == 1 {
            store.remove(&key(index));
            assert!(!store.contains(&key(index)) && !holds(&store, key(index)).await);
        }
    }
    store.flush().await;
    store.remove(&key(0));
    store.remove(&key(77));
    let there = |index: u32| index.is_multiple_of(2) && index != 0;
    for index in 0..20 {
        assert_eq!(holds(&store, key(index)).await, there(index), "{index} before the restart");
    }
    store.close().await;
    drop(store);
    let store = open(directory.path(), 64 * MIB);
    for index in 0..20 {
        assert_eq!(holds(&store, key(index)).await, there(index), "{index} after the restart");
    }
    // Its place can be taken again, by the same key.
    put(&store, key(1), 1 << 19).await;
    store.flush().await;
    assert!(holds(&store, key(1)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_on_the_device_than_configured() {
    for size in [32 * MIB, 50 * MIB + 1] {
        let directory = TempDir::new().unwrap();
        let store = open(directory.path(), size);
        let mut index = 0;
        for length in [1 << 20, 700_000, 3000, 1 << 20, 60_000] {
            for _ in 0..(3 * size as usize / length).min(1500) {
                put(&store, key(index), length).await;
                index += 1;
            }
            store.flush().await;
            assert!(holds(&store, key(index - 1)).await, "the last of {length}");
            let used = device_bytes(directory.path());
            // A marker and the like beside; those are of a page each.
            assert!(used <= size + 3 * 4096, "{used} bytes on the device of {size}");
        }
        let stats = store.stats();
        assert_eq!((stats.lost_chunks, stats.io_errors), (0, 0));
        assert!(!holds(&store, key(0)).await);
        let mut kept = 0;
        for old in 0..index {
            kept += u64::from(store.contains(&key(old)));
        }
        assert!(stats.chunks.is_none_or(|chunks| chunks == kept), "{stats:?}, {kept} found");
        assert!(stats.used_bytes.is_none_or(|bytes| bytes <= size), "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_is_kept() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    for index in 0..300 {
        put(&store, key(index), 1 << 20).await;
        store.flush().await;
        // The first ten are watched all the time, the others once, as they come.
        for hot in 0..10.min(index) {
            holds(&store, key(hot)).await;
        }
    }
    let mut kept = 0;
    for hot in 0..10 {
        kept += usize::from(holds(&store, key(hot)).await);
    }
    assert_eq!(kept, 10);
}

/// Many tasks on overlapping keys in a store that is far too small, so that slots change
/// hands while they are read: never a wrong byte, and no rot where there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_writing_and_removing_at_once() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 32 * MIB);
    let tasks: Vec<_> = (0..6_u32)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut n = task;
                for step in 0..400 {
                    n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let name = n >> 16 & 63;
                    // The length follows from the key, so that any version is the right one.
                    let length = [1 << 20, 300_000, 5000, 700][name as usize % 4];
                    match step % 5 {
                        0 | 1 => {
                            let _ = store.offer(key(name), chunk(key(name), length));
                        }
                        2 if name.is_multiple_of(7) => store.remove(&key(name)),
                        _ => {
                            holds(&store, key(name)).await;
                        }
                    }
                    if step % 16 == 0 {
                        store.flush().await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.io_errors, stats.lost_chunks), (0, 0), "{stats:?}");
    assert_eq!(stats.checksum_failures, 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_means_closed() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    put(&store, key(0), 1 << 20).await;
    store.close().await;
    assert_eq!(store.offer(key(1), chunk(key(1), 1)), Admission::Unavailable);
    assert!(!store.stats().online && !store.health().online);
    assert!(!holds(&store, key(0)).await && !store.contains(&key(0)));
    // All of it again, and nothing waits for ever.
    store.remove(&key(0));
    store.flush().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    let error = try_open(directory.path(), 64 * MIB, 16 * MIB).unwrap_err();
    assert!(matches!(error, StoreOpenError::InUse { .. }), "{error}");
    store.close().await;
    open(directory.path(), 64 * MIB).close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_that_are_not_ours_are_refused() {
    for name in ["thesis.txt", "data", "foyer-storage-direct-fs-00000000"] {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join(name), "irreplaceable").unwrap();
        let error = try_open(directory.path(), 64 * MIB, 16 * MIB).unwrap_err();
        assert!(matches!(error, StoreOpenError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = try_open(&file, 64 * MIB, 16 * MIB).unwrap_err();
    assert!(matches!(error, StoreOpenError::Io { .. }), "{error}");
    for (size, buffer) in [(31 * MIB, 16 * MIB), (64 * MIB, MIB)] {
        let error = try_open(directory.path(), size, buffer).unwrap_err();
        assert!(matches!(error, StoreOpenError::TooSmall { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_runtime_will_do() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    let read = |store: Arc<dyn ChunkStore>| {
        let worker = Builder::new_current_thread().build().unwrap();
        worker.block_on(async {
            let key = ChunkKey { object: ObjectId(1), generation: 1, index: 0 };
            put(&store, key, 1 << 20).await;
            store.flush().await;
            assert!(holds(&store, key).await);
        });
    };
    let reading = store.clone();
    std::thread::spawn(move || read(reading)).join().unwrap();
    store.close().await;
}
