//! Disks that do what a test says.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;

use crate::{
    chunk::{Chunk, ChunkKey},
    disks::{
        DiskId, Drive, Space,
        claim::{Inspection, Label, Marker},
        drive::OpenFailure,
    },
    store::{Admission, ChunkStore, Health, StoreStats},
};

/// How the device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    Works,
    /// Every call fails with this errno.
    Fails(i32),
    /// Reads of chunks fail; probes go well.
    BadSectors,
    /// Writes of chunks fail for want of room; probes go well and find none.
    Full,
    /// Its folder is gone; what is open works on.
    Deleted,
    /// No call returns.
    Hangs,
    /// Reads of chunks do not return; probes go well.
    SlowReads,
}

#[derive(Debug)]
pub(super) struct Platter {
    pub(super) device: Device,
    pub(super) marker: Marker,
    pub(super) chunks: HashMap<ChunkKey, Chunk>,
    pub(super) mounted: bool,
    errors: u64,
    written: u64,
    /// Stores that are open.
    pub(super) open: u32,
    pub(super) probes: u32,
    pub(super) busy: bool,
    /// What opening says.
    pub(super) refuses: Option<String>,
}

/// A disk that outlives the node.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    path: PathBuf,
    pub(super) at: Arc<Mutex<Platter>>,
}

impl Disk {
    pub(super) fn new(path: &str) -> Self {
        let platter = Platter {
            device: Device::Works,
            marker: Marker::Missing,
            chunks: HashMap::new(),
            mounted: true,
            errors: 0,
            written: 0,
            open: 0,
            probes: 0,
            busy: false,
            refuses: None,
        };
        Self { path: path.into(), at: Arc::new(Mutex::new(platter)) }
    }

    pub(super) fn set(&self, device: Device) {
        self.at.lock().device = device;
    }

    pub(super) fn len(&self) -> usize {
        self.at.lock().chunks.len()
    }

    fn fails(&self) -> io::Result<()> {
        match self.at.lock().device {
            Device::Fails(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    /// What no call comes back from.
    async fn hang(&self, reads: bool) {
        let device = self.at.lock().device;
        if device == Device::Hangs || (reads && device == Device::SlowReads) {
            std::future::pending::<()>().await;
        }
    }
}

impl Drive for Disk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn inspect(&self) -> BoxFuture<'static, io::Result<Inspection>> {
        let disk = self.clone();
        async move {
            disk.hang(false).await;
            disk.fails()?;
            let at = disk.at.lock();
            let (marker, mounted) = (at.marker.clone(), at.mounted);
            Ok(Inspection { marker, mounted, old_store: false, foreign: None })
        }
        .boxed()
    }

    fn take(&self, label: Label, fresh: bool) -> BoxFuture<'static, io::Result<()>> {
        let disk = self.clone();
        async move {
            disk.hang(false).await;
            disk.fails()?;
            let mut at = disk.at.lock();
            at.marker = Marker::Found(label);
            if fresh {
                at.chunks.clear();
            }
            Ok(())
        }
        .boxed()
    }

    fn release(&self) {}

    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn ChunkStore>, OpenFailure>> {
        let disk = self.clone();
        async move {
            if let Some(why) = disk.at.lock().refuses.clone() {
                return Err(why);
            }
            disk.at.lock().open += 1;
            Ok(Arc::new(Store { disk: disk.clone() }) as Arc<dyn ChunkStore>)
        }
        .boxed()
    }

    fn there(&self) -> BoxFuture<'static, io::Result<()>> {
        let disk = self.clone();
        async move {
            disk.hang(false).await;
            match disk.at.lock().device {
                Device::Deleted => Err(io::Error::from_raw_os_error(libc::ENOENT)),
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn probe(&self, _: DiskId) -> BoxFuture<'static, io::Result<Space>> {
        let disk = self.clone();
        async move {
            disk.at.lock().probes += 1;
            disk.hang(false).await;
            disk.fails()?;
            disk.there().await?;
            let free_bytes = if disk.at.lock().device == Device::Full { 0 } else { 1 << 40 };
            Ok(Space { total_bytes: 1 << 41, free_bytes, held_bytes: 4096 })
        }
        .boxed()
    }
}

#[derive(Debug)]
pub(super) struct Store {
    disk: Disk,
}

impl ChunkStore for Store {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        async move {
            self.disk.hang(true).await;
            let mut at = self.disk.at.lock();
            if matches!(at.device, Device::Fails(_) | Device::BadSectors) {
                at.errors += 1;
                // Not again and again.
                at.chunks.remove(key);
                return None;
            }
            at.chunks.get(key).cloned()
        }
        .boxed()
    }

    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        let mut at = self.disk.at.lock();
        if at.busy {
            return Admission::Busy;
        }
        if matches!(at.device, Device::Fails(_) | Device::Full) {
            at.errors += 1;
            return Admission::Accepted;
        }
        at.written += chunk.data().len() as u64;
        at.chunks.insert(key, chunk);
        Admission::Accepted
    }

    fn remove(&self, key: &ChunkKey) {
        self.disk.at.lock().chunks.remove(key);
    }

    fn contains(&self, key: &ChunkKey) -> bool {
        self.disk.at.lock().chunks.contains_key(key)
    }

    fn holds<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<bool>> {
        async move {
            self.disk.hang(true).await;
            Some(self.contains(key))
        }
        .boxed()
    }

    fn stats(&self) -> StoreStats {
        let at = self.disk.at.lock();
        StoreStats {
            capacity_bytes: 1 << 30,
            io_errors: at.errors,
            device_written_bytes: at.written,
            chunks: Some(at.chunks.len() as u64),
            online: true,
            ..StoreStats::default()
        }
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.disk.hang(false).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.disk.hang(false).await;
            self.disk.at.lock().open -= 1;
        }
        .boxed()
    }

    fn health(&self) -> Health {
        let at = self.disk.at.lock();
        let errno = if at.device == Device::Full { libc::ENOSPC } else { libc::EIO };
        let last_error = Some(io::Error::from_raw_os_error(errno).to_string());
        Health { online: true, errors: at.errors, errors_in_a_row: 0, last_error }
    }
}
