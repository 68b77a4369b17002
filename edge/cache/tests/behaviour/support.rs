//! Chunks that prove themselves, and objects for them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use weir_edge_cache::{
    Admission, Chunk, ChunkKey, ChunkStore, ExtentConfig, ExtentStore, Fields, ObjectId,
    StoreOpenError, StoredObject,
};

/// When the tests take place, in Unix nanoseconds.
pub(crate) const NOW: u64 = 1_700_000_000_000_000_000;

pub(crate) const MIB: u64 = 1 << 20;

/// A chunk whose bytes follow from its key.
pub(crate) fn chunk(key: ChunkKey, length: usize) -> Chunk {
    let mut bytes = vec![0; length];
    let seed = (key.object.0 as u64) ^ key.generation.rotate_left(32) ^ u64::from(key.index);
    SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    Chunk::seal(Bytes::from(bytes))
}

pub(crate) fn key(index: u32) -> ChunkKey {
    ChunkKey { object: ObjectId::of("film"), generation: 9, index }
}

/// An object of 1 MiB chunks.
pub(crate) fn object(name: &str, generation: u64, chunks: u32) -> StoredObject {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("video/mp4"));
    headers.insert("etag", HeaderValue::from_static("\"1\""));
    StoredObject {
        id: ObjectId::of(name),
        key: name.into(),
        generation,
        service: "film".into(),
        status: StatusCode::OK,
        fields: Fields::encode(&headers),
        size: u64::from(chunks) * MIB,
        request_millis: 1000,
        response_millis: 1010,
        initial_age_millis: 10,
        lifetime_millis: 60_000,
        flags: 2,
        tags: Box::default(),
        epoch: 0,
    }
}

pub(crate) fn try_open(
    path: &std::path::Path,
    size_bytes: u64,
    buffer_bytes: u64,
) -> Result<Arc<dyn ChunkStore>, StoreOpenError> {
    let (path, node, new_disk) = (path.to_owned(), "edge1".to_owned(), rand::random());
    let config = ExtentConfig { path, size_bytes, buffer_bytes, node, new_disk };
    Ok(Arc::new(ExtentStore::open(config)?))
}

pub(crate) fn open(path: &std::path::Path, size_bytes: u64) -> Arc<dyn ChunkStore> {
    try_open(path, size_bytes, 16 * MIB).expect("an empty directory, or one of the same shape")
}

/// Offers until the queue has room.
pub(crate) async fn offer(store: &Arc<dyn ChunkStore>, key: ChunkKey, chunk: &Chunk) {
    while store.offer(key, chunk.clone()) != Admission::Accepted {
        store.flush().await;
    }
}

/// Whether the store has the chunk; fails on any other bytes than its own.
pub(crate) async fn holds(store: &Arc<dyn ChunkStore>, key: ChunkKey) -> bool {
    match store.read(&key).await {
        Some(found) => {
            assert!(found.data() == chunk(key, found.data().len()).data(), "wrong bytes: {key:?}");
            true
        }
        None => false,
    }
}
