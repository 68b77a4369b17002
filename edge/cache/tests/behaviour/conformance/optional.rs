//! What a store may be unable to do, and says so: pinning, listing, parts without the whole.

use std::{collections::HashMap, sync::Arc};

use super::{holds, open, put};
use crate::support::{MIB, key};
use tempfile::TempDir;
use weir_edge_cache::{ChunkKey, ChunkStore, Listed, ObjectId, Pinning, Verdict};

fn pin(store: &Arc<dyn ChunkStore>, end: u32) -> Pinning {
    store.pin(&key(0).object, key(0).generation, 0..end)
}

fn unpin(store: &Arc<dyn ChunkStore>) -> bool {
    store.unpin(&key(0).object, key(0).generation)
}

async fn churn(store: &Arc<dyn ChunkStore>, from: u32) {
    for index in from..from + 200 {
        put(store, key(index), 1 << 20).await;
    }
    store.flush().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pinned_chunks_outlive_everything() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    for index in 0..5 {
        put(&store, key(index), 1 << 20).await;
    }
    store.flush().await;
    assert_eq!(pin(&store, 10), Pinning::Pinned { chunks: 5 });
    // The others of the range come later.
    for index in 5..10 {
        put(&store, key(index), 300_000).await;
    }
    churn(&store, 1000).await;
    let pinned = store.stats().pinned_bytes;
    assert!((5 * MIB..8 * MIB).contains(&pinned), "{pinned}");
    store.close().await;
    drop(store);
    let store = open(directory.path(), 64 * MIB);
    assert_eq!(store.stats().pinned_bytes, pinned);
    churn(&store, 2000).await;
    for index in 0..10 {
        assert!(holds(&store, key(index)).await, "{index} was pinned");
    }
    // Removed is removed, pinned or not.
    store.remove(&key(0));
    assert!(!holds(&store, key(0)).await);
    assert!(unpin(&store) && !unpin(&store));
    assert_eq!(store.stats().pinned_bytes, 0);
    store.close().await;
    drop(store);
    let store = open(directory.path(), 64 * MIB);
    assert_eq!(store.stats().pinned_bytes, 0);
    churn(&store, 3000).await;
    churn(&store, 4000).await;
    assert!(!store.contains(&key(1)), "no longer pinned, never read again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_are_bounded() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 32 * MIB);
    for index in 0..31 {
        put(&store, key(index), 1 << 20).await;
    }
    store.flush().await;
    let there = (0..31).filter(|index| store.contains(&key(*index))).count() as u32;
    assert!(there >= 28);
    assert_eq!(pin(&store, 31), Pinning::NoRoom, "nothing would be left for others");
    assert_eq!(store.stats().pinned_bytes, 0);
    assert!(matches!(pin(&store, 20), Pinning::Pinned { chunks: 17.. }));
    assert_eq!(pin(&store, 0), Pinning::NoRoom);
    // What comes later under a pin is pinned for as long as there is room.
    store.pin(&ObjectId::of("later"), 1, 0..100);
    for index in 0..100 {
        let key = ChunkKey { object: ObjectId::of("later"), generation: 1, index };
        put(&store, key, 1 << 20).await;
        store.flush().await;
        assert!(holds(&store, key).await, "{index}");
    }
    assert!(store.stats().pinned_bytes <= 24 * MIB, "{:?}", store.stats());
    let mut pins = 0;
    while matches!(store.pin(&ObjectId(pins), 7, 0..1), Pinning::Pinned { .. }) {
        pins += 1;
        assert!(pins < 100, "pins have no bound");
    }
}

async fn all(store: &Arc<dyn ChunkStore>, page: usize) -> Vec<Listed> {
    let (mut found, mut cursor) = (Vec::new(), Some(0));
    while let Some(at) = cursor {
        let page = store.list(at, page).await.expect("it can list");
        found.extend(page.chunks);
        cursor = page.next;
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_has_everything_once() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    assert!(all(&store, 10).await.is_empty());
    let length = |index: u32| [1 << 20, 10_000, 500, 70_000][index as usize % 4];
    for index in 0..100 {
        put(&store, key(index), length(index)).await;
    }
    store.remove(&key(50));
    store.pin(&key(0).object, key(0).generation, 7..9);
    store.flush().await;
    for page in [1, 7, 10_000] {
        let found = all(&store, page).await;
        let by_key: HashMap<_, _> = found.iter().map(|listed| (listed.key, listed)).collect();
        assert_eq!((found.len(), by_key.len()), (99, 99), "pages of {page}");
        for index in (0..100).filter(|index| *index != 50) {
            let listed = by_key[&key(index)];
            assert_eq!(listed.length as usize, length(index));
            assert_eq!(listed.pinned, (7..9).contains(&index));
        }
    }
    for cursor in [1 << 40, u64::MAX, u64::from(u32::MAX)] {
        let page = store.list(cursor, 10).await.expect("it can list");
        assert!(page.chunks.is_empty() && page.next.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_tells_sound_from_absent() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), 64 * MIB);
    put(&store, key(0), 70_000).await;
    assert_eq!(store.verify(&key(0)).await, Verdict::Sound { bytes: 70_000 });
    store.flush().await;
    assert_eq!(store.verify(&key(0)).await, Verdict::Sound { bytes: 70_000 });
    assert_eq!(store.verify(&key(1)).await, Verdict::Absent);
}
