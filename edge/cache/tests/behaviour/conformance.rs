//! What a disk tier has to do behind the port: one suite, which whatever takes the extent
//! store's place has to pass.

mod crash;
mod keeping;
mod optional;
mod rot;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_edge_cache::{ChunkKey, ChunkStore};

use crate::support::{chunk, holds, offer, open, try_open};

/// Files in which chunks lie.
fn data_files(directory: &Path) -> Vec<PathBuf> {
    vec![directory.join("data")]
}

/// Offers the chunk of this key and length.
async fn put(store: &Arc<dyn ChunkStore>, key: ChunkKey, length: usize) {
    offer(store, key, &chunk(key, length)).await;
}

/// Bytes that the directory takes on its device.
fn device_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}
