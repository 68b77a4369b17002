//! The cache over its state file: what a restart finds, and what it makes of broken files.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::support::{MIB, NOW, chunk, object, open};
use tempfile::TempDir;
use weir_edge_cache::{Cache, CacheConfig, ObjectId, OpenError, Tier};

fn config(directory: &Path, metadata_objects_max: usize) -> CacheConfig {
    CacheConfig {
        memory_bytes: 64 * MIB,
        state: Some(directory.join("state/metadata.redb")),
        metadata_objects_max,
    }
}

fn found(cache: &Cache, count: usize) -> usize {
    (0..count)
        .map(|number| format!("object {number}"))
        .filter(|name| cache.object(&ObjectId::of(name), name).is_some())
        .count()
}

fn put(cache: &Cache, count: usize) {
    for number in 0..count {
        cache.put_object(object(&format!("object {number}"), cache.next_generation(), 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_finds_objects_and_chunks() {
    let directory = TempDir::new().unwrap();
    let disk = directory.path().join("disk");
    let cache =
        Cache::open_at(&config(directory.path(), 1000), Some(open(&disk, 64 * MIB)), NOW).unwrap();
    let generation = cache.next_generation();
    let stored = cache.put_object(object("film", generation, 3));
    for index in 0..3 {
        let key = stored.chunk_key(index);
        cache.insert_chunk(key, chunk(key, 1 << 20));
        assert_eq!(cache.has_chunk(&key), Some(Tier::Ram));
    }
    cache.close().await;
    drop(cache);

    let cache =
        Cache::open_at(&config(directory.path(), 1000), Some(open(&disk, 64 * MIB)), NOW).unwrap();
    let again = cache.object(&stored.id, "film").expect("kept by a clean close");
    assert_eq!(again, stored);
    assert!(cache.next_generation() > generation);
    for index in 0..3 {
        let key = again.chunk_key(index);
        assert_eq!(cache.has_chunk(&key), Some(Tier::Disk));
        assert!(cache.ram_chunk(&key).is_none());
        let found = cache.disk_chunk(&key).await.expect("on disk");
        assert!(found.data() == chunk(key, 1 << 20).data());
        assert!(cache.ram_chunk(&key).is_some(), "promoted");
    }
    let stats = cache.stats();
    assert_eq!((stats.disk.hits, stats.disk.misses, stats.objects), (3, 0, 1));
    cache.close().await;
}

#[tokio::test]
async fn removed_and_discarded_objects_stay_away() {
    let directory = TempDir::new().unwrap();
    let config = config(directory.path(), 1000);
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    put(&cache, 10);
    cache.flush().await;
    let id = |number: u32| ObjectId::of(&format!("object {number}"));
    cache.remove_object(&id(1)).unwrap();
    cache.purge(&id(2)).unwrap();
    let generation = cache.object(&id(3), "object 3").unwrap().generation;
    cache.discard_generation(&id(3), generation, 1);
    cache.discard_generation(&id(4), generation, 1);
    cache.close().await;
    drop(cache);
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    assert_eq!(found(&cache, 10), 7);
    assert_eq!(cache.stats().state.unwrap().dropped, 0);
}

#[tokio::test]
async fn a_smaller_bound_holds_after_a_restart_and_in_the_file() {
    let directory = TempDir::new().unwrap();
    let cache = Cache::open_at(&config(directory.path(), 1000), None, NOW).unwrap();
    put(&cache, 500);
    cache.close().await;
    drop(cache);
    let cache = Cache::open_at(&config(directory.path(), 100), None, NOW).unwrap();
    cache.recovered().await;
    assert_eq!((found(&cache, 500), cache.stats().objects), (100, 100));
    cache.close().await;
    drop(cache);
    let cache = Cache::open_at(&config(directory.path(), 1000), None, NOW).unwrap();
    assert_eq!(found(&cache, 500), 100);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let directory = TempDir::new().unwrap();
    let config = config(directory.path(), 10);
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    let error = Cache::open_at(&config, None, NOW).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    cache.close().await;
    Cache::open_at(&config, None, NOW).unwrap();
}

#[tokio::test]
async fn a_path_that_can_be_no_file_is_refused() {
    let directory = TempDir::new().unwrap();
    let config = config(directory.path(), 10);
    fs::create_dir_all(config.state.as_ref().unwrap()).unwrap();
    let error = Cache::open_at(&config, None, NOW).unwrap_err();
    assert!(matches!(error, OpenError::State { .. }), "{error}");
}

/// Fills a state file, ruins it, and opens it again: no panic, nothing wrong, and it works
/// on. Returns how many of 200 objects came back.
async fn check_ruined(ruin: impl Fn(&Path)) -> usize {
    let directory = TempDir::new().unwrap();
    let config = config(directory.path(), 1000);
    let path = config.state.as_deref().unwrap();
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    put(&cache, 200);
    let last = cache.next_generation();
    cache.close().await;
    drop(cache);
    ruin(path);
    let a_second_later = NOW + 1_000_000_000;
    let cache = Cache::open_at(&config, None, a_second_later).unwrap();
    let back = found(&cache, 200);
    assert!(cache.next_generation() > last);
    cache.put_object(object("new", 1, 1));
    cache.close().await;
    drop(cache);
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    assert!(cache.object(&ObjectId::of("new"), "new").is_some());
    back
}

#[tokio::test]
async fn files_of_others_are_set_aside() {
    for content in [&b"{\"not\": \"a database\"}"[..], &[0; 100_000], b"redb\x1a\x0a\xa9\x0d\x0a"] {
        let back = check_ruined(|path| {
            fs::write(path, content).unwrap();
        })
        .await;
        assert_eq!(back, 0);
    }
    let back = check_ruined(|path| {
        fs::remove_file(path).unwrap();
        let other = redb::Database::create(path).unwrap();
        let transaction = other.begin_write().unwrap();
        let table = redb::TableDefinition::<&str, &str>::new("accounts");
        transaction.open_table(table).unwrap().insert("a", "b").unwrap();
        transaction.commit().unwrap();
        drop(other);
    })
    .await;
    assert_eq!(back, 0);
}

#[tokio::test]
async fn another_format_is_set_aside_and_kept() {
    let directory = TempDir::new().unwrap();
    let config = config(directory.path(), 1000);
    let path = config.state.clone().unwrap();
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    put(&cache, 5);
    cache.close().await;
    drop(cache);
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("weir.meta");
    transaction.open_table(meta).unwrap().insert("format", 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    assert_eq!(found(&cache, 5), 0);
    let aside = path.with_file_name("metadata.redb.set-aside-1");
    assert!(aside.exists());
    assert_eq!(cache.state_aside().map(|(path, _)| path), Some(aside), "it is told");
    cache.close().await;
    drop(cache);
    let cache = Cache::open_at(&config, None, NOW).unwrap();
    assert_eq!(cache.state_aside(), None, "once");
}

#[tokio::test]
async fn truncated_files_never_mislead() {
    for part in [0, 1, 10, 50, 90, 99] {
        check_ruined(|path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length * part / 100).unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn flipped_bits_never_mislead() {
    for seed in 0..60_u64 {
        check_ruined(|path| {
            let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
            let length = file.metadata().unwrap().len();
            for number in 0..8 {
                let place = (seed * 8 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) % length;
                let mut byte = [0];
                file.read_exact_at(&mut byte, place).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << (seed % 8))], place).unwrap();
            }
        })
        .await;
    }
}
