//! The foyer store on a real directory: nothing lost in silence, nothing wrong returned.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::support::{MIB, chunk, holds, key, offer, open};
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};
use weir_edge_cache::{Admission, ChunkStore, FoyerConfig, FoyerStore, StoreOpenError, StoreStats};

fn block_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("foyer-"))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_kept_or_refused_and_never_dropped() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 1024 * MIB).await;
    let chunks: Vec<_> = (0..500).map(|index| (key(index), chunk(key(index), 1 << 20))).collect();
    let mut accepted = Vec::new();
    for (key, chunk) in &chunks {
        if store.offer(*key, chunk.clone()) == Admission::Accepted {
            accepted.push(*key);
        }
    }
    let readable = |key| {
        let store = store.clone();
        async move { holds(&store, key).await }
    };
    // From the queue or the disk, at once.
    for key in &accepted {
        assert!(readable(*key).await, "{key:?} was accepted");
    }
    store.flush().await;
    for key in &accepted {
        assert!(store.contains(key) && readable(*key).await, "{key:?} was flushed");
    }
    let stats = store.stats();
    assert_eq!(stats.accepted_chunks, accepted.len() as u64);
    assert_eq!(stats.accepted_chunks + stats.refused_chunks, 500);
    assert_eq!(stats.accepted_bytes + stats.refused_bytes, 500 * MIB);
    assert_eq!((stats.lost_chunks, stats.io_errors, stats.checksum_failures), (0, 0, 0));
    assert!(stats.refused_chunks > 0, "a 4 MiB queue took a burst of 500 MiB");
    assert!(stats.device_written_bytes >= stats.accepted_bytes);

    // Offered as fast as it takes them, all of them get there.
    for (key, chunk) in &chunks {
        offer(&store, *key, chunk).await;
    }
    store.flush().await;
    for (key, _) in &chunks {
        assert!(readable(*key).await, "{key:?}");
    }
    assert_eq!(store.stats().lost_chunks, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sizes_survive_a_restart() {
    let directory = TempDir::new().unwrap();
    let sizes = [1, 2, 4095, 4096, 65_535, 65_536, 65_537, 1 << 19, (1 << 20) - 1, 1 << 20];
    let store = open(directory.path(), 64 * MIB).await;
    for (index, size) in (0..).zip(sizes) {
        offer(&store, key(index), &chunk(key(index), size)).await;
    }
    store.close().await;
    assert_eq!(store.offer(key(99), chunk(key(99), 1)), Admission::Unavailable);
    drop(store);
    let store = open(directory.path(), 64 * MIB).await;
    for (index, size) in (0..).zip(sizes) {
        let found = store.read(&key(index)).await.unwrap_or_else(|| panic!("{size} bytes lost"));
        assert_eq!(found.data(), chunk(key(index), size).data());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_stays_away() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB).await;
    for index in 0..20 {
        offer(&store, key(index), &chunk(key(index), 1 << 19)).await;
        // In the queue, in flight or on disk: gone at once.
        if index % 2 == 1 {
            store.remove(&key(index));
            assert!(!holds(&store, key(index)).await && !store.contains(&key(index)));
        }
    }
    store.flush().await;
    store.remove(&key(0));
    for index in 0..20 {
        let there = index % 2 == 0 && index != 0;
        assert_eq!(holds(&store, key(index)).await, there, "{index} before the restart");
    }
    store.close().await;
    drop(store);
    let store = open(directory.path(), 64 * MIB).await;
    for index in 0..20 {
        let there = index % 2 == 0 && index != 0;
        assert_eq!(holds(&store, key(index)).await, there, "{index} after the restart");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_fits_pushes_out_the_oldest() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 32 * MIB).await;
    for index in 0..100 {
        offer(&store, key(index), &chunk(key(index), 1 << 20)).await;
    }
    store.flush().await;
    let mut there = Vec::new();
    for index in 0..100 {
        if holds(&store, key(index)).await {
            there.push(index);
        }
    }
    assert!((10..=32).contains(&there.len()), "{there:?}");
    assert!(there.contains(&99) && !there.contains(&0), "{there:?}");
    assert_eq!(store.stats().lost_chunks, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotten_bytes_are_a_miss_and_counted() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB).await;
    for index in 0..16 {
        offer(&store, key(index), &chunk(key(index), 1 << 20)).await;
    }
    store.flush().await;
    // Flip a byte in the middle of every half MiB, under the running store.
    for path in block_files(directory.path()).into_iter().skip(1) {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        for place in (300_000..file.metadata().unwrap().len()).step_by(1 << 19) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, place).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
        }
        file.sync_all().unwrap();
    }
    for index in 0..16 {
        assert!(!holds(&store, key(index)).await, "{index} should be rotten");
        assert!(!store.contains(&key(index)), "{index} should be removed");
    }
    let stats = store.stats();
    assert_eq!((stats.checksum_failures, stats.read_misses), (16, 16));
    // Its place can be taken again.
    offer(&store, key(0), &chunk(key(0), 1 << 20)).await;
    store.flush().await;
    assert!(holds(&store, key(0)).await);
}

