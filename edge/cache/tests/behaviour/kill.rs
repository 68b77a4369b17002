//! A real SIGKILL: the test starts itself as a child that fills a cache, and kills it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{MIB, NOW, chunk, object, open};
use tempfile::TempDir;
use weir_edge_cache::{Cache, CacheConfig, ObjectId};

const DIRECTORY: &str = "WEIR_TEST_KILL_DIRECTORY";
const NAME: &str = "kill::a_kill_costs_nothing_that_was_flushed";

async fn cache(directory: &Path) -> Cache {
    let store = open(&directory.join("disk"), 256 * MIB);
    let config = CacheConfig {
        memory_bytes: 16 * MIB,
        state: Some(directory.join("state.redb")),
        metadata_objects_max: 10_000,
    };
    Cache::open_at(&config, Some(store), NOW).unwrap()
}

/// Fills for ever; says after each flush how many objects are safe. Every third object is
/// purged again, which must hold, too. Four chunks fill the queue of the store; a fifth would
/// be refused, and only be in RAM.
async fn child(directory: &Path) {
    let cache = cache(directory).await;
    for number in 0_u32.. {
        let name = format!("object {number}");
        let stored = cache.put_object(object(&name, cache.next_generation(), 1));
        let key = stored.chunk_key(0);
        cache.insert_chunk(key, chunk(key, 1 << 20));
        if number % 3 == 0 {
            cache.purge(&stored.id).unwrap();
        }
        if number % 4 == 3 {
            cache.flush().await;
            let mut out = std::io::stdout();
            writeln!(out, "safe {number} generation {}", cache.next_generation()).unwrap();
            out.flush().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_nothing_that_was_flushed() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return child(Path::new(&directory)).await;
    }
    let directory = TempDir::new().unwrap();
    for flushes in [1, 3, 9] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let safe = lines
            .map_while(Result::ok)
            .filter_map(|line| {
                let (_, rest) = line.split_once("safe ")?;
                let (safe, generation) = rest.split_once(" generation ")?;
                Some((safe.parse::<u32>().unwrap(), generation.parse::<u64>().unwrap()))
            })
            .take(flushes)
            .last();
        // Not asked to end: killed while it writes on.
        child.kill().unwrap();
        child.wait().unwrap();
        let (safe, generation) = safe.expect("the child filled the cache");

        let cache = cache(directory.path()).await;
        assert!(cache.next_generation() > generation);
        for number in 0..=safe {
            let name = format!("object {number}");
            let stored = cache.object(&ObjectId::of(&name), &name);
            assert_eq!(stored.is_some(), number % 3 != 0, "{name} of {safe}");
            let Some(stored) = stored else { continue };
            let key = stored.chunk_key(0);
            let found = cache.disk_chunk(&key).await.unwrap_or_else(|| panic!("{name} lost"));
            assert!(found.data() == chunk(key, 1 << 20).data(), "{name} is wrong");
        }
        // What came after the last flush is there or not, but never wrong.
        for number in safe + 1..safe + 100 {
            let name = format!("object {number}");
            let Some(stored) = cache.object(&ObjectId::of(&name), &name) else { continue };
            let key = stored.chunk_key(0);
            if let Some(found) = cache.disk_chunk(&key).await {
                assert!(found.data() == chunk(key, 1 << 20).data(), "{name} is wrong");
            }
        }
        cache.close().await;
    }
}
