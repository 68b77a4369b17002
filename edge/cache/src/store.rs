//! The port behind which a disk tier keeps chunks.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    ops::Range,
    path::PathBuf,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};

use crate::chunk::{Chunk, ChunkKey, ObjectId};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// The directory holds what no store put there.
    #[error(
        "{path} is no chunk store: it holds {found}; give the store an empty directory of its own"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// Another process uses it.
    #[error("chunk store {path} is in use by another process; stop it, or set another path")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Less than a store can work with.
    #[error("chunk store {path} has {given} bytes of {what}, and needs {least} at least")]
    TooSmall {
        /// The directory.
        path: PathBuf,
        /// Disk or memory.
        what: &'static str,
        /// What was configured.
        given: u64,
        /// What it takes.
        least: u64,
    },
    /// More than a store can number.
    #[error(
        "chunk store {path} has {given} bytes of disk, and can use {most} at most; divide the \
         disk into several"
    )]
    TooLarge {
        /// The directory.
        path: PathBuf,
        /// What was configured.
        given: u64,
        /// What it can use.
        most: u64,
    },
    /// A store that another node made.
    #[error(
        "chunk store {path} belongs to node {found}, and this is {expected}; give it back, or \
         empty the directory to start anew"
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node that made it.
        found: String,
        /// This node.
        expected: String,
    },
    /// A store of another version or geometry.
    #[error(
        "chunk store {path} is of {found}, and this program writes {expected}; empty the \
         directory to start anew"
    )]
    OtherShape {
        /// The directory.
        path: PathBuf,
        /// What the store says it is.
        found: String,
        /// What this program makes.
        expected: String,
    },
    /// The file system refused.
    #[error("chunk store {path}: cannot {action}; check that the directory can be written")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The engine refused, or gave up over what it found.
    #[error("chunk store {path}: the engine does not start; empty the directory to start anew")]
    Engine {
        /// The directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// How often a busy store is offered a chunk that cannot be fetched again.
pub(crate) const OFFERS_MAX: usize = 16;

/// What a store did with a chunk it was offered. A refused chunk is only not kept: it can be
/// fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Readable from now on, and on its way to the device.
    Accepted,
    /// The write buffer is full; taking more would lose chunks silently.
    Busy,
    /// The device is offline or full.
    Unavailable,
}

/// Counters since start, bytes of chunk data unless said otherwise.
/// Offered is accepted and refused together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes of device the store may use.
    pub capacity_bytes: u64,
    /// Chunks taken.
    pub accepted_chunks: u64,
    /// Bytes taken.
    pub accepted_bytes: u64,
    /// Chunks not taken, whatever the reason.
    pub refused_chunks: u64,
    /// Bytes not taken.
    pub refused_bytes: u64,
    /// Chunks taken that did not get onto the device after all (a failed write).
    pub lost_chunks: u64,
    /// Reads that returned a verified chunk.
    pub read_hits: u64,
    /// Reads that did not.
    pub read_misses: u64,
    /// Reads that returned a part of a chunk and left the rest where it was.
    pub read_parts: u64,
    /// Bytes returned by reads.
    pub read_bytes: u64,
    /// Bytes read from the device for them, its own overhead included.
    pub device_read_bytes: u64,
    /// Chunks that were found and did not verify; their readers got a miss.
    pub checksum_failures: u64,
    /// Times that a store was opened whose index was gone or damaged: what it does not name any
    /// more is lost.
    pub index_losses: u64,
    /// Reads and writes that the device failed.
    pub io_errors: u64,
    /// Bytes written to the device, its own overhead included.
    pub device_written_bytes: u64,
    /// Whether the device takes and gives chunks.
    pub online: bool,
    /// Chunks held now; `None` where the store does not count them.
    pub chunks: Option<u64>,
    /// Bytes of device that they take, rounding included; `None` where it does not know.
    pub used_bytes: Option<u64>,
    /// Chunks pushed out by others since start; `None` where it does not count them.
    pub evicted_chunks: Option<u64>,
    /// Bytes of device that are pinned now.
    pub pinned_bytes: u64,
    /// Bytes of RAM by which chunks are found.
    pub index_bytes: u64,
}

/// What became of a wish to pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// Chunks of the range that the store has are kept until unpinned, and so are those that
    /// come later, for as long as pins have room.
    Pinned {
        /// How many it has now.
        chunks: u32,
    },
    /// Pinned chunks would leave too little room for others, or there are too many pins.
    /// Nothing changed.
    NoRoom,
    /// This store cannot pin.
    Unsupported,
}

/// What shall be pinned: for objects of a generation, how many chunks from the first.
pub type PinnedChunks = HashMap<(ObjectId, u64), u32>;

/// What is pinned, by object and generation.
pub type PinsHeld = HashSet<(ObjectId, u64)>;

/// What one step of a scrub looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Chunks read back and checked.
    pub chunks: u64,
    /// Their bytes on the device.
    pub bytes: u64,
    /// What did not hold, or could not be read; counted, and gone now. The key is what was
    /// found there, `None` where that is damaged too.
    pub damaged: Vec<Option<ChunkKey>>,
    /// Where the next step starts, less than 2^48; `None` at the end.
    pub next: Option<u64>,
}

/// One chunk in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub key: ChunkKey,
    /// Bytes of data.
    pub length: u32,
    /// Whether eviction passes it by.
    pub pinned: bool,
}

/// A piece of a listing. A chunk that is there during the whole listing is in it exactly
/// once; one that comes, goes or is written meanwhile may be missing or be there twice. What
/// was accepted and is not on the device yet is not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// No more than were asked for; may be fewer, even none, before the end.
    pub chunks: Vec<Listed>,
    /// Where the next page starts, less than 2^48; `None` at the end.
    pub next: Option<u64>,
}

