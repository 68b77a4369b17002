//! The files of a store, and how their device does.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::{
    buffer::spare_capacity,
    fs::{Advice, FallocateFlags},
    io::Errno,
};

use super::{
    geometry::{PAGE, REGION},
    superblock::{DATA, MANIFEST, MANIFEST_NEW},
};
use crate::store::Health;

/// Failures in a row after which a device counts as gone.
const FAILURES_MAX: u32 = 3;

/// How bytes go to the device and come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Through the page cache.
    Cached,
    /// Past it, where the file system can: what is large is in the RAM tier if it is wanted
    /// again, and the kernel's copy of it costs memory and time.
    Direct,
}

/// What a store asks of a disk. Tests put one in between that fails.
pub(super) trait Media: Send + Sync + fmt::Debug {
    /// Bytes of the data file; fewer than asked for only at its end.
    fn read(&self, at: u64, bytes: usize, way: Way) -> io::Result<Bytes>;
    /// Writes parts of the data file, one after the other. Past the page cache they start
    /// and end at pages.
    fn write(&self, at: u64, parts: &[&[u8]], way: Way) -> io::Result<()>;
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
    /// The same, past the page cache.
    direct: Option<File>,
    /// What is written past it is copied, since it has to lie at a page: one buffer for each
    /// thread that writes.
    scratch: Mutex<Vec<Vec<u8>>>,
    manifest: Mutex<Option<File>>,
    /// The one that is being written.
    new: Mutex<Option<File>>,
    /// An empty one with room, for the next time.
    spare: Mutex<Option<File>>,
    manifest_max: u64,
}

impl Files {
    /// Opens or makes the data file, with all its room and that of two manifests taken on the
    /// device at once: what is promised here cannot be missing later.
    pub(super) fn open(path: &Path, data_bytes: u64, manifest_max: u64) -> io::Result<Self> {
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
        // tmpfs and some others cannot.
        let direct = options.custom_flags(libc::O_DIRECT).open(path.join(DATA)).ok();
        let files = Self {
            path: path.to_owned(),
            data,
            direct,
            scratch: Mutex::new(Vec::new()),
            manifest: Mutex::new(None),
            new: Mutex::new(None),
            spare: Mutex::new(None),
            manifest_max,
        };
        *files.spare.lock() = Some(files.beside()?);
        Ok(files)
    }

    /// An empty file beside the manifest, with room for all that one may become.
    fn beside(&self) -> io::Result<File> {
        let file = File::create(self.path.join(MANIFEST_NEW))?;
        self.take_room(&file);
        Ok(file)
    }

    /// Takes room past a file's end, so that it can still grow when others have filled the
    /// file system. Where there is none left it goes on without.
    fn take_room(&self, file: &File) {
        if let Err(error) =
            rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, self.manifest_max)
        {
            tracing::debug!(path = %self.path.display(), %error, "chunk store: no room taken");
        }
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
        self.take_room(&manifest);
        *self.manifest.lock() = Some(manifest);
        Ok(())
    }
}

fn not_open() -> io::Error {
    io::Error::other("the manifest is not open")
}

/// Where a page starts in a buffer.
fn page_start(buffer: &[u8]) -> usize {
    buffer.as_ptr().align_offset(PAGE as usize).min(PAGE as usize)
}

/// Reads past the page cache: whole pages, of which the wanted bytes are cut out.
fn read_direct(file: &File, at: u64, bytes: usize) -> io::Result<Bytes> {
    let first = at / PAGE * PAGE;
    let length = ((at + bytes as u64).next_multiple_of(PAGE) - first) as usize;
    let mut buffer = vec![0; length + PAGE as usize];
    let start = page_start(&buffer);
    let mut read = 0;
    while read < length {
        let into = &mut buffer[start + read..start + length];
        match rustix::io::pread(file, into, first + read as u64) {
            Ok(0) => break,
            Ok(more) => {
                read += more;
                // Short of a page: the end of the file.
                if !read.is_multiple_of(PAGE as usize) {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let skipped = (at - first) as usize;
    let end = read.min(skipped + bytes).max(skipped);
    Ok(Bytes::from(buffer).slice(start + skipped..start + end))
}

impl Media for Files {
    fn read(&self, at: u64, bytes: usize, way: Way) -> io::Result<Bytes> {
        if way == Way::Direct
            && let Some(direct) = &self.direct
        {
            return read_direct(direct, at, bytes);
        }
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
        Ok(into.into())
    }

    fn write(&self, mut at: u64, parts: &[&[u8]], way: Way) -> io::Result<()> {
        if way == Way::Direct
            && let Some(direct) = &self.direct
        {
            let length: usize = parts.iter().map(|part| part.len()).sum();
            let mut buffer = self.scratch.lock().pop().unwrap_or_default();
            if buffer.len() < length + PAGE as usize {
                // For the largest, so that it is made once.
                buffer = vec![0; length.max(REGION as usize) + PAGE as usize];
            }
            let start = page_start(&buffer);
            let mut end = start;
            for part in parts {
                buffer[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
            let written = direct.write_all_at(&buffer[start..end], at);
            self.scratch.lock().push(buffer);
            return written;
        }
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
        let spare = self.spare.lock().take();
        // What a try that failed has left must not be taken for this one's log.
        let file = spare.map_or_else(|| self.beside(), Ok)?;
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
        // The former one lets go of its room here, and the next one takes it.
        *self.manifest.lock() = Some(new);
        *self.spare.lock() = self.beside().ok();
        Ok(())
    }
}

/// A disk that counts what it fails.
#[derive(Debug)]
pub(super) struct Device {
    path: PathBuf,
    pub(super) media: Box<dyn Media>,
    pub(super) written: AtomicU64,
    /// Bytes of the data file that were read.
    pub(super) read: AtomicU64,
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
            read: AtomicU64::new(0),
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
