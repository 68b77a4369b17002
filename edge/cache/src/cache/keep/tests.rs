//! Pins and wishes over a store of many chunks, whose file is a real one.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    cache::CacheConfig,
    chunk::{CHUNK_SIZE, Chunk},
    extent::{BUFFER_MIN, ExtentConfig, ExtentStore},
    object::tests::object,
    purge::Mode,
    store::ChunkStore,
};

const MIB: u64 = 1 << 20;
/// Of the store; half of it may be pinned.
const DISK: u64 = 64 * MIB;

/// A cache with a state file and a disk, which a test opens again and again.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, objects_max: usize) -> (Cache, Arc<ExtentStore>) {
        let store = Arc::new(self.store("disk"));
        (self.over(objects_max, Some(store.clone())), store)
    }

    fn store(&self, name: &str) -> ExtentStore {
        ExtentStore::open(ExtentConfig {
            path: self.0.path().join(name),
            size_bytes: DISK,
            buffer_bytes: BUFFER_MIN + (8 << 20),
            node: "node".into(),
            new_disk: 1,
        })
        .unwrap()
    }

    fn over(&self, objects_max: usize, store: Option<Arc<dyn ChunkStore>>) -> Cache {
        let config = CacheConfig {
            memory_bytes: 256 << 20,
            state: Some(self.0.path().join("state")),
            metadata_objects_max: objects_max,
        };
        Cache::open_at(&config, store, 1_000_000_000_000).unwrap()
    }
}

fn fill(cache: &Cache, key: &str, generation: u64, size: u64) -> ObjectId {
    let object = StoredObject { epoch: cache.purge_epoch(), ..object(key, generation, size) };
    let object = cache.put_object(object);
    for index in 0..object.chunks() {
        let start = u64::from(index) * CHUNK_SIZE as u64;
        let length = (size - start).min(CHUNK_SIZE as u64) as usize;
        let chunk = Chunk::seal(Bytes::from(vec![generation as u8; length]));
        cache.insert_chunk(object.chunk_key(index), chunk);
    }
    object.id
}

#[tokio::test]
async fn a_pin_outlives_a_restart_and_whatever_comes() {
    let place = Place::new();
    let (cache, _) = place.open(1000);
    let id = fill(&cache, "pinned", 1, 3 * MIB);
    let until = Pin::until(2_000_000_000);
    assert!(cache.pin(&id, until).is_ok());
    cache.close().await;
    drop(cache);
    let (cache, store) = place.open(1000);
    cache.recovered().await;
    cache.align_pins();
    assert_eq!(cache.pin_of(&id), Some(until));
    assert_eq!((cache.stats().objects_pinned, cache.stats().pinned_bytes), (1, 3 * MIB));
    // Twice what the disk holds, and more objects than the table does.
    for number in 0..5000_u64 {
        let size = if number.is_multiple_of(40) { MIB } else { 0 };
        fill(&cache, &number.to_string(), number + 2, size);
        if size > 0 {
            store.flush().await;
        }
    }
    let found = cache.object(&id, "pinned").unwrap();
    for index in 0..3 {
        let chunk = store.read(&found.chunk_key(index)).await;
        assert!(chunk.is_some(), "chunk {index} was evicted");
    }
    assert_eq!(cache.stats().objects, 1000);
    // A purge takes it, its pin, and the disk's.
    cache.order(&[Selector::Key("pinned".into())], Mode::Hard, 5).await.unwrap();
    assert_eq!(cache.pin(&id, until), Err(PinError::Absent));
    let stats = cache.stats();
    assert_eq!((stats.objects_pinned, stats.pinned_bytes, store.stats().pinned_bytes), (0, 0, 0));
    // What comes in its place is as any other.
    fill(&cache, "pinned", 9000, MIB);
    assert_eq!(cache.pin_of(&id), None);
}