/// Ruins the files of a closed store and looks what comes back.
async fn check_ruined(ruin: impl Fn(usize, &File)) -> StoreStats {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB).await;
    for index in 0..40 {
        offer(&store, key(index), &chunk(key(index), 1 << 20)).await;
    }
    store.close().await;
    drop(store);
    for (number, path) in block_files(directory.path()).iter().enumerate() {
        ruin(number, &OpenOptions::new().read(true).write(true).open(path).unwrap());
    }
    let store = open(directory.path(), 64 * MIB).await;
    // `holds` fails on wrong bytes.
    for index in 0..40 {
        holds(&store, key(index)).await;
    }
    let stats = store.stats();
    offer(&store, key(50), &chunk(key(50), 1 << 20)).await;
    store.flush().await;
    assert!(holds(&store, key(50)).await, "a ruined store takes new chunks");
    stats
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_files_lose_chunks_and_nothing_else() {
    let stats = check_ruined(|number, file| {
        let length = file.metadata().unwrap().len();
        file.set_len(length * number as u64 / 20).unwrap();
    })
    .await;
    assert!(stats.read_hits < 40 && stats.read_hits + stats.read_misses == 40, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_pages_are_never_taken_for_others() {
    // The first chunk's bytes over the second's place and the other way round.
    let stats = check_ruined(|number, file| {
        if number == 0 {
            return;
        }
        let (mut one, mut two) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        file.read_exact_at(&mut one, 4096).unwrap();
        file.read_exact_at(&mut two, 4096 + (1 << 20) + 4096).unwrap();
        file.write_all_at(&two, 4096).unwrap();
        file.write_all_at(&one, 4096 + (1 << 20) + 4096).unwrap();
    })
    .await;
    assert!(stats.read_hits < 40, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_files_are_an_empty_store() {
    let stats = check_ruined(|_, file| {
        let garbage: Vec<u8> =
            (0..file.metadata().unwrap().len()).map(|n| (n % 251) as u8).collect();
        file.write_all_at(&garbage, 0).unwrap();
    })
    .await;
    assert_eq!(stats.read_hits, 0);
}

async fn try_open(path: &Path, size_bytes: u64, buffer_bytes: u64) -> Result<(), StoreOpenError> {
    let config = FoyerConfig { path: path.into(), size_bytes, buffer_bytes };
    FoyerStore::open(config, Handle::current()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_that_are_not_ours_are_refused() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("thesis.txt"), "irreplaceable").unwrap();
    let error = try_open(directory.path(), 64 * MIB, 16 * MIB).await.unwrap_err();
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    // Another program's foyer files.
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("foyer-storage-direct-fs-00000000"), "x").unwrap();
    let error = try_open(directory.path(), 64 * MIB, 16 * MIB).await.unwrap_err();
    assert!(matches!(error, StoreOpenError::Foreign { .. }), "{error}");

    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = try_open(&file, 64 * MIB, 16 * MIB).await.unwrap_err();
    assert!(matches!(error, StoreOpenError::Io { .. }), "{error}");
    for (size, buffer) in [(31 * MIB, 16 * MIB), (64 * MIB, MIB)] {
        let error = try_open(directory.path(), size, buffer).await.unwrap_err();
        assert!(matches!(error, StoreOpenError::TooSmall { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB).await;
    let error = try_open(directory.path(), 64 * MIB, 16 * MIB).await.unwrap_err();
    assert!(matches!(error, StoreOpenError::InUse { .. }), "{error}");
    store.close().await;
    try_open(directory.path(), 64 * MIB, 16 * MIB).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_shape_or_a_broken_marker_starts_empty() {
    let directory = TempDir::new().unwrap();
    for (size, marker) in [
        (64, None),
        (128, None),
        (96, None),
        (96, Some("")),
        (96, Some("weir chunk store\nformat = 99\nsize = 1\nblock = 1\n")),
        (96, Some("\u{0}\u{1}")),
    ] {
        if let Some(text) = marker {
            fs::write(directory.path().join("weir-store"), text).unwrap();
        }
        let store = open(directory.path(), size * MIB).await;
        assert!(!holds(&store, key(0)).await, "found something after {size} {marker:?}");
        offer(&store, key(0), &chunk(key(0), 1 << 20)).await;
        store.close().await;
        drop(store);
        let length = |path: &PathBuf| fs::metadata(path).unwrap().len();
        let used: u64 = block_files(directory.path()).iter().map(length).sum();
        assert!(used <= size * MIB, "{used} bytes of files in a store of {size} MiB");
        // The same shape finds it.
        let store = open(directory.path(), size * MIB).await;
        assert!(holds(&store, key(0)).await, "{size} {marker:?}");
        store.close().await;
    }
}

#[test]
fn callers_may_be_on_any_runtime() {
    let directory = TempDir::new().unwrap();
    let shared = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config =
        FoyerConfig { path: directory.path().into(), size_bytes: 64 * MIB, buffer_bytes: 16 * MIB };
    let worker = Builder::new_current_thread().build().unwrap();
    worker.block_on(async {
        let store = FoyerStore::open(config, shared.handle().clone()).await.unwrap();
        offer(&store, key(1), &chunk(key(1), 1 << 20)).await;
        store.flush().await;
        assert!(holds(&store, key(1)).await);
        store.close().await;
    });
}
