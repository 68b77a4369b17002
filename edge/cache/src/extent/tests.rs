//! Devices that fail, and folders of others.

mod faults;

use std::{io::ErrorKind, sync::atomic::AtomicI64};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{media::Way, *};
use crate::chunk::crc32c;

const MIB: u64 = 1 << 20;

/// Files whose calls fail, some of them.
#[derive(Debug)]
struct Failing {
    files: Files,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    /// Calls that still succeed.
    after: AtomicI64,
    /// Calls that fail then.
    fail: AtomicI64,
    /// What they say.
    error: Mutex<Option<i32>>,
    /// Which calls these are; all where none is said.
    only: Mutex<Option<Call>>,
    /// Calls that do not return until this says something else.
    stuck: Mutex<Option<Call>>,
    unstuck: Condvar,
    /// Calls that are stuck now.
    waiting: AtomicU64,
    /// Whether a failing write leaves half of its bytes.
    torn: AtomicU64,
}

/// What a medium is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Forget,
    Log,
    Begin,
    Prepare,
    Commit,
}

impl Faults {
    fn set(&self, after: i64, fail: i64, error: i32) {
        *self.error.lock() = Some(error);
        self.fail.store(fail, Ordering::SeqCst);
        self.after.store(after, Ordering::SeqCst);
    }

    fn stick(&self, call: Option<Call>) {
        *self.stuck.lock() = call;
        self.unstuck.notify_all();
    }

    fn fails(&self, call: Call) -> io::Result<()> {
        {
            let mut stuck = self.stuck.lock();
            if *stuck == Some(call) {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                self.unstuck.wait_while(&mut stuck, |stuck| *stuck == Some(call));
                self.waiting.fetch_sub(1, Ordering::SeqCst);
            }
        }
        if self.only.lock().is_some_and(|only| only != call) {
            return Ok(());
        }
        let Some(error) = *self.error.lock() else { return Ok(()) };
        if self.after.fetch_sub(1, Ordering::SeqCst) > 0
            || self.fail.fetch_sub(1, Ordering::SeqCst) <= 0
        {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(error))
    }
}