/// What [`ChunkStore::verify`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All bytes hold.
    Sound {
        /// Bytes of data.
        bytes: u32,
    },
    /// It was there and did not verify or could not be read; counted, and gone now.
    Rotten,
    /// Not there.
    Absent,
}

/// How a device does. Failures are calls the device failed, not misses and not rot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether the store takes and gives chunks. A store that went offline by itself stays
    /// so until it is opened again.
    pub online: bool,
    /// Calls that the device failed since start.
    pub errors: u64,
    /// Those since the last call that succeeded; 0 is a device that works.
    pub errors_in_a_row: u32,
    /// What the last one was, for people.
    pub last_error: Option<String>,
}

/// A disk tier. Every byte it returns was checked against its checksum first. No method
/// panics over what the device holds or answers: what cannot be read is a miss.
///
/// Methods with a body are what a store does that has no better way.
pub trait ChunkStore: Send + Sync + fmt::Debug + 'static {
    /// `None` for a chunk that is not there, or that was and did not verify (counted) or could
    /// not be read: the store gives up such a place itself. Also where the device is too busy
    /// to take the read; [`ChunkStore::holds`] tells that from a chunk that is gone.
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>>;
    /// Never blocks.
    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission;
    /// Afterwards the chunk is not found any more, pinned or not.
    fn remove(&self, key: &ChunkKey);
    /// Whether the chunk is probably there; never a false no for what was flushed. A store may
    /// mistake another chunk for it.
    fn contains(&self, key: &ChunkKey) -> bool;
    /// Counters now.
    fn stats(&self) -> StoreStats;
    /// Resolves when everything accepted so far is on the device.
    fn flush(&self) -> BoxFuture<'_, ()>;
    /// Flushes and releases the device.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Whether this very chunk is there, as what lies in front of it on the device says; its
    /// data is not read. `None` where that cannot be told now: the device is busy, slow, or
    /// going. Changes no eviction order.
    fn holds<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<bool>> {
        async move { Some(self.contains(key)) }.boxed()
    }

    /// Exactly the bytes `part` of a chunk (offsets within it), verified. `None` as for
    /// [`ChunkStore::read`], and where the chunk is shorter than `part` or `part` is empty.
    ///
    /// A store that can reads and verifies only the 64 KiB grains that `part` touches; rot
    /// elsewhere in the chunk stays unnoticed then.
    fn read_part<'a>(
        &'a self,
        key: &'a ChunkKey,
        part: Range<u32>,
    ) -> BoxFuture<'a, Option<Bytes>> {
        async move {
            let chunk = self.read(key).await?;
            let part = part.start as usize..part.end as usize;
            let within = !part.is_empty() && part.end <= chunk.data().len();
            within.then(|| chunk.data().slice(part))
        }
        .boxed()
    }

    /// Keeps eviction away from these chunks of one generation of an object, now and after a
    /// restart. Pinning again replaces the range; the store bounds pins and their bytes.
    fn pin(&self, _object: &ObjectId, _generation: u64, _chunks: Range<u32>) -> Pinning {
        Pinning::Unsupported
    }

    /// Undoes [`ChunkStore::pin`]. False when there was no such pin.
    fn unpin(&self, _object: &ObjectId, _generation: u64) -> bool {
        false
    }

    /// Pins one generation of an object in place of another, as far as there is room.
    fn pin_instead(&self, object: &ObjectId, old: u64, new: u64, chunks: Range<u32>) {
        self.unpin(object, old);
        let _ = self.pin(object, new, chunks);
    }

    /// Whether this generation of an object is pinned.
    fn is_pinned(&self, _object: &ObjectId, _generation: u64) -> bool {
        false
    }

    /// What is pinned now, by object and generation.
    fn pins(&self) -> PinsHeld {
        PinsHeld::new()
    }

    /// Lets go of pins that are `held` and not `wanted`, and takes those that are wanted and
    /// lacking, as far as there is room. What was pinned since `held` was asked for stays.
    fn align_pins(&self, _held: &PinsHeld, _wanted: &PinnedChunks) {}

    /// Reads back and checks what lies on the device from `cursor` on (0, or the `next` of the
    /// step before), about `bytes` of it, past every buffer. A chunk that is there during the
    /// whole scrub is checked. Changes no eviction order. `None` for a store that cannot.
    fn scrub(&self, _cursor: u64, _bytes: u64) -> BoxFuture<'_, Option<Scrubbed>> {
        async { None }.boxed()
    }

    /// What is there, in no order that means anything, from `cursor` on: 0, or the `next` of
    /// the page before. At most `max` chunks, and never more than 4,096. `None` for a store
    /// that cannot list.
    fn list(&self, _cursor: u64, _max: usize) -> BoxFuture<'_, Option<Page>> {
        async { None }.boxed()
    }

    /// Reads one chunk from the device, past every buffer, and checks all of it. Changes no
    /// eviction order. How fast chunks are scrubbed is up to the caller.
    fn verify<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Verdict> {
        async move {
            let there = self.contains(key);
            match self.read(key).await {
                Some(chunk) => {
                    Verdict::Sound { bytes: u32::try_from(chunk.data().len()).unwrap_or(u32::MAX) }
                }
                None if there => Verdict::Rotten,
                None => Verdict::Absent,
            }
        }
        .boxed()
    }

    /// How the device does; cheap enough to be asked several times a second.
    fn health(&self) -> Health {
        let stats = self.stats();
        Health {
            online: stats.online,
            errors: stats.io_errors,
            errors_in_a_row: 0,
            last_error: None,
        }
    }
}