#[tokio::test]
async fn pins_have_half_of_the_disks() {
    let place = Place::new();
    let (cache, store) = place.open(1000);
    let half = cache.pin_room();
    assert_eq!(half, DISK / 2);
    let large = fill(&cache, "large", 1, 20 * MIB);
    let other = fill(&cache, "other", 2, 20 * MIB);
    assert!(cache.pin(&large, Pin::FOR_GOOD).is_ok());
    let refused = PinError::NoRoom { pinned: 20 * MIB, room: half };
    assert_eq!(cache.pin(&other, Pin::FOR_GOOD), Err(refused));
    assert!(cache.unpin(&large) && !cache.unpin(&large));
    assert_eq!(store.stats().pinned_bytes, 0);
    assert!(cache.pin(&other, Pin::FOR_GOOD).is_ok());
    assert_eq!(cache.pin(&ObjectId::of("none"), Pin::FOR_GOOD), Err(PinError::Absent));
}

#[tokio::test]
async fn without_a_disk_nothing_is_pinned() {
    let cache = Place::new().over(1000, None);
    let id = fill(&cache, "a", 1, MIB);
    assert_eq!(cache.pin(&id, Pin::FOR_GOOD), Err(PinError::NoDisk));
    assert_eq!(cache.stats().objects_pinned, 0);
}

#[tokio::test]
async fn a_new_version_and_one_that_comes_again_are_pinned() {
    let place = Place::new();
    let (cache, store) = place.open(1000);
    let id = fill(&cache, "a", 1, 2 * MIB);
    assert!(cache.pin(&id, Pin::FOR_GOOD).is_ok());
    fill(&cache, "a", 2, 3 * MIB);
    store.flush().await;
    assert_eq!((cache.stats().objects_pinned, cache.stats().pinned_bytes), (1, 3 * MIB));
    // Its origin contradicted itself.
    cache.discard_generation(&id, 2, 3);
    assert_eq!((cache.stats().objects_pinned, cache.stats().pinned_bytes), (0, 0));
    fill(&cache, "a", 3, MIB);
    assert_eq!((cache.stats().objects_pinned, cache.stats().pinned_bytes), (1, MIB));
    cache.discard_generation(&id, 3, 1);
    cache.order(&[Selector::All], Mode::Hard, 5).await.unwrap();
    fill(&cache, "a", 4, MIB);
    assert_eq!(cache.stats().objects_pinned, 0, "purged meanwhile");
}

#[tokio::test]
async fn a_pin_ends_when_its_time_has_come() {
    let place = Place::new();
    let (cache, store) = place.open(1000);
    let id = fill(&cache, "a", 1, MIB);
    store.flush().await;
    assert!(cache.pin(&id, Pin::until(2000)).is_ok());
    cache.tick(1_999_000);
    assert!(cache.pin_of(&id).is_some() && store.stats().pinned_bytes > 0);
    cache.tick(2_000_000);
    assert!(cache.pin_of(&id).is_none() && store.stats().pinned_bytes == 0);
}

#[tokio::test]
async fn what_is_wanted_goes_to_disk_the_first_time() {
    let place = Place::new();
    let store: Arc<dyn ChunkStore> = Arc::new(place.store("disk"));
    let cache = place.over(1000, Some(store.clone())).second_hit(1000);
    let on_disk =
        |id: ObjectId, generation| store.contains(&ChunkKey { object: id, generation, index: 0 });
    let first = fill(&cache, "first", 1, MIB);
    assert!(!on_disk(first, 1), "asked for once");
    let wanted = ObjectId::of("site|h|/a");
    let wish = cache.want(&wanted, Some(Pin::FOR_GOOD)).unwrap();
    fill(&cache, "site|h|/a", 2, MIB);
    let variant = fill(&cache, "site|h|/a\n5\naccept=b", 3, MIB);
    assert!(on_disk(wanted, 2) && on_disk(variant, 3));
    assert!(cache.pin_of(&wanted).is_some() && cache.pin_of(&variant).is_some());
    drop(wish);
    let other = fill(&cache, "site|h|/a\n5\naccept=c", 4, MIB);
    assert!(!on_disk(other, 4) && cache.pin_of(&other).is_none());
    // A pinned one goes on without a wish.
    fill(&cache, "site|h|/a", 5, MIB);
    assert!(on_disk(wanted, 5));
}

