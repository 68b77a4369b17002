//! The files of a store, and how their device does.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rustix::{
    buffer::spare_capacity,
    fs::{Advice, FallocateFlags},
    io::Errno,
};

use super::superblock::{DATA, MANIFEST, MANIFEST_NEW};
use crate::store::Health;

/// Failures in a row after which a device counts as gone.
const FAILURES_MAX: u32 = 3;

/// What a store asks of a disk. Tests put one in between that fails.
pub(super) trait Media: Send + Sync + fmt::Debug {
    /// Bytes of the data file; fewer than asked for only at its end.
    fn read(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Writes parts of the data file, one after the other.
    fn write(&self, at: u64, parts: &[&[u8]]) -> io::Result<()>;
    /// Takes a part of the data file out of the page cache, so that the next read of it is
    /// one of the device.
    fn forget(&self, at: u64, bytes: u64) -> io::Result<()>;
    /// Appends to the manifest.
    fn log(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Starts a new manifest beside the one there is.
    fn begin(&self) -> io::Result<()>;
    /// Writes a part of the new manifest.
    fn prepare(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the new manifest, which is on the device whole, the manifest.
    fn commit(&self) -> io::Result<()>;
}

/// Files in a directory.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    data: File,
    manifest: Mutex<Option<File>>,
    new: Mutex<Option<File>>,
}

impl Files {
    /// Opens or makes the data file, with all its room taken on the device at once: what is
    /// promised here cannot be missing later.
    pub(super) fn open(path: &Path, data_bytes: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let data = options.open(path.join(DATA))?;
        if data.metadata()?.len() > data_bytes {
            data.set_len(data_bytes)?;
        }
        match rustix::fs::fallocate(&data, FallocateFlags::empty(), 0, data_bytes) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                tracing::warn!(
                    path = %path.display(),
                    "chunk store: this file system cannot take room in advance; another \
                     program may fill the disk"
                );
                data.set_len(data_bytes)?;
            }
            Err(error) => return Err(error.into()),
        }
        // Each read asks for what it wants: what the kernel would read ahead is another chunk.
        if let Err(error) = rustix::fs::fadvise(&data, 0, None, Advice::Random) {
            tracing::debug!(%error, "chunk store: no advice taken");
        }
        let manifest = Mutex::new(None);
        Ok(Self { path: path.to_owned(), data, manifest, new: Mutex::new(None) })
    }

    /// The manifest as it is; `None` where there is none.
    pub(super) fn manifest(&self) -> io::Result<Option<File>> {
        match OpenOptions::new().read(true).write(true).open(self.path.join(MANIFEST)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Goes on with a manifest of `end` good bytes.
    pub(super) fn go_on(&self, manifest: File, end: u64) -> io::Result<()> {
        manifest.set_len(end)?;
        *self.manifest.lock() = Some(manifest);
        Ok(())
    }
}

fn not_open() -> io::Error {
    io::Error::other("the manifest is not open")
}

impl Media for Files {
    fn read(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut into = Vec::with_capacity(bytes);
        while into.len() < bytes {
            let from = at + into.len() as u64;
            match rustix::io::pread(&self.data, spare_capacity(&mut into), from) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        into.truncate(bytes);
        Ok(into)
    }

    fn write(&self, mut at: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        // Leading empty ones, too: a write of none would never end.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match rustix::io::pwritev(&self.data, rest, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    at += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn forget(&self, at: u64, bytes: u64) -> io::Result<()> {
        let bytes = std::num::NonZero::new(bytes);
        Ok(rustix::fs::fadvise(&self.data, at, bytes, Advice::DontNeed)?)
    }

    fn log(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.manifest.lock().as_ref().ok_or_else(not_open)?.write_all_at(bytes, at)
    }

    fn begin(&self) -> io::Result<()> {
        let file = File::create(self.path.join(MANIFEST_NEW))?;
        *self.new.lock() = Some(file);
        Ok(())
    }

    fn prepare(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.new.lock().as_ref().ok_or_else(not_open)?.write_all_at(bytes, at)
    }

    fn commit(&self) -> io::Result<()> {
        let new = self.new.lock().take().ok_or_else(not_open)?;
        new.sync_all()?;
        fs::rename(self.path.join(MANIFEST_NEW), self.path.join(MANIFEST))?;
        File::open(&self.path)?.sync_all()?;
        *self.manifest.lock() = Some(new);
        Ok(())
    }
}

/// A disk that counts what it fails.
#[derive(Debug)]
pub(super) struct Device {
    path: PathBuf,
    pub(super) media: Box<dyn Media>,
    pub(super) written: AtomicU64,
    errors: AtomicU64,
    in_a_row: AtomicU32,
    last: Mutex<Option<String>>,
    online: AtomicBool,
}

impl Device {
    pub(super) fn new(path: PathBuf, media: Box<dyn Media>) -> Self {
        Self {
            path,
            media,
            written: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            in_a_row: AtomicU32::new(0),
            last: Mutex::new(None),
            online: AtomicBool::new(true),
        }
    }

    pub(super) fn online(&self) -> bool {
        self.online.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.online.store(false, Ordering::Relaxed);
    }

    /// Counts a call that succeeded or failed; `None` when it failed.
    pub(super) fn note<T>(&self, action: &'static str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.in_a_row.store(0, Ordering::Relaxed);
                Some(value)
            }
            Err(error) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                let path = self.path.display();
                if in_a_row == 1 {
                    tracing::warn!(%path, action, %error, "chunk store: the device failed");
                }
                *self.last.lock() = Some(format!("cannot {action}: {error}"));
                if in_a_row >= FAILURES_MAX && self.online.swap(false, Ordering::Relaxed) {
                    tracing::error!(
                        %path, action, %error,
                        "chunk store: the device fails every call (full or broken?); going on \
                         without it until the next start"
                    );
                }
                None
            }
        }
    }

    pub(super) fn health(&self) -> Health {
        Health {
            online: self.online(),
            errors: self.errors.load(Ordering::Relaxed),
            errors_in_a_row: self.in_a_row.load(Ordering::Relaxed),
            last_error: self.last.lock().clone(),
        }
    }
}
