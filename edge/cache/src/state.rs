//! The metadata table on disk: a redb file that follows the table in RAM.
//!
//! Whoever changes the table marks the object's id; one thread writes what the table says
//! about marked ids, 50 ms after the first. So marks are small, repeat for free, and can be
//! made again after a failure. When there are too many, the whole table is written instead:
//! a removal is never forgotten, or a purged object would be back after a restart.
//!
//! A start reads no records: a second thread brings them into the table, in the order of
//! their ids, while the node serves; until it is through, an object that the table does not
//! have is looked up in the file ([`State::recall`]). The file is no lower tier for good: a
//! miss would cost a read of the disk on the thread that serves.
//!
//! A file that cannot be read is set aside, whatever is in it: metadata can be had again.

mod file;
mod load;
mod record;
mod todo;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

pub(crate) use self::file::{Found, Opener, on_disk};
use self::{
    file::{Batch, File, is_broken},
    load::Loader,
    todo::Todo,
};
use crate::{
    cache::OpenError,
    chunk::ObjectId,
    generation::{Generations, RESERVE},
    object::StoredObject,
    purge::Ledger,
    table::{Pin, Table},
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
    /// Objects read since start.
    pub loaded: u64,
    /// Whether there are more to read.
    pub loading: bool,
}

#[derive(Debug, Default)]
struct Shared {
    todo: Mutex<Todo>,
    changed: Condvar,
    written: AtomicU64,
    errors: AtomicU64,
    /// What failed since the last write that succeeded, the first of it.
    failed: Mutex<Option<String>>,
    dropped: AtomicU64,
    loaded: AtomicU64,
    /// Nothing is read any more.
    closing: AtomicBool,
}

impl Shared {
    fn fails(&self, error: &impl ToString) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.failed.lock().get_or_insert_with(|| error.to_string());
    }

    fn mark(&self, ids: impl IntoIterator<Item = u128>) {
        let mut todo = self.todo.lock();
        let idle = todo.is_empty();
        todo.mark(ids);
        drop(todo);
        // The writer gathers by the clock; only one that sleeps needs a word.
        if idle {
            self.changed.notify_one();
        }
    }

    /// The whole table is to be written.
    fn mark_all(&self, broken: bool) {
        let mut todo = self.todo.lock();
        todo.marks = HashSet::new();
        todo.all = true;
        todo.broken |= broken;
        drop(todo);
        self.changed.notify_one();
    }
}

/// Keeps the state file up to date until it is closed or dropped.
#[derive(Debug)]
pub(crate) struct State {
    file: Arc<File>,
    shared: Arc<Shared>,
    table: Arc<Table>,
    loaded: watch::Receiver<bool>,
    threads: Mutex<Threads>,
}

#[derive(Debug)]
struct Threads {
    writer: Option<JoinHandle<()>>,
    loader: Option<JoinHandle<()>>,
}

/// A state file that was opened and waits for its threads.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    pub(crate) found: Found,
}

/// Opens or makes the state file; sets aside what cannot be read.
pub(crate) fn open(path: &Path, opener: Opener) -> Result<Opened, OpenError> {
    let (file, found) = File::open(path, opener)?;
    Ok(Opened { file, found })
}

impl Opened {
    /// Starts to write, and to read what is there into the table.
    pub(crate) fn start(
        self,
        table: Arc<Table>,
        generations: Arc<Generations>,
        ledger: Arc<Ledger>,
    ) -> State {
        let file = Arc::new(self.file);
        let shared = Arc::<Shared>::default();
        let mut writer = Writer {
            file: file.clone(),
            shared: shared.clone(),
            table: table.clone(),
            generations,
            ledger,
            reserved: self.found.reserved,
            failing: false,
        };
        // Before the first generation is used.
        writer.write(&[]);
        let thread = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.into()).spawn(work);
            Some(thread.expect("a process that starts can start a thread"))
        };
        let (done, loaded) = watch::channel(!self.found.objects);
        if self.found.objects {
            // Before the writer looks for what has left.
            table.begin_loading();
        }
        let writer = thread("weir-state", Box::new(move || writer.run()));
        let loader = if self.found.objects {
            let (file, shared, table) = (file.clone(), shared.clone(), table.clone());
            let loader = Loader { file, shared, table, done };
            thread("weir-state-load", Box::new(move || loader.run()))
        } else {
            None
        };
        let threads = Mutex::new(Threads { writer, loader });
        State { file, shared, table, loaded, threads }
    }
}

impl State {
    /// Says that the table changed for this id. Never blocks on the file.
    pub(crate) fn mark(&self, id: ObjectId) {
        self.shared.mark([id.0]);
    }