#[tokio::test]
async fn what_ram_has_is_given_to_the_disks() {
    let place = Place::new();
    let store: Arc<dyn ChunkStore> = Arc::new(place.store("disk"));
    let cache = place.over(1000, Some(store.clone())).second_hit(1000);
    // Larger than what may wait to be written at once.
    let id = fill(&cache, "a", 1, 24 * MIB);
    let object = cache.pin(&id, Pin::FOR_GOOD).unwrap();
    let (first, last) = (object.chunk_key(0), object.chunk_key(23));
    cache.discard_chunks(&id, 1, 23..24);
    assert!(!store.contains(&first));
    let brought = tokio::time::timeout(Duration::from_secs(30), cache.bring_together(&object));
    let expected = Brought { bytes: 23 * MIB, missing: 1, missing_bytes: MIB };
    assert_eq!(brought.await.unwrap(), expected);
    assert!(store.contains(&first) && !store.contains(&last));
    store.flush().await;
    assert!(store.stats().pinned_bytes >= 23 * MIB);
}

#[tokio::test]
async fn pins_that_a_disk_missed_are_brought_in_line() {
    let place = Place::new();
    let (cache, store) = place.open(1000);
    let id = fill(&cache, "a", 1, MIB);
    store.flush().await;
    assert!(cache.pin(&id, Pin::FOR_GOOD).is_ok());
    let pinned = store.stats().pinned_bytes;
    // As if it had been away.
    assert!(store.unpin(&id, 1));
    assert!(matches!(store.pin(&ObjectId(7), 7, 0..1), Pinning::Pinned { .. }));
    cache.align_pins();
    assert_eq!(store.stats().pinned_bytes, pinned);
    assert!(!store.unpin(&ObjectId(7), 7), "nobody wants it");
}

/// A pin made between the look at the table and the alignment is no stray.
#[tokio::test]
async fn a_pin_that_comes_while_they_are_brought_in_line_stays() {
    let place = Place::new();
    let store = place.store("disk");
    let (one, two) = (ObjectId(1), ObjectId(2));
    for index in 0..40 {
        let chunk = Chunk::seal(Bytes::from(vec![1; CHUNK_SIZE]));
        while store.offer(ChunkKey { object: one, generation: 1, index }, chunk.clone())
            == Admission::Busy
        {
            store.flush().await;
        }
    }
    store.flush().await;
    assert_eq!(store.pin(&one, 1, 0..30), Pinning::Pinned { chunks: 30 });
    assert!(store.is_pinned(&one, 1) && !store.is_pinned(&two, 1));
    let held = store.pins();
    // Pinned after that was asked, and not in the table as it was then.
    assert!(matches!(store.pin(&two, 1, 0..1), Pinning::Pinned { .. }));
    store.align_pins(&held, &PinnedChunks::from([((one, 1), 30)]));
    assert!(store.is_pinned(&one, 1) && store.is_pinned(&two, 1));
    store.align_pins(&store.pins(), &PinnedChunks::from([((one, 1), 30)]));
    assert!(store.is_pinned(&one, 1) && !store.is_pinned(&two, 1));
}

/// The disk's memory knows 32 bits of a key.
#[tokio::test]
async fn what_only_looks_like_a_chunk_is_missing() {
    let place = Place::new();
    let (cache, store) = place.open(1000);
    for index in 0..2000 {
        let key = ChunkKey { object: ObjectId::of("other"), generation: 1, index };
        while store.offer(key, Chunk::seal(Bytes::from_static(b"other"))) == Admission::Busy {
            store.flush().await;
        }
    }
    store.flush().await;
    let alike = |generation: &u64| {
        let key = ChunkKey { object: ObjectId::of("film"), generation: *generation, index: 0 };
        store.contains(&key)
    };
    let generation = (2..30_000_000).find(alike).expect("of so many one looks alike");
    let film = cache
        .put_object(StoredObject { epoch: cache.purge_epoch(), ..object("film", generation, 10) });
    assert!(cache.has_chunk(&film.chunk_key(0)).is_some(), "it looks like one");
    assert_eq!(cache.holds(&film.chunk_key(0)).await, Some(false));
    let brought = cache.bring_together(&film).await;
    assert_eq!((brought.missing, brought.missing_bytes), (1, 10));
}
