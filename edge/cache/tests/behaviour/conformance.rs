//! What every disk tier has to do, whichever engine it is: one suite, run on each. What an
//! engine cannot do stands here as well.

mod crash;
mod keeping;
mod optional;
mod rot;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::runtime::Handle;
use weir_edge_cache::{
    Admission, Chunk, ChunkKey, ChunkStore, ExtentConfig, ExtentStore, FoyerConfig, FoyerStore,
    StoreOpenError,
};

use crate::support::{MIB, chunk};

/// An engine under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Foyer,
    Extent,
}

impl Engine {
    async fn try_open(
        self,
        path: &Path,
        size_bytes: u64,
        buffer_bytes: u64,
    ) -> Result<Arc<dyn ChunkStore>, StoreOpenError> {
        let path = path.to_owned();
        match self {
            Self::Foyer => {
                let config = FoyerConfig { path, size_bytes, buffer_bytes };
                Ok(Arc::new(FoyerStore::open(config, Handle::current()).await?))
            }
            Self::Extent => {
                let node = "edge1".to_owned();
                let new_disk = rand::random();
                Ok(Arc::new(ExtentStore::open(ExtentConfig {
                    path,
                    size_bytes,
                    buffer_bytes,
                    node,
                    new_disk,
                })?))
            }
        }
    }

    async fn open(self, path: &Path, size_bytes: u64) -> Arc<dyn ChunkStore> {
        let store = self.try_open(path, size_bytes, 16 * MIB).await;
        store.expect("an empty directory, or one of the same shape")
    }

    /// Whether a key that is written again is read as it was written last. foyer sometimes
    /// finds an earlier one; nobody relies on it, since a key names one fill of one object.
    fn keeps_the_newest(self) -> bool {
        self == Self::Extent
    }

    /// Whether a part is read and verified without the rest of its chunk.
    fn reads_parts(self) -> bool {
        self == Self::Extent
    }

    /// Whether eviction leaves alone what is pinned, and the store can say what it holds.
    fn pins_and_lists(self) -> bool {
        self == Self::Extent
    }

    /// Whether what is read survives others that are not: foyer's disk is first in, first out.
    fn keeps_what_is_read(self) -> bool {
        self == Self::Extent
    }

    /// Files in which chunks lie.
    fn data_files(self, directory: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                match self {
                    // The first holds the log of what was removed.
                    Self::Foyer => name.starts_with("foyer-") && !name.ends_with("00000000"),
                    Self::Extent => name == "data",
                }
            })
            .collect();
        files.sort();
        files
    }
}

/// Runs each of these tests on each engine.
macro_rules! on_each {
    ($($test:ident),* $(,)?) => {
        mod foyer {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(Engine::Foyer).await;
            })*
        }
        mod extent {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(Engine::Extent).await;
            })*
        }
    };
}
use on_each;

/// Offers until the queue has room.
async fn offer(store: &Arc<dyn ChunkStore>, key: ChunkKey, chunk: &Chunk) {
    while store.offer(key, chunk.clone()) != Admission::Accepted {
        store.flush().await;
    }
}

/// Offers the chunk of this key and length.
async fn put(store: &Arc<dyn ChunkStore>, key: ChunkKey, length: usize) {
    offer(store, key, &chunk(key, length)).await;
}

/// Whether the store has the chunk; fails on any other bytes than its own.
async fn holds(store: &Arc<dyn ChunkStore>, key: ChunkKey) -> bool {
    match store.read(&key).await {
        Some(found) => {
            assert!(found.data() == chunk(key, found.data().len()).data(), "wrong bytes: {key:?}");
            true
        }
        None => false,
    }
}

/// Bytes that the directory takes on its device.
fn device_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}
