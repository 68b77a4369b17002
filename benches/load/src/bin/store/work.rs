//! One measurement of one engine, in a process of its own: what it took is this process's.

use std::{
    collections::VecDeque,
    fs::{self, File},
    path::Path,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use rustix::fs::Advice;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use weir_benches_load::campaign::{CampaignError, cpu};
use weir_edge_cache::{
    Admission, Chunk, ChunkKey, ChunkStore, ExtentConfig, ExtentStore, ObjectId, Pinning,
};

use super::{Measurement, trace::Request};

const MIB: u64 = 1 << 20;
/// RAM for what waits to be written.
const BUFFER: u64 = 64 * MIB;
/// Reads at once.
const READERS: usize = 8;
/// Chunks that differ; what is written is not the same page again and again.
const KINDS: usize = 61;

pub(crate) fn unfit(what: impl std::fmt::Display) -> CampaignError {
    CampaignError::Unfit(format!("{what}"))
}

fn open(path: &Path, size_bytes: u64) -> Result<Arc<dyn ChunkStore>, CampaignError> {
    let (path, node) = (path.to_owned(), "bench".to_owned());
    let config = ExtentConfig { path, size_bytes, buffer_bytes: BUFFER, node, new_disk: 1 };
    Ok(Arc::new(ExtentStore::open(config).map_err(unfit)?))
}

/// Chunks of some bytes each; their length may be cut.
struct Chunks(Vec<Bytes>);

impl Chunks {
    fn new() -> Self {
        let mut random = SmallRng::seed_from_u64(7);
        let chunk = || {
            let mut bytes = vec![0; MIB as usize];
            random.fill_bytes(&mut bytes);
            Bytes::from(bytes)
        };
        Self(std::iter::repeat_with(chunk).take(KINDS).collect())
    }

    fn of(&self, key: &ChunkKey, length: u32) -> Bytes {
        let kind = key.object.0 as usize ^ key.index as usize;
        self.0[kind % KINDS].slice(..length as usize)
    }
}

async fn offer(store: &Arc<dyn ChunkStore>, key: ChunkKey, data: Bytes) {
    let chunk = Chunk::seal(data);
    while store.offer(key, chunk.clone()) == Admission::Busy {
        store.flush().await;
    }
}

fn film(index: u64) -> ChunkKey {
    ChunkKey {
        object: ObjectId(u128::from(index / 4096)),
        generation: 1,
        index: (index % 4096) as u32,
    }
}

/// Takes what the kernel keeps of these files out of memory; the device has all of it first.
fn forget(directory: &Path) -> Result<(), CampaignError> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            let file = File::open(&path)?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).map_err(unfit)?;
        }
    }
    Ok(())
}

/// Bytes this process has had written to a device, so far.
fn device_bytes() -> Result<u64, CampaignError> {
    let text = fs::read_to_string("/proc/self/io")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<u64>().ok())
    };
    let (written, taken_back) = (field("write_bytes:"), field("cancelled_write_bytes:"));
    match (written, taken_back) {
        (Some(written), Some(taken_back)) => Ok(written.saturating_sub(taken_back)),
        _ => Err(unfit("/proc/self/io is not as expected")),
    }
}

fn cpu() -> Result<f64, CampaignError> {
    Ok(cpu::of_tree(std::process::id())?.as_secs_f64())
}

pub(crate) async fn measure(
    measurement: Measurement,
    directory: &Path,
    size: u64,
    amount: u64,
    seed: u64,
) -> Result<Value, CampaignError> {
    match measurement {
        Measurement::Read => read(directory, size, amount).await,
        Measurement::Write => write(directory, size, amount).await,
        Measurement::Pour => pour(directory, size, amount).await,
        Measurement::Fill => fill(directory, size).await,
        Measurement::Recover => recover(directory, size).await,
        Measurement::Pin => pin(directory, size).await,
        Measurement::Replay(trace) => {
            replay(directory, size, trace.requests(size, seed).take(amount as usize)).await
        }
    }
}

/// Chunks of 1 MiB that are read and recovered; the engine before this one kept no more.
fn kept(size: u64) -> u64 {
    size / MIB * 3 / 5
}