    /// What the file says of an id that the table awaits. Reads the file on this thread, some
    /// microseconds where the page is in memory. One that cannot be read is not there.
    pub(crate) fn recall(&self, id: ObjectId) -> Option<(StoredObject, Option<Pin>)> {
        match self.file.get(id.0) {
            Ok(object) => object,
            Err(error) => {
                self.shared.errors.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(path = %self.file.path().display(), %error, "state file: no read");
                None
            }
        }
    }

    /// Resolves when all that was in the file is in the table.
    pub(crate) fn recovered(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut loaded = self.loaded.clone();
        async move {
            // An error is a loader that ended.
            let _ = loaded.wait_for(|loaded| *loaded).await;
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
        self.shared.closing.store(true, Ordering::Relaxed);
        let join = |thread: Option<JoinHandle<()>>| {
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("state file: a thread ended by a panic");
            }
        };
        let mut threads = self.threads.lock();
        // First, since it may have something to be written.
        let loader = threads.loader.take();
        loader.iter().for_each(|loader| loader.thread().unpark());
        join(loader);
        self.shared.todo.lock().closing = true;
        self.shared.changed.notify_one();
        join(threads.writer.take());
        self.file.close();
    }

    /// Why it cannot be written; none where it can.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.failed.lock().clone()
    }

    /// Where a file lies that could not be used, and for how long.
    pub(crate) fn aside(&self) -> Option<(PathBuf, Duration)> {
        self.file.aside()
    }

    pub(crate) fn stats(&self) -> StateStats {
        let todo = self.shared.todo.lock();
        let pending = if todo.all { self.table.len() } else { todo.marks.len() };
        StateStats {
            pending: pending as u64,
            written: self.shared.written.load(Ordering::Relaxed),
            errors: self.shared.errors.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            loaded: self.shared.loaded.load(Ordering::Relaxed),
            loading: self.table.is_loading(),
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
    file: Arc<File>,
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
        let mut last = false;
        loop {
            let work = self.next();
            // First, since somebody waits for it.
            if work.orders && !self.write_batch(&[]) {
                self.shared.todo.lock().orders_again = true;
            }
            if work.broken {
                self.begin_anew();
            }
            if work.all {
                self.write_all();
            }
            self.write(&work.marks.into_iter().collect::<Vec<_>>());
            for flush in work.flushes {
                // Whoever asked may have gone.
                let _ = flush.send(());
            }
            // A file that turned out to be broken has one more chance to become another.
            if work.closing && (last || !self.shared.todo.lock().broken) {
                self.ledger.close();
                return;
            }
            last = work.closing;
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
            broken: std::mem::take(&mut todo.broken),
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
            match self.table.peek_with_pin(ObjectId(*id)) {
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
                    *self.shared.failed.lock() = None;
                    tracing::info!(path = %self.file.path().display(), "state file: written again");
                }
                true
            }
            Err(error) => {
                if is_broken(&error) {
                    self.shared.mark_all(true);
                }
                self.ledger.unwritable();
                self.shared.fails(&error);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        path = %self.file.path().display(), %error,
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
        let mut from = Some(0);
        while let Some(first) = from {
            let ids = match self.file.ids(first, BATCH) {
                Ok(ids) => ids,
                Err(error) => return self.put_off(&error),
            };
            from = ids.last().and_then(|last| last.checked_add(1));
            // What is still to be read is not gone.
            let gone = ids.into_iter().filter(|id| self.table.has_left(ObjectId(*id)));
            let gone: Vec<u128> = gone.collect();
            if !gone.is_empty() {
                self.write(&gone);
            }
        }
        for shard in 0..self.table.shards() {
            let ids: Vec<u128> = self.table.shard_ids(shard).iter().map(|id| id.0).collect();
            if !ids.is_empty() {
                self.write(&ids);
            }
        }
    }

    fn put_off(&mut self, error: &redb::Error) {
        let path = self.file.path().display();
        tracing::error!(%path, %error, "state file: cannot be read");
        self.shared.fails(error);
        self.failing = true;
        self.shared.mark_all(is_broken(error));
    }

    /// Leaves a broken file for an empty one. What was not read from it is lost.
    fn begin_anew(&mut self) {
        self.table.give_up_loading();
        let path = self.file.path().display().to_string();
        match self.file.replace() {
            Ok(aside) => {
                tracing::error!(
                    path, aside = %aside.display(),
                    "state file: is broken; it is set aside, and what this process knows is \
                     written to a new one"
                );
                self.ledger.forgotten();
                self.reserved = 0;
                self.failing = false;
                *self.shared.failed.lock() = None;
            }
            Err(error) => {
                tracing::error!(path, %error, "state file: is broken and cannot be set aside");
                self.shared.fails(&error);
                self.failing = true;
                self.shared.mark_all(true);
            }
        }
    }
}

/// What there is to do in one go.
struct Work {
    marks: HashSet<u128>,
    all: bool,
    broken: bool,
    orders: bool,
    flushes: Vec<oneshot::Sender<()>>,
    closing: bool,
}