impl Media for Failing {
    fn read(&self, at: u64, bytes: usize, way: Way) -> io::Result<Bytes> {
        self.faults.fails(Call::Read)?;
        self.files.read(at, bytes, way)
    }
    fn write(&self, at: u64, parts: &[&[u8]], way: Way) -> io::Result<()> {
        if let Err(error) = self.faults.fails(Call::Write) {
            if self.faults.torn.load(Ordering::SeqCst) > 0 {
                let half = parts[0].len() / 2;
                self.files.write(at, &[&parts[0][..half]], Way::Cached)?;
            }
            return Err(error);
        }
        self.files.write(at, parts, way)
    }
    fn forget(&self, at: u64, bytes: u64) -> io::Result<()> {
        self.faults.fails(Call::Forget)?;
        self.files.forget(at, bytes)
    }
    fn log(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.faults.fails(Call::Log) {
            self.files.log(at, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.files.log(at, bytes)
    }
    fn begin(&self) -> io::Result<()> {
        self.faults.fails(Call::Begin)?;
        self.files.begin()
    }
    fn prepare(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.faults.fails(Call::Prepare)?;
        self.files.prepare(at, bytes)
    }
    fn commit(&self) -> io::Result<()> {
        self.faults.fails(Call::Commit)?;
        self.files.commit()
    }
}

fn config(path: &Path) -> ExtentConfig {
    ExtentConfig {
        path: path.to_owned(),
        size_bytes: 40 * MIB,
        buffer_bytes: 16 * MIB,
        node: "edge1".into(),
        new_disk: 7,
    }
}

fn failing(path: &Path) -> (ExtentStore, Arc<Faults>) {
    let faults = Arc::<Faults>::default();
    let given = faults.clone();
    let store =
        ExtentStore::open_on(config(path), |files| Box::new(Failing { files, faults: given }));
    (store.unwrap(), faults)
}

fn key(index: u32) -> ChunkKey {
    ChunkKey { object: ObjectId(1), generation: 1, index }
}

fn chunk(index: u32) -> Chunk {
    let length = [1 << 20, 3000, 200_000][index as usize % 3];
    Chunk::seal(Bytes::from(vec![index as u8; length]))
}

async fn holds(store: &ExtentStore, index: u32) -> bool {
    let found = store.read(&key(index)).await;
    assert!(found.as_ref().is_none_or(|found| found.data() == chunk(index).data()), "{index}");
    found.is_some()
}

async fn put(store: &ExtentStore, indices: Range<u32>) {
    for index in indices {
        while store.offer(key(index), chunk(index)) == Admission::Busy {
            store.flush().await;
        }
    }
    store.flush().await;
}

#[tokio::test]
async fn a_failed_read_is_a_miss_and_counted() {
    let directory = TempDir::new().unwrap();
    let (store, faults) = failing(directory.path());
    put(&store, 0..6).await;
    faults.set(0, 1, libc::EIO);
    assert!(!holds(&store, 0).await);
    let health = store.health();
    assert_eq!((health.errors, health.online), (1, true));
    assert!(health.last_error.unwrap().contains("read a chunk"));
    // That chunk is gone, the others are there.
    assert!(!store.contains(&key(0)) && holds(&store, 1).await && holds(&store, 2).await);
    assert_eq!((store.stats().io_errors, store.stats().checksum_failures), (1, 0));
    assert_eq!(store.health().errors_in_a_row, 0);
    // What is given up is struck out behind the reader's back, which is a call as well.
    store.flush().await;
    faults.set(0, 1, libc::EIO);
    assert_eq!(store.read_part(&key(1), 0..10).await, None);
    store.flush().await;
    faults.set(1, 1, libc::EIO);
    assert_eq!(store.verify(&key(2)).await, Verdict::Rotten);
    assert!(store.health().online);
}

#[tokio::test]
async fn a_device_that_fails_every_call_goes_offline() {
    for error in [libc::EIO, libc::ENOSPC, libc::EROFS, libc::ENODEV] {
        let directory = TempDir::new().unwrap();
        let (store, faults) = failing(directory.path());
        put(&store, 0..6).await;
        faults.set(0, i64::MAX, error);
        // Nothing waits for ever, whatever is asked of it.
        put(&store, 6..12).await;
        store.remove(&key(5));
        store.pin(&key(0).object, 1, 0..3);
        store.flush().await;
        for index in 0..12 {
            assert!(!holds(&store, index).await);
        }
        let health = store.health();
        assert!(!health.online && health.errors >= 3, "{health:?}");
        assert!(health.last_error.is_some());
        assert_eq!(store.offer(key(20), chunk(20)), Admission::Unavailable);
        assert!(!store.contains(&key(1)));
        assert!(store.stats().lost_chunks > 0);
        store.close().await;
        // The device came back: what it held before is there.
        let store = ExtentStore::open(config(directory.path())).unwrap();
        assert!(holds(&store, 1).await && holds(&store, 2).await);
    }
}

#[tokio::test]
async fn a_failed_write_loses_its_chunk_only() {
    let directory = TempDir::new().unwrap();
    let (store, faults) = failing(directory.path());
    put(&store, 0..6).await;
    faults.torn.store(1, Ordering::SeqCst);
    faults.set(0, 1, libc::ENOSPC);
    put(&store, 6..7).await;
    put(&store, 7..12).await;
    assert!(!holds(&store, 6).await);
    for index in (0..6).chain(7..12) {
        assert!(holds(&store, index).await, "{index}");
    }
    let stats = store.stats();
    assert_eq!((stats.lost_chunks, stats.io_errors, stats.checksum_failures), (1, 1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]
    /// Whatever calls fail, the store serves nothing wrong, and neither does the next one
    /// over the same files; what was removed and flushed without a fault stays away.
    #[test]
    fn any_calls_may_fail(bursts in prop::collection::vec((0_i64..30, 1_i64..4, any::<bool>()), 1..8)) {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let directory = TempDir::new().unwrap();
            let (store, faults) = failing(directory.path());
            let mut next = 0;
            for (after, fail, torn) in bursts {
                faults.torn.store(u64::from(torn), Ordering::SeqCst);
                faults.set(after, fail, libc::EIO);
                put(&store, next..next + 12).await;
                store.remove(&key(next + 1));
                for index in next..next + 12 {
                    holds(&store, index).await;
                }
                store.flush().await;
                assert!(!holds(&store, next + 1).await);
                next += 12;
            }
            faults.set(0, 0, 0);
            let online = store.health().online;
            put(&store, next..next + 3).await;
            assert_eq!(holds(&store, next + 1).await, online);
            store.flush().await;
            store.close().await;
            let store = ExtentStore::open(config(directory.path())).unwrap();
            for index in 0..next + 3 {
                holds(&store, index).await;
            }
            assert_eq!(store.health().errors, 0);
            assert!(!online || holds(&store, next + 1).await);
        });
    }
}

#[test]
fn a_store_of_another_node_or_shape_is_refused() {
    let directory = TempDir::new().unwrap();
    let store = ExtentStore::open(config(directory.path())).unwrap();
    assert_eq!(store.inner.disk, 7);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(put(&store, 0..3));
    runtime.block_on(store.close());
    let other = ExtentConfig { node: "edge2".into(), ..config(directory.path()) };
    let error = ExtentStore::open(other).unwrap_err();
    assert!(matches!(&error, StoreOpenError::OtherNode { found, .. } if found == "edge1"));
    assert!(error.to_string().contains("edge2"), "{error}");
    let path = directory.path().join("weir-extent");
    let text = std::fs::read_to_string(&path).unwrap();
    let (body, _) = text.split_once("crc32c").unwrap();
    for (from, to) in [("version = 1", "version = 2"), ("slot_bits = 10", "slot_bits = 8")] {
        let changed = body.replace(from, to);
        let crc = crc32c(changed.as_bytes());
        std::fs::write(&path, format!("{changed}crc32c = {crc:08x}\n")).unwrap();
        let error = ExtentStore::open(config(directory.path())).unwrap_err();
        assert!(matches!(error, StoreOpenError::OtherShape { .. }), "{error}");
        assert!(error.to_string().contains(to.split_once(" = ").unwrap().1), "{error}");
    }
    // Untouched by all of this.
    std::fs::write(&path, &text).unwrap();
    let store = ExtentStore::open(ExtentConfig { new_disk: 9, ..config(directory.path()) });
    let store = store.unwrap();
    assert_eq!((store.inner.disk, store.stats().index_losses), (7, 0));
    assert!(runtime.block_on(holds(&store, 0)));
    // Without its manifest it has lost what that named.
    runtime.block_on(store.close());
    drop(store);
    std::fs::remove_file(directory.path().join("manifest")).unwrap();
    let store = ExtentStore::open(config(directory.path())).unwrap();
    assert_eq!((store.inner.disk, store.stats().index_losses), (7, 1));
    // Damaged, it is a new store, of which nothing old is believed.
    runtime.block_on(store.close());
    std::fs::write(&path, &text[..40]).unwrap();
    let store = ExtentStore::open(ExtentConfig { new_disk: 9, ..config(directory.path()) });
    let store = store.unwrap();
    assert_eq!(store.inner.disk, 9);
    assert_eq!(store.stats().index_losses, 1, "it is told");
    assert!(!runtime.block_on(holds(&store, 0)));
    let error =
        ExtentStore::open(ExtentConfig { size_bytes: 20 << 40, ..config(directory.path()) });
    assert!(matches!(error.unwrap_err(), StoreOpenError::TooLarge { .. }));
}

#[tokio::test]
async fn another_size_keeps_what_fits() {
    let directory = TempDir::new().unwrap();
    let mut before = 0;
    for (size, written) in [(64 * MIB, 0..120), (100 * MIB, 120..121), (32 * MIB, 121..122)] {
        let config = ExtentConfig { size_bytes: size, ..config(directory.path()) };
        let store = ExtentStore::open(config).unwrap();
        let mut kept = 0;
        for index in 0..before {
            kept += u32::from(holds(&store, index).await);
        }
        let expected = if size == 32 * MIB { 20..before } else { before..before + 1 };
        assert!(expected.contains(&kept), "{kept} of {before} in {size}");
        assert_eq!((store.stats().checksum_failures, store.stats().io_errors), (0, 0));
        before = written.end;
        put(&store, written).await;
        store.close().await;
    }
}

#[tokio::test]
async fn the_folder_of_the_tier_before_is_taken_over() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    std::fs::write(path.join("weir-store"), "weir chunk store\nformat = 1\n").unwrap();
    std::fs::write(path.join("weir-store.lock"), "").unwrap();
    std::fs::write(path.join("foyer-storage-direct-fs-00000000"), vec![1; 5000]).unwrap();
    let store = ExtentStore::open(config(path)).unwrap();
    put(&store, 0..3).await;
    assert!(holds(&store, 0).await);
    let old = std::fs::metadata(path.join("foyer-storage-direct-fs-00000000"));
    assert_eq!(old.unwrap_err().kind(), ErrorKind::NotFound);
}