/// Reads `amount` chunks of 1 MiB in no order, from the device.
async fn read(directory: &Path, size: u64, amount: u64) -> Result<Value, CampaignError> {
    let store = open(directory, size)?;
    let (chunks, kept) = (Chunks::new(), kept(size));
    for index in 0..kept {
        offer(&store, film(index), chunks.of(&film(index), MIB as u32)).await;
    }
    store.flush().await;
    let pass = async |cold: bool| -> Result<(f64, f64, u64), CampaignError> {
        let (mut used, mut took, mut found) = (0.0, 0.0, 0);
        let mut done = 0;
        while done < amount {
            if cold {
                forget(directory)?;
            }
            // A part of the store at a time, so that no chunk is in memory from before.
            let many = kept.min(amount - done);
            let (before, begun) = (cpu()?, Instant::now());
            found += read_all(&store, kept, many).await?;
            used += cpu()? - before;
            took += begun.elapsed().as_secs_f64();
            done += many;
        }
        Ok((used, took, found))
    };
    let (used, took, found) = pass(true).await?;
    let (warm, warm_took, _) = pass(false).await?;
    let gigabytes = (found * MIB) as f64 / 1e9;
    let failures = store.stats().checksum_failures;
    Ok(json!({
        "cpu_s_per_gb": used / gigabytes,
        "gb_per_s": gigabytes / took,
        "warm_cpu_s_per_gb": warm / gigabytes,
        "warm_gb_per_s": gigabytes / warm_took,
        "found": found,
        "asked": amount,
        "failures": failures,
    }))
}

async fn read_all(store: &Arc<dyn ChunkStore>, kept: u64, many: u64) -> Result<u64, CampaignError> {
    let mut readers = JoinSet::new();
    for reader in 0..READERS as u64 {
        let store = store.clone();
        readers.spawn(async move {
            let mut found = 0;
            for n in (reader..many).step_by(READERS) {
                // Each once, far from the one before.
                let index = n * 7919 % kept;
                found += u64::from(store.read(&film(index)).await.is_some());
            }
            found
        });
    }
    let found = readers.join_all().await;
    Ok(found.into_iter().sum())
}

/// Writes `amount` MiB of many sizes into a store that is full.
async fn write(directory: &Path, size: u64, amount: u64) -> Result<Value, CampaignError> {
    let store = open(directory, size)?;
    let chunks = Chunks::new();
    let lengths = [MIB as u32, MIB as u32, MIB as u32, 600_000, 200_000, 40_000, 5_000];
    let mut next = 0;
    let mut pour = async |bytes: u64| {
        let mut poured = 0;
        while poured < bytes {
            let length = lengths[next as usize % lengths.len()];
            let key = film(next);
            offer(&store, key, chunks.of(&key, length)).await;
            // Some are read again before they leave, as chunks are that are worth keeping.
            if next % 4 == 0 && next > 100 {
                store.read(&film(next - 100)).await;
            }
            next += 1;
            poured += u64::from(length);
        }
        store.flush().await;
    };
    pour(size).await;
    let (written, accepted) = (device_bytes()?, store.stats());
    let (before, begun) = (cpu()?, Instant::now());
    pour(amount * MIB).await;
    let stats = store.stats();
    let bytes = (stats.accepted_bytes - accepted.accepted_bytes) as f64;
    let (used, took) = (cpu()? - before, begun.elapsed().as_secs_f64());
    Ok(json!({
        "amplification": (device_bytes()? - written) as f64 / bytes,
        "told": (stats.device_written_bytes - accepted.device_written_bytes) as f64 / bytes,
        "cpu_s_per_gb": used / (bytes / 1e9),
        "gb_per_s": bytes / 1e9 / took,
        "lost": stats.lost_chunks,
    }))
}

/// Writes `amount` chunks of 1 MiB into a store that is full, as fast as it takes them, and has
/// them on the device at the end. Their sums are made beforehand: they are a fill's.
async fn pour(directory: &Path, size: u64, amount: u64) -> Result<Value, CampaignError> {
    let store = open(directory, size)?;
    let chunks: Vec<_> = Chunks::new().0.into_iter().map(Chunk::seal).collect();
    let pass = async |from: u64, amount: u64| {
        let mut waits = 0_u64;
        for index in from..from + amount {
            let chunk = &chunks[index as usize % KINDS];
            while store.offer(film(index), chunk.clone()) == Admission::Busy {
                waits += 1;
                store.flush().await;
            }
        }
        store.flush().await;
        waits
    };
    let full = size / MIB;
    pass(0, full).await;
    let accepted = store.stats().accepted_bytes;
    let (before, begun) = (cpu()?, Instant::now());
    let waits = pass(full, amount).await;
    let (used, took) = (cpu()? - before, begun.elapsed().as_secs_f64());
    let syncing = Instant::now();
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    let stats = store.stats();
    let bytes = (stats.accepted_bytes - accepted) as f64;
    Ok(json!({
        "cpu_s_per_gb": used / (bytes / 1e9),
        "mb_per_s": bytes / 1e6 / took,
        "gb": bytes / 1e9,
        "sync_s": syncing.elapsed().as_secs_f64(),
        "waits": waits,
        "lost": stats.lost_chunks,
    }))
}

