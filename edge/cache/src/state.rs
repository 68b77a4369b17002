//! The metadata table on disk: a redb file that follows the table in RAM.
//!
//! Whoever changes the table marks the object's id; one thread writes what the table says
//! about marked ids, 50 ms after the first. So marks are small, repeat for free, and can be
//! made again after a failure. When there are too many, the whole table is written instead:
//! a removal is never forgotten, or a purged object would be back after a restart.
//!
//! A file that cannot be read is set aside, whatever is in it: metadata can be had again.

mod file;
mod record;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};

use self::file::{Batch, File};
pub(crate) use self::file::{Found, Opener, on_disk};
use crate::{
    cache::OpenError,
    chunk::ObjectId,
    generation::{Generations, RESERVE},
    purge::Ledger,
    table::Table,
};

/// How long changes gather before they are written; what a kill can cost, with the write.
const GATHER: Duration = Duration::from_millis(50);
/// After a failed write, until the next try.
const RETRY: Duration = Duration::from_secs(1);
/// Ids marked at once; about 5 MB. Beyond, the whole table is written.
const MARKS_MAX: usize = 1 << 17;
/// Objects in one transaction.
const BATCH: usize = 4096;

/// What the state file holds and how writing it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateStats {
    /// Objects whose change is not written yet.
    pub pending: u64,
    /// Objects written or deleted since start.
    pub written: u64,
    /// Writes that failed (disk full, broken); they are tried again every second.
    pub errors: u64,
    /// Records dropped at start, since they did not parse or verify.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Todo {
    marks: HashSet<u128>,
    /// Write the whole table.
    all: bool,
    /// The ledger has something to be written, now or when it is tried again.
    orders: bool,
    orders_again: bool,
    flushes: Vec<oneshot::Sender<()>>,
    closing: bool,
}

impl Todo {
    fn is_empty(&self) -> bool {
        self.marks.is_empty() && !self.all && !self.orders_again && !self.is_urgent()
    }

    /// Whether somebody waits for it.
    fn is_urgent(&self) -> bool {
        self.orders || self.closing || !self.flushes.is_empty()
    }

    fn mark(&mut self, ids: impl IntoIterator<Item = u128>) {
        if self.all {
            return;
        }
        self.marks.extend(ids);
        if self.marks.len() > MARKS_MAX {
            self.marks = HashSet::new();
            self.all = true;
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    todo: Mutex<Todo>,
    changed: Condvar,
    written: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
}

/// Keeps the state file up to date until it is closed or dropped.
#[derive(Debug)]
pub(crate) struct State {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// A state file that was read and waits for its writer.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    path: PathBuf,
    pub(crate) found: Found,
}

/// Opens or makes the state file and reads what is in it; sets aside what cannot be read.
pub(crate) fn open(path: &Path, opener: Opener) -> Result<Opened, OpenError> {
    let (file, found) = File::open(path, opener)?;
    Ok(Opened { file, path: path.to_owned(), found })
}

impl Opened {
    /// Starts to write. `stale`: ids in the file that the table does not have.
    pub(crate) fn start(
        self,
        table: Arc<Table>,
        generations: Arc<Generations>,
        ledger: Arc<Ledger>,
        stale: impl IntoIterator<Item = u128>,
    ) -> State {
        let shared = Arc::<Shared>::default();
        shared.dropped.store(self.found.dropped, Ordering::Relaxed);
        shared.todo.lock().mark(stale);
        let mut writer = Writer {
            file: self.file,
            path: self.path,
            shared: shared.clone(),
            table,
            generations,
            ledger,
            reserved: self.found.reserved,
            failing: false,
        };
        // Before the first generation is used.
        writer.write(&[]);
        let thread = std::thread::Builder::new()
            .name("weir-state".into())
            .spawn(move || writer.run())
            .expect("a process that starts can start a thread");
        State { shared, writer: Mutex::new(Some(thread)) }
    }
}

impl State {
    /// Says that the table changed for this id. Never blocks on the file.
    pub(crate) fn mark(&self, id: ObjectId) {
        let mut todo = self.shared.todo.lock();
        let idle = todo.is_empty();
        todo.mark([id.0]);
        drop(todo);
        // The writer gathers by the clock; only one that sleeps needs a word.
        if idle {
            self.shared.changed.notify_one();
        }
    }

    /// Says that the ledger changed. Never blocks on the file.
    pub(crate) fn changed_orders(&self) {
        self.shared.todo.lock().orders = true;
        self.shared.changed.notify_one();
    }

    /// Resolves when everything marked so far is written, or was tried and failed (counted).
    pub(crate) fn flush(&self) -> impl Future<Output = ()> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let mut todo = self.shared.todo.lock();
        if !todo.closing {
            todo.flushes.push(sender);
        }
        drop(todo);
        self.shared.changed.notify_one();
        async move {
            // An error is a writer that ended, after having written everything.
            let _ = receiver.await;
        }
    }

    /// Writes what is marked and lets go of the file.
    pub(crate) fn close(&self) {
        self.shared.todo.lock().closing = true;
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("state file: the writer ended by a panic");
        }
    }