/// RAM knows 32 bits of a key: what is asked for and not there may look like what is.
#[tokio::test]
async fn a_chunk_of_the_same_fingerprint_is_left_alone() {
    let mut known = std::collections::HashMap::new();
    let (one, other) = (0..2_000_000)
        .find_map(|index| Some((known.insert(record::fingerprint(&key(index)), index)?, index)))
        .expect("of as many keys two look alike");
    let directory = TempDir::new().unwrap();
    let store = ExtentStore::open(config(directory.path())).unwrap();
    assert_eq!(store.offer(key(one), chunk(one)), Admission::Accepted);
    assert_eq!(store.holds(&key(one)).await, Some(true), "while it waits to be written");
    store.flush().await;
    assert!(matches!(store.pin(&ObjectId(1), 1, one..one + 1), Pinning::Pinned { chunks: 1 }));
    assert!(store.contains(&key(other)), "it looks like the one");
    assert_eq!(store.holds(&key(one)).await, Some(true));
    assert_eq!(store.holds(&key(other)).await, Some(false));
    assert!(store.read(&key(other)).await.is_none());
    store.remove(&key(other));
    store.flush().await;
    assert!(holds(&store, one).await, "pinned, and nobody removed it");
    store.remove(&key(one));
    assert_eq!(store.holds(&key(one)).await, Some(false));
    assert!(!holds(&store, one).await, "pinned or not");
}

