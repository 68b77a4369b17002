//! The port over one local directory.
//!
//! ```text
//! format              "weir-store 1"
//! lock                held as long as a process uses the directory
//! buckets/B/…         objects, one file each: see `format` for its inside, `path` for its name
//! uploads/B/ID/…      uploads in parts
//! temporary/N         what is being written; cleared at the start
//! ```
//!
//! **What lasts.** Kill -9 at any moment leaves each object whole as it was or whole as it was
//! to be, and what was acknowledged stays. With `durable`, the default, the same holds for a
//! loss of power: the file is synced before its rename and the folder after it. Without it, an
//! acknowledged write may be missing after a loss of power; a torn one still never reads as
//! whole, because every grain and every record carries a checksum.

mod adapter;
mod disk;
mod format;
mod list;
mod objects;
mod path;
mod read;
mod uploads;
mod write;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::Mutex;
use weir_config_lifecycle::Clock;

use self::disk::{Disk, Faults};
use crate::{port::StoreError, rules::check_bucket};

const FORMAT: &str = "weir-store 1\n";
/// Longest path of the root: the longest key's path and the file system's 4,096 bound it.
const MAX_ROOT_BYTES: usize = 700;
/// Locks that writes to the same key meet at.
const STRIPES: usize = 64;

/// How a directory is used.
#[derive(Debug, Clone)]
pub struct DirectoryOptions {
    /// Buckets that exist. Others on the disk stay untouched and unseen.
    pub buckets: Vec<String>,
    /// Whether acknowledged writes outlive a loss of power.
    pub durable: bool,
    /// Largest object in bytes. While one is written it costs 8 bytes of memory for each
    /// 256 KiB.
    pub max_object: u64,
    /// Open uploads of one bucket.
    pub max_uploads: usize,
    /// Stamps objects.
    pub clock: Arc<dyn Clock>,
}

impl DirectoryOptions {
    /// Durable, objects up to 1 TiB, 1,000 uploads at a time.
    pub fn new(buckets: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self { buckets, durable: true, max_object: 1 << 40, max_uploads: 1000, clock }
    }
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum OpenError {
    #[error("{path}: the path is longer than {MAX_ROOT_BYTES} bytes; put the store higher up")]
    TooDeep { path: PathBuf },
    #[error("{path}: is in use by another process; stop it or give this one its own directory")]
    InUse { path: PathBuf },
    #[error("{path}: holds files but no store; give an empty directory, or one that a store made")]
    Foreign { path: PathBuf },
    #[error("{path}: holds a store of format {found:?}, and this program knows {FORMAT:?}")]
    Format { path: PathBuf, found: String },
    #[error(transparent)]
    BadBucket(StoreError),
    #[error("{path}: cannot {action}; the directory must exist or be creatable, and be writable")]
    Io {
        path: PathBuf,
        action: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Objects in a local directory. Cheap to clone.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory").field(&self.0.root).finish()
    }
}

struct Inner {
    root: PathBuf,
    buckets: Vec<String>,
    max_object: u64,
    max_uploads: usize,
    clock: Arc<dyn Clock>,
    disk: Disk,
    count: AtomicU64,
    /// Held between looking at an object and replacing it.
    stripes: [Mutex<()>; STRIPES],
    /// Keeps other processes out until it is dropped.
    _lock: File,
}

impl Directory {
    /// Opens or makes the store at `root` and clears what a crash left behind. Blocks.
    pub fn open(root: &Path, options: DirectoryOptions) -> Result<Self, OpenError> {
        Self::open_with(root, options, None)
    }

    fn open_with(
        root: &Path,
        options: DirectoryOptions,
        faults: Option<Arc<dyn Faults>>,
    ) -> Result<Self, OpenError> {
        let wrong = |action| move |source| OpenError::Io { path: root.to_owned(), action, source };
        if root.as_os_str().len() > MAX_ROOT_BYTES {
            return Err(OpenError::TooDeep { path: root.to_owned() });
        }
        options
            .buckets
            .iter()
            .try_for_each(|bucket| check_bucket(bucket))
            .map_err(OpenError::BadBucket)?;
        fs::create_dir_all(root).map_err(wrong("make the directory"))?;
        let lock = claim(root)?;
        for folder in ["temporary", "buckets", "uploads"] {
            fs::create_dir_all(root.join(folder)).map_err(wrong("make its folders"))?;
        }
        for bucket in &options.buckets {
            for kind in ["buckets", "uploads"] {
                fs::create_dir_all(root.join(kind).join(bucket)).map_err(wrong("make a bucket"))?;
            }
        }
        for entry in fs::read_dir(root.join("temporary")).map_err(wrong("read temporary"))? {
            let path = entry.map_err(wrong("read temporary"))?.path();
            fs::remove_file(path).map_err(wrong("clear temporary"))?;
        }
        let mut buckets = options.buckets;
        buckets.sort();
        buckets.dedup();
        let inner = Inner {
            root: root.to_owned(),
            buckets,
            max_object: options.max_object,
            max_uploads: options.max_uploads,
            clock: options.clock,
            disk: Disk::new(options.durable, faults),
            count: AtomicU64::new(0),
            stripes: std::array::from_fn(|_| Mutex::new(())),
            _lock: lock,
        };
        for bucket in &inner.buckets {
            inner.clear_waste(bucket).map_err(wrong("clear ended uploads"))?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Writes and removes a small file: whether the disk still takes writes. Blocks.
    pub fn probe(&self) -> io::Result<()> {
        let path = self.0.temporary();
        let file = self.0.disk.create(&path)?;
        let outcome = self.0.disk.write(&file, b"probe");
        self.0.disk.remove_file(&path)?;
        outcome
    }
}

/// Takes the directory for this process, after a look at whether it is a store.
fn claim(root: &Path) -> Result<File, OpenError> {
    let wrong = |action| move |source| OpenError::Io { path: root.to_owned(), action, source };
    let marker = root.join("format");
    match fs::read_to_string(&marker) {
        Ok(found) if found == FORMAT => {}
        Ok(found) => return Err(OpenError::Format { path: root.to_owned(), found }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let own = |name: &std::ffi::OsStr| name == "lock" || name == "format.new";
            for entry in fs::read_dir(root).map_err(wrong("read it"))? {
                if !own(&entry.map_err(wrong("read it"))?.file_name()) {
                    return Err(OpenError::Foreign { path: root.to_owned() });
                }
            }
        }
        Err(error) => return Err(wrong("read its format")(error)),
    }
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(root.join("lock"))
        .map_err(wrong("write to it"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: root.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(wrong("lock it")(error)),
    }
    if !marker.exists() {
        let new = root.join("format.new");
        fs::write(&new, FORMAT).map_err(wrong("write to it"))?;
        fs::rename(&new, &marker).map_err(wrong("write to it"))?;
    }
    Ok(lock)
}

/// Runs what touches the disk off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(StoreError::Io {
            action: "finish work on the disk".to_owned(),
            source: io::Error::other(error),
        }),
    }
}
