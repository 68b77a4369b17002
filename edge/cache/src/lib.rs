//! The hybrid memory and disk object cache.

pub mod chunk;
pub mod store;

pub use chunk::{CHUNK_SIZE, Chunk, ChunkKey, ObjectId};
pub use store::{Admission, ChunkStore, StoreStats};