/// Fills the store, says how much is in it, and waits to be killed.
async fn fill(directory: &Path, size: u64) -> Result<Value, CampaignError> {
    let store = open(directory, size)?;
    let (chunks, kept) = (Chunks::new(), kept(size));
    for index in 0..kept {
        offer(&store, film(index), chunks.of(&film(index), MIB as u32)).await;
    }
    store.flush().await;
    // Stays open: nothing is put in order at an end.
    std::mem::forget(store);
    Ok(json!({ "bytes": kept * MIB }))
}

/// Opens what was left behind, until it has told of each chunk whether it is there.
async fn recover(directory: &Path, size: u64) -> Result<Value, CampaignError> {
    forget(directory)?;
    let begun = Instant::now();
    let store = open(directory, size)?;
    let kept = kept(size);
    let there = (0..kept).filter(|index| store.contains(&film(*index))).count();
    let took = begun.elapsed().as_secs_f64();
    let mut read = 0;
    for index in (0..kept).step_by(97) {
        read += u64::from(store.read(&film(index)).await.is_some());
    }
    let asked = kept.div_ceil(97);
    Ok(json!({ "seconds": took, "there": there, "asked": kept, "read": read, "looked": asked }))
}

/// Pins a tenth of the store, then pours three times its size through it.
async fn pin(directory: &Path, size: u64) -> Result<Value, CampaignError> {
    let store = open(directory, size)?;
    let chunks = Chunks::new();
    let pinned = (size / MIB / 10) as u32;
    let key = |index| ChunkKey { object: ObjectId(77 << 64), generation: 1, index };
    for index in 0..pinned {
        offer(&store, key(index), chunks.of(&key(index), MIB as u32)).await;
    }
    store.flush().await;
    let answer = store.pin(&key(0).object, 1, 0..pinned);
    for index in 0..3 * size / MIB {
        offer(&store, film(index), chunks.of(&film(index), MIB as u32)).await;
    }
    store.flush().await;
    let mut kept = 0;
    for index in 0..pinned {
        kept += u64::from(store.read(&key(index)).await.is_some());
    }
    let can = answer != Pinning::Unsupported;
    Ok(json!({ "ratio": kept as f64 / f64::from(pinned), "can": can }))
}

/// Serves requests: reads, and writes what was not there.
async fn replay(
    directory: &Path,
    size: u64,
    requests: impl Iterator<Item = Request>,
) -> Result<Value, CampaignError> {
    let store = open(directory, size)?;
    let chunks = Chunks::new();
    let (mut hit, mut all, mut seen) = (0, 0, 0_u64);
    let (mut warm_up, begun) = (0, Instant::now());
    // A few at once, as fills are.
    let mut filling = VecDeque::new();
    for Request { key, length } in requests {
        seen += 1;
        let found = store.read(&key).await.is_some();
        if !found {
            filling.push_back((key, length));
            if filling.len() > 4
                && let Some((key, length)) = filling.pop_front()
            {
                offer(&store, key, chunks.of(&key, length)).await;
            }
        }
        // Counted from when three times the store was asked for.
        if warm_up < 3 * size {
            warm_up += u64::from(length);
            continue;
        }
        all += u64::from(length);
        hit += u64::from(length) * u64::from(found);
    }
    let stats = store.stats();
    Ok(json!({
        "ratio": hit as f64 / (all as f64).max(1.0),
        "gb": all as f64 / 1e9,
        "requests": seen,
        "seconds": begun.elapsed().as_secs_f64(),
        "failures": stats.checksum_failures + stats.io_errors + stats.lost_chunks,
    }))
}
