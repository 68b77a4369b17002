//! The hybrid memory and disk object cache: what objects are there (the metadata table), and
//! their chunks in RAM and behind a [`ChunkStore`].
//!
//! What it leaves to others: whether an object is fresh, what to fetch, and when to store.
//! Where the table and a store disagree, an absent chunk is a miss and nothing more.

pub mod cache;
pub mod chunk;
mod counter;
pub mod disks;
mod doorkeeper;
pub mod extent;
mod fields;
mod generation;
pub mod object;
pub mod purge;
mod ram;
mod reads;
mod state;
pub mod store;
mod sync;
mod table;

pub use cache::{Cache, CacheConfig, CacheStats, OpenError, Purged, Tier, TierStats};
pub use cache::{
    keep::{Brought, PinError, Wanted},
    select::Meant,
};
pub use chunk::{CHUNK_SIZE, Chunk, ChunkKey, GRAIN, ObjectId, chunks_of};
pub use extent::{ExtentConfig, ExtentStore};
pub use fields::Fields;
pub use object::{StoredObject, TAGS_MAX, VARIANT_MARK, primary_key};
pub use purge::{
    Mode, Order, PurgeError, Selector, Standing, Subject, Ticket,
    sweep::{Counted, PurgeStats},
};
pub use state::StateStats;
pub use store::{
    Admission, ChunkStore, Health, Listed, Page, PinnedChunks, Pinning, PinsHeld, Scrubbed,
    StoreOpenError, StoreStats, Verdict,
};
pub use table::{BadCursor, Cursor, Filter, Listing, OBJECT_BYTES, PAGE_MAX, Pin, Row, Sort};
