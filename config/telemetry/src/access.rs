//! The access log: one line a request, written by one thread.
//!
//! A request formats its line straight into the buffer of its core and goes on; nothing is
//! allocated, nobody is woken and no two cores share a lock. The writer swaps the buffers out
//! every quarter of a second, earlier when one is half full. Lines of one core are in order,
//! those of different cores are not. What does not fit is counted, never waited for.
//!
//! Worst-case memory: two buffers of [`AccessOptions::buffer`] and a line for each shard.

pub mod cmcd;
pub mod entry;
pub mod filter;
mod format;
mod rotate;
mod writer;

use std::{
    cell::Cell,
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

pub use format::AccessFormat;
pub use rotate::Rotation;

use entry::Entry;
use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use thiserror::Error;

/// Longer lines are dropped and counted.
const LONGEST_LINE: usize = 16 << 10;

/// Sizes and times of an access log.
#[derive(Debug, Clone, Copy)]
pub struct AccessOptions {
    /// Buffers; one for each thread that writes is best. At least 1.
    pub shards: usize,
    /// Bytes of each buffer.
    pub buffer: usize,
    /// The longest time a line waits for the file.
    pub flush: Duration,
    /// How [`AccessLog::entry`] writes lines, and what a file begins with.
    pub format: AccessFormat,
    /// At first; nothing where somebody else moves the files.
    pub rotation: Option<Rotation>,
}

impl Default for AccessOptions {
    fn default() -> Self {
        let shards = thread::available_parallelism().map_or(1, usize::from);
        let flush = Duration::from_millis(200);
        let format = AccessFormat::default();
        Self { shards, buffer: 1 << 20, flush, format, rotation: None }
    }
}

/// Why the access log cannot start.
#[derive(Debug, Error)]
pub enum AccessLogError {
    /// The file cannot be opened for appending.
    #[error("cannot open the access log {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No thread for the writer.
    #[error("cannot start the thread of the access log")]
    Thread(#[source] io::Error),
}

/// Cheap to clone. The last clone writes out what is left when it is dropped.
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Owner>);

/// Ends the writer when the last handle is gone.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// On a cache line of its own: neighbours belong to other cores.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Vec<u8>>);

/// What requests and the writer share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: AccessOptions,
    shards: Box<[Shard]>,
    /// Set when a buffer is half full, so that the writer is woken once and not for each line.
    nudged: AtomicBool,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Why lines are lost just now.
    failing: Mutex<Option<String>>,
    /// Nothing where somebody else moves the files.
    rotation: Mutex<Option<Rotation>>,
    orders: Mutex<Orders>,
    wake: Condvar,
    done: Condvar,
}

/// What the writer is asked to do beyond its rounds.
#[derive(Debug, Default)]
struct Orders {
    reopen: bool,
    rotate: bool,
    close: bool,
    /// Rounds asked for and rounds done.
    asked: u64,
    finished: u64,
}

impl AccessLog {
    /// Opens the file for appending, made with mode 0640 when missing, and starts the writer.
    ///
    /// # Errors
    /// When the file or the thread cannot be had.
    pub fn open(path: &Path, options: AccessOptions) -> Result<Self, AccessLogError> {
        let file = open(path)
            .map_err(|source| AccessLogError::Open { path: path.to_path_buf(), source })?;
        let shards = (0..options.shards.max(1)).map(|_| Shard::default()).collect();
        let shared = Arc::new(Shared {
            path: path.to_path_buf(),
            options,
            shards,
            nudged: AtomicBool::new(false),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failing: Mutex::default(),
            rotation: Mutex::new(options.rotation),
            orders: Mutex::default(),
            wake: Condvar::new(),
            done: Condvar::new(),
        });
        let writer = writer::Writer::new(Arc::clone(&shared), file);
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())
            .map_err(AccessLogError::Thread)?;
        Ok(Self(Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) })))
    }

    /// Adds one line: `entry` as JSON.
    pub fn record(&self, entry: &impl Serialize) {
        self.0.shared.append(|buffer| serde_json::to_writer(buffer, entry).is_ok());
    }

    /// Adds one line: `entry` in the form of the options.
    pub fn entry(&self, entry: &Entry<'_>) {
        let shared = &self.0.shared;
        shared.append(|buffer| shared.options.format.write(entry, buffer));
    }

    /// Its form.
    pub fn format(&self) -> AccessFormat {
        self.0.shared.options.format
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.shared.path
    }

    /// Why lines are lost just now; none while they are written.
    pub fn failure(&self) -> Option<String> {
        self.0.shared.failing.lock().clone()
    }

    /// Adds one line that is ready, without its line break.
    pub fn line(&self, line: &[u8]) {
        self.0.shared.append(|buffer| {
            buffer.extend_from_slice(line);
            true
        });
    }

    /// Lines that reached the file.
    pub fn written(&self) -> u64 {
        self.0.shared.written.load(Ordering::Relaxed)
    }

    /// Lines that did not: no room in the buffer, too long, or the file took none.
    pub fn dropped(&self) -> u64 {
        self.0.shared.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file by its name again, for whoever moved it away. Returns when it is done;
    /// blocks for one write. When it cannot be opened, the old one stays in use.
    pub fn reopen(&self) {
        self.0.shared.order(|orders| orders.reopen = true);
    }

    /// Makes room for a new file, where the log rotates its files itself, and says whether it
    /// does; elsewhere as [`AccessLog::reopen`].
    pub fn rotate(&self) -> bool {
        let rotates = self.0.shared.rotation.lock().is_some();
        self.0.shared.order(|orders| {
            orders.rotate |= rotates;
            orders.reopen |= !rotates;
        });
        rotates
    }

    /// From now on files make room for new ones so; a file that is full by that makes room when the
    /// next lines are written.
    pub fn set_rotation(&self, rotation: Option<Rotation>) {
        *self.0.shared.rotation.lock() = rotation;
    }

    /// Returns when every line recorded before is in the file; blocks for one write.
    pub fn flush(&self) {
        self.0.shared.order(|_| ());
    }

    /// Writes out what is left and ends the writer; later lines are dropped and counted.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Owner {
    fn close(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            self.shared.order(|orders| orders.close = true);
            // A panic of the writer was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn append(&self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let mut buffer = self.shards[shard() % self.shards.len()].0.lock();
        let before = buffer.len();
        if before >= self.options.buffer {
            drop(buffer);
            return self.drop_lines(1);
        }
        let sound = write(&mut buffer);
        buffer.push(b'\n');
        let after = buffer.len();
        if !sound || after > self.options.buffer || after - before > LONGEST_LINE {
            buffer.truncate(before);
            drop(buffer);
            return self.drop_lines(1);
        }
        drop(buffer);
        if after > self.options.buffer / 2 && !self.nudged.swap(true, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    fn drop_lines(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// Gives an order and waits for the round that carries it out.
    fn order(&self, order: impl FnOnce(&mut Orders)) {
        let mut orders = self.orders.lock();
        if orders.close {
            return;
        }
        order(&mut orders);
        orders.asked += 1;
        let mine = orders.asked;
        self.wake.notify_one();
        while orders.finished < mine {
            self.done.wait(&mut orders);
        }
    }
}

/// Which buffer this thread uses: threads take turns at their first line.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<Option<usize>> = const { Cell::new(None) });
    MINE.with(|mine| {
        mine.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            mine.set(Some(next));
            next
        })
    })
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    }
    // Addresses of clients stand in it: not for everybody.
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}