#[tokio::test]
async fn the_manifest_stays_within_its_bounds() {
    let directory = TempDir::new().unwrap();
    let store = ExtentStore::open(config(directory.path())).unwrap();
    let geometry = Geometry::of(40 * MIB).unwrap();
    let small = Chunk::seal(Bytes::from_static(b"small"));
    for index in 0..20_000 {
        while store.offer(key(index), small.clone()) == Admission::Busy {
            store.flush().await;
        }
        if index % 64 == 0 {
            store.flush().await;
            let length = std::fs::metadata(directory.path().join("manifest")).unwrap().len();
            assert!(length <= geometry.manifest_max(), "{length} bytes");
        }
    }
    store.flush().await;
    assert!(store.stats().chunks.unwrap() <= geometry.chunks_max);
    let mut there = 0;
    for index in 0..20_000 {
        there += u64::from(store.contains(&key(index)));
    }
    assert_eq!(Some(there), store.stats().chunks);
    store.close().await;
    drop(store);
    let store = ExtentStore::open(config(directory.path())).unwrap();
    assert_eq!(store.stats().chunks, Some(there));
}

/// So that others who fill the file system take nothing of it.
#[tokio::test]
async fn the_room_of_two_manifests_is_taken() {
    use std::os::unix::fs::MetadataExt;
    let directory = TempDir::new().unwrap();
    let most = Geometry::of(40 * MIB).unwrap().manifest_max();
    let taken = |name: &str| {
        std::fs::metadata(directory.path().join(name)).map_or(0, |file| file.blocks() * 512)
    };
    for round in 0..3 {
        let store = ExtentStore::open(config(directory.path())).unwrap();
        store.offer(key(round), Chunk::seal(Bytes::from_static(b"small")));
        store.flush().await;
        for name in ["manifest", "manifest.new"] {
            assert!(taken(name) >= most, "{name} in round {round}: {} of {most}", taken(name));
        }
        store.close().await;
    }
    let store = ExtentStore::open(config(directory.path())).unwrap();
    assert_eq!(store.stats().chunks, Some(3));
}
