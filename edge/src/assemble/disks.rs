//! The disks of a configuration, opened: what cannot be used is offline with a reason, and no
//! reason not to start.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};
use weir_config::edge::EdgeConfig;
use weir_config_lifecycle::Clock;
use weir_edge_cache::{
    ChunkStore, ExtentConfig, ExtentStore,
    disks::{Disks, DisksConfig, DisksError, Drive, Folder, Rule, StoreOpener, doubts},
};

use crate::judge::chain;

/// RAM for each chunk on disk, where they are whole ones; smaller ones are more.
const INDEX_BYTES: u64 = 16;
/// A process that was killed keeps its locks until the kernel has taken its memory back.
const WAIT: Duration = Duration::from_secs(2);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Opens all of them; nothing where there are none. `buffers` are for all together.
pub(super) async fn disks(
    config: &EdgeConfig,
    buffers: u64,
    clock: &Arc<dyn Clock>,
    fills: &Handle,
) -> Result<Option<Arc<Disks>>, DisksError> {
    let disks = &config.cache.disks;
    if disks.is_empty() {
        return Ok(None);
    }
    for doubt in odd(config) {
        tracing::warn!("{doubt}");
    }
    let each = buffers / disks.len() as u64;
    let register = register(&config.cache.state);
    let beside = register.parent().filter(|folder| !folder.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new(".")).to_owned();
    let drives = disks.iter().map(|disk| {
        let opener = opener(&config.node.name, disk.size.as_u64(), each, fills.clone());
        let folder = Folder::new(disk.path.clone(), beside.clone(), opener, fills.clone());
        (Arc::new(folder) as Arc<dyn Drive>, disk.size.as_u64())
    });
    let drives: Vec<_> = drives.collect();
    let open = || {
        let config = DisksConfig {
            node: config.node.name.clone(),
            register: Some(register.clone()),
            rule: Rule::default(),
            clock: Arc::clone(clock),
            draw: Box::new(drawn),
        };
        Disks::open(config, drives.clone(), fills.clone())
    };
    let is_used = |error: &DisksError| matches!(error, DisksError::InUse { .. });
    Ok(Some(Arc::new(patiently(open, is_used).await?)))
}

/// Opens what another process may just be letting go of.
async fn patiently<T, E: std::fmt::Display>(
    open: impl AsyncFn() -> Result<T, E>,
    is_used: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match open().await {
            Err(error) if is_used(&error) && began.elapsed() < WAIT => {
                if began.elapsed() < LOOK {
                    tracing::warn!("{error}. Waiting for it for {} s", WAIT.as_secs());
                }
                sleep(LOOK).await;
            }
            done => return done,
        }
    }
}

/// What is odd about the disks of a configuration, though no mistake.
pub fn odd(config: &EdgeConfig) -> Vec<String> {
    let disks = config.cache.disks.iter().map(|disk| (disk.path.clone(), disk.size.as_u64()));
    let mut odd = doubts(&disks.collect::<Vec<_>>());
    odd.extend(index_doubt(config));
    odd
}

/// Where the disks are so large that little RAM is left beside what their chunks are found by.
fn index_doubt(config: &EdgeConfig) -> Option<String> {
    const MIB: u64 = 1 << 20;
    let chunks: u64 = config.cache.disks.iter().map(|disk| disk.size.as_u64() / MIB).sum();
    let (index, memory) = (chunks * INDEX_BYTES / MIB, config.cache.memory.as_u64() / MIB);
    (index > memory / 4).then(|| {
        format!(
            "the chunks on the disks are found by {index} MiB of RAM at least, out of the \
             {memory} MiB of cache.memory: give it {} MiB or more",
            index * 4
        )
    })
}

/// Beside the state file, and of its name: nodes that share a folder share neither.
fn register(state: &Path) -> PathBuf {
    state.with_extension("disks")
}

/// Opens the store of one disk.
fn opener(node: &str, size_bytes: u64, buffer_bytes: u64, fills: Handle) -> Arc<StoreOpener> {
    let node = node.to_owned();
    Arc::new(move |path: PathBuf| {
        let new_disk = u128::from(drawn()) << 64 | u128::from(drawn());
        let node = node.clone();
        let config = ExtentConfig { path, size_bytes, buffer_bytes, node, new_disk };
        // It takes its room on the disk and reads its manifest.
        let opened = fills.spawn_blocking(move || ExtentStore::open(config));
        async move {
            let opened = opened.await.map_err(|error| error.to_string())?;
            let store = opened.map_err(|error| chain(&error))?;
            Ok(Arc::new(store) as Arc<dyn ChunkStore>)
        }
        .boxed()
    })
}

/// Each `RandomState` has its own keys, from the system's random source.
fn drawn() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    /// What is in use for so many looks is opened then, or not, and after so long.
    #[tokio::test(start_paused = true)]
    async fn a_lock_is_waited_for_a_short_while() {
        let check = async |looks: u32, error, expected: Result<u32, &'static str>, millis| {
            let (began, tried) = (Instant::now(), AtomicU32::new(0));
            let open = async || match tried.fetch_add(1, Relaxed) {
                nth if nth < looks => Err(error),
                nth => Ok(nth),
            };
            assert_eq!(patiently(open, |error| *error == "in use").await, expected, "{looks}");
            assert_eq!(began.elapsed().as_millis(), millis, "{looks}");
        };
        check(0, "in use", Ok(0), 0).await;
        check(3, "in use", Ok(3), 300).await;
        check(u32::MAX, "in use", Err("in use"), 2000).await;
        check(3, "damaged", Err("damaged"), 0).await;
    }
}