    pub(crate) fn stats(&self) -> StateStats {
        StateStats {
            pending: self.shared.todo.lock().marks.len() as u64,
            written: self.shared.written.load(Ordering::Relaxed),
            errors: self.shared.errors.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread's own.
struct Writer {
    file: File,
    path: PathBuf,
    shared: Arc<Shared>,
    table: Arc<Table>,
    generations: Arc<Generations>,
    ledger: Arc<Ledger>,
    /// Generations below this may have been used, as far as the file says.
    reserved: u64,
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            let work = self.next();
            // First, since somebody waits for it.
            if work.orders && !self.write_batch(&[]) {
                self.shared.todo.lock().orders_again = true;
            }
            if work.all {
                self.write_all();
            }
            self.write(&work.marks.into_iter().collect::<Vec<_>>());
            for flush in work.flushes {
                // Whoever asked may have gone.
                let _ = flush.send(());
            }
            if work.closing {
                self.ledger.close();
                return;
            }
        }
    }

    /// Waits for work, and a little longer, so that more of it comes together.
    fn next(&self) -> Work {
        let mut todo = self.shared.todo.lock();
        while todo.is_empty() {
            self.shared.changed.wait(&mut todo);
        }
        let until = Instant::now() + if self.failing { RETRY } else { GATHER };
        while !todo.is_urgent() {
            if self.shared.changed.wait_until(&mut todo, until).timed_out() {
                break;
            }
        }
        Work {
            marks: std::mem::take(&mut todo.marks),
            all: std::mem::take(&mut todo.all),
            orders: std::mem::take(&mut todo.orders) | std::mem::take(&mut todo.orders_again),
            flushes: std::mem::take(&mut todo.flushes),
            closing: todo.closing,
        }
    }

    /// Writes what the table says about these ids, and reserves generations.
    fn write(&mut self, ids: &[u128]) {
        if ids.is_empty() {
            self.write_batch(ids);
        }
        for ids in ids.chunks(BATCH) {
            if !self.write_batch(ids) {
                self.shared.todo.lock().mark(ids.iter().copied());
            }
        }
    }

    fn write_batch(&mut self, ids: &[u128]) -> bool {
        let used = self.generations.peek();
        let reserve = (used.saturating_add(RESERVE / 2) > self.reserved)
            .then(|| used.saturating_add(RESERVE));
        let mut batch = Batch { reserve, ..Batch::default() };
        for id in ids {
            match self.table.peek(ObjectId(*id)) {
                Some(object) => batch.put.push(object),
                None => batch.delete.push(*id),
            }
        }
        // After the objects, whose epochs must not be news to the file.
        batch.purges = self.ledger.delta();
        if ids.is_empty() && reserve.is_none() && batch.purges.is_empty() {
            return true;
        }
        match self.file.write(&batch) {
            Ok(()) => {
                self.ledger.written(&batch.purges);
                self.reserved = reserve.unwrap_or(self.reserved);
                self.shared.written.fetch_add(ids.len() as u64, Ordering::Relaxed);
                if std::mem::take(&mut self.failing) {
                    tracing::info!(path = %self.path.display(), "state file: written again");
                }
                true
            }
            Err(error) => {
                self.ledger.unwritable();
                self.shared.errors.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        path = %self.path.display(), %error,
                        "state file: cannot be written (disk full?); objects changed from now \
                         on are not known after a restart until this succeeds again"
                    );
                }
                false
            }
        }
    }

    /// Brings file and table together when too much changed to know what.
    fn write_all(&mut self) {
        let gone = match self.file.ids() {
            Ok(ids) => ids.into_iter().filter(|id| self.table.peek(ObjectId(*id)).is_none()),
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "state file: cannot be read");
                self.shared.errors.fetch_add(1, Ordering::Relaxed);
                self.failing = true;
                self.shared.todo.lock().all = true;
                return;
            }
        };
        let gone: Vec<u128> = gone.collect();
        self.write(&gone);
        for shard in 0..self.table.shards() {
            let objects = self.table.shard_objects(shard);
            let ids: Vec<u128> = objects.iter().map(|object| object.id.0).collect();
            self.write(&ids);
        }
    }
}

/// What there is to do in one go.
struct Work {
    marks: HashSet<u128>,
    all: bool,
    orders: bool,
    flushes: Vec<oneshot::Sender<()>>,
    closing: bool,
}
