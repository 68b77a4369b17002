//! Whoever wants little of a chunk on disk reads little of the disk; and gets no byte that does
//! not hold.

use std::{os::unix::fs::FileExt, path::Path, sync::Arc};

use weir_edge_cache::{Cache, CacheConfig, ChunkStore, ExtentConfig, ExtentStore, Tier};

use crate::support::{MIB, NOW, chunk, key};

const KIB: u64 = 1 << 10;
const WHOLE: u32 = 1 << 20;

struct Node {
    cache: Arc<Cache>,
    store: Arc<ExtentStore>,
    folder: tempfile::TempDir,
}

impl Node {
    /// With chunks of 1 MiB on disk, and nothing in RAM.
    async fn with_chunks(count: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(open(folder.path()));
        for index in 0..count {
            let _ = store.offer(key(index), chunk(key(index), WHOLE as usize));
            store.flush().await;
        }
        let config =
            CacheConfig { memory_bytes: 64 * MIB, state: None, metadata_objects_max: 1000 };
        let given: Arc<dyn ChunkStore> = store.clone();
        let cache = Arc::new(Cache::open_at(&config, Some(given), NOW).unwrap());
        Self { cache, store, folder }
    }

    /// Reads a part and checks it. Bytes of the device that this took, and whether the chunk is
    /// in RAM then; `None` for a miss.
    async fn read(&self, index: u32, part: std::ops::Range<u32>) -> Option<(u64, bool)> {
        let before = self.store.stats().device_read_bytes;
        let found = self.cache.disk_part(&key(index), part.clone(), WHOLE).await?;
        let expected = chunk(key(index), WHOLE as usize);
        let within = part.start as usize..part.end as usize;
        assert!(found == expected.data()[within], "wrong bytes: {part:?} of {index}");
        let read = self.store.stats().device_read_bytes - before;
        Some((read, self.cache.has_chunk(&key(index)) == Some(Tier::Ram)))
    }

    /// Flips a bit of a byte of a chunk, on the device.
    fn rot(&self, index: u32, at: u32) {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(self.folder.path().join("data"))
            .unwrap();
        let bytes = std::fs::read(self.folder.path().join("data")).unwrap();
        let whole = chunk(key(index), WHOLE as usize);
        let start = &whole.data()[..64];
        let first = bytes.windows(64).position(|window| window == start).unwrap();
        let place = (first + at as usize) as u64;
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 4], place).unwrap();
        file.sync_all().unwrap();
    }
}

fn open(path: &Path) -> ExtentStore {
    let node = "edge1".to_owned();
    let (size_bytes, buffer_bytes) = (40 * MIB, 16 * MIB);
    let config = ExtentConfig { path: path.into(), size_bytes, buffer_bytes, node, new_disk: 7 };
    ExtentStore::open(config).unwrap()
}

#[tokio::test]
async fn a_small_range_reads_a_small_part_of_the_disk() {
    let node = Node::with_chunks(8).await;
    let parts = [0..100, 500_000..500_100, WHOLE - 100..WHOLE, 65_536..131_072, 0..1];
    for (index, part) in (0..).zip(parts) {
        let (read, ram) = node.read(index, part.clone()).await.unwrap();
        assert!(read <= 128 * KIB && !ram, "{part:?}: {read}");
    }
    // Over the edge of two grains.
    let (read, _) = node.read(5, 65_500..65_600).await.unwrap();
    assert!(read <= 136 * KIB, "{read}");
    let stats = node.store.stats();
    assert_eq!((stats.read_parts, stats.read_hits), (6, 6));
    // More than a quarter is read whole and kept in RAM.
    let (read, ram) = node.read(6, 0..300_000).await.unwrap();
    assert!(read > MIB && ram, "{read}");
    assert_eq!(node.store.stats().read_parts, 6);
    assert_eq!(node.cache.stats().disk.hits, 7);
}

#[tokio::test]
async fn a_chunk_of_which_parts_are_wanted_again_comes_into_ram() {
    let node = Node::with_chunks(2).await;
    assert!(!node.read(0, 0..100).await.unwrap().1);
    assert!(!node.read(1, 0..100).await.unwrap().1);
    let (read, ram) = node.read(0, 900_000..900_100).await.unwrap();
    assert!(read > MIB && ram, "{read}");
    assert!(node.cache.ram_chunk(&key(0)).is_some());
}

/// A part read alone and one read of the whole is the most that any number of readers make.
#[tokio::test]
async fn many_who_want_one_part_make_two_reads() {
    let node = Node::with_chunks(1).await;
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let cache = node.cache.clone();
            tokio::spawn(async move { cache.disk_part(&key(0), 7..107, WHOLE).await })
        })
        .collect();
    for reader in readers {
        let found = reader.await.unwrap().unwrap();
        assert!(found == chunk(key(0), WHOLE as usize).data()[7..107]);
    }
    let read = node.store.stats().device_read_bytes;
    assert!(read < MIB + 128 * KIB, "{read}");
}

#[tokio::test]
async fn rot_in_a_grain_that_is_read_is_a_miss() {
    let node = Node::with_chunks(2).await;
    node.rot(0, 500_000);
    // Whichever byte of the grain is asked for.
    assert_eq!(node.read(0, 520_000..520_001).await, None);
    let stats = node.store.stats();
    assert_eq!((stats.checksum_failures, stats.read_misses), (1, 1));
    assert_eq!(node.cache.has_chunk(&key(0)), None, "the whole chunk is given up");
    // Of another grain it is not seen, and what is given holds; the whole one is refused.
    node.rot(1, 500_000);
    assert!(node.read(1, 100..200).await.is_some());
    assert_eq!(node.read(1, 100..200).await, None);
    assert_eq!(node.store.stats().checksum_failures, 2);
    assert_eq!(node.cache.stats().disk.misses, 2);
}

/// Reader and store may disagree over what is there: that is a miss, and no byte of it leaves.
#[tokio::test]
async fn a_part_that_is_not_there_is_a_miss() {
    let node = Node::with_chunks(1).await;
    let _ = node.store.offer(key(1), chunk(key(1), 300_000));
    node.store.flush().await;
    for (index, part, length) in [(0, 5..5, WHOLE), (0, 0..2, 1), (1, 299_990..300_010, WHOLE)] {
        let found = node.cache.disk_part(&key(index), part.clone(), length).await;
        assert_eq!(found, None, "{part:?} of {index}");
    }
    let short = node.cache.disk_part(&key(1), 299_990..300_000, 300_000).await;
    assert!(short.unwrap() == chunk(key(1), 300_000).data()[299_990..]);
}
