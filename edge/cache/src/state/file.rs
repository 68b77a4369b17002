//! The redb file itself: opening, reading records, writing a batch.

use std::{
    collections::HashMap,
    fmt, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageError, TableDefinition, TableError, WriteTransaction,
};

use super::record;
use crate::{
    cache::OpenError,
    object::StoredObject,
    purge::{self, Delta, Order},
    table::Pin,
};

/// Counts up when records change.
const FORMAT: u64 = 2;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("weir.meta");
const OBJECTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("weir.objects");
/// Purges that stand, by epoch.
const PURGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("weir.purges");
/// Number of the last purge, in [`META`].
const PURGE_EPOCH: &str = "purge_epoch";
/// redb's own page cache; its default of 1 GiB is not ours to take.
const PAGE_CACHE: usize = 16 << 20;
/// Files set aside that are kept.
const SET_ASIDE_MAX: u32 = 4;

/// How the file is opened; a test puts a failing disk here.
pub(crate) type Opener = Arc<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

/// Opens or makes a file on the host's disk.
pub(crate) fn on_disk() -> Opener {
    Arc::new(|path| {
        let mut builder = Database::builder();
        builder.set_cache_size(PAGE_CACHE);
        builder.create(path)
    })
}

/// What the file says besides its records.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// First generation that nobody used.
    pub(crate) reserved: u64,
    pub(crate) purges: Purges,
    /// Whether there are records.
    pub(crate) objects: bool,
}

/// What the file says of purges.
#[derive(Debug, Default)]
pub(crate) struct Purges {
    /// Number of the last one.
    pub(crate) epoch: u64,
    /// Those that stand.
    pub(crate) orders: Vec<Order>,
    /// Epochs of records that do not parse or verify, or are more than there may be.
    pub(crate) rotten: Vec<u64>,
}

/// A run of records.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) objects: Vec<(StoredObject, Option<Pin>)>,
    /// Ids of records that do not parse or verify.
    pub(super) rotten: Vec<u128>,
    /// The first id behind it; `None` at the end.
    pub(super) next: Option<u128>,
}

/// Changes of one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) put: Vec<(Arc<StoredObject>, Option<Pin>)>,
    pub(super) delete: Vec<u128>,
    pub(super) reserve: Option<u64>,
    pub(super) purges: Delta,
}

/// Its methods may be called from any thread at once.
pub(super) struct File {
    path: PathBuf,
    opener: Opener,
    /// None after a failure: redb wants to be opened anew.
    database: RwLock<Option<Database>>,
    closed: AtomicBool,
    /// Names of services, so that equal ones share an allocation.
    services: Mutex<HashMap<Box<str>, Arc<str>>>,
    /// Where the last broken file lies, and since when.
    aside: Mutex<Option<(PathBuf, Instant)>>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the database does not open")]
    Open(#[from] DatabaseError),
    #[error("the database does not read")]
    Read(#[from] redb::Error),
    #[error("its format is {found}, and this program writes {FORMAT}")]
    Format { found: u64 },
    #[error("it is the database of another program")]
    Foreign,
    #[error("the database is corrupt: its reader panicked")]
    Panicked,
}

impl File {
    /// Opens or makes a file; sets aside what cannot be used. Reads no records:
    /// [`File::slice`] does.
    pub(super) fn open(path: &Path, opener: Opener) -> Result<(Self, Found), OpenError> {
        let refuse = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::State {
            path: path.to_owned(),
            source,
        };
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(|error| refuse(error.into()))?;
        }
        let error = match attempt(path, &opener) {
            Ok((database, found)) => return Ok((Self::new(path, opener, database), found)),
            Err(error) => error,
        };
        match &error {
            ReadError::Open(DatabaseError::DatabaseAlreadyOpen) => {
                return Err(OpenError::InUse { path: path.to_owned() });
            }
            ReadError::Open(DatabaseError::Storage(StorageError::Io(cause)))
                if !means_corrupt(cause) =>
            {
                return Err(refuse(error.into()));
            }
            _ => {}
        }
        let aside = set_aside(path).map_err(|error| refuse(error.into()))?;
        tracing::error!(
            path = %path.display(), aside = %aside.display(), error = %Chain(&error),
            "state file: cannot be used; it is set aside, and all metadata starts empty"
        );
        let (database, found) = attempt(path, &opener).map_err(|error| refuse(error.into()))?;
        let file = Self::new(path, opener, database);
        *file.aside.lock() = Some((aside, Instant::now()));
        Ok((file, found))
    }

    fn new(path: &Path, opener: Opener, database: Database) -> Self {
        Self {
            path: path.to_owned(),
            opener,
            database: RwLock::new(Some(database)),
            closed: AtomicBool::new(false),
            services: Mutex::default(),
            aside: Mutex::default(),
        }
    }

    /// Where a file lies that could not be used, and for how long.
    pub(super) fn aside(&self) -> Option<(PathBuf, Duration)> {
        self.aside.lock().as_ref().map(|(path, since)| (path.clone(), since.elapsed()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a batch, durably.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), redb::Error> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            // Or the start after a kill would read the whole file before anything else.
            transaction.set_quick_repair(true);
            {
                let mut objects = transaction.open_table(OBJECTS)?;
                for (object, pin) in &batch.put {
                    objects.insert(object.id.0, &*record::encode(object, *pin))?;
                }
                for id in &batch.delete {
                    objects.remove(id)?;
                }
                if let Some(reserve) = batch.reserve {
                    transaction.open_table(META)?.insert("reserved", reserve)?;
                }
                write_purges(&transaction, &batch.purges)?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// The record of an id, as it is now.
    pub(super) fn get(&self, id: u128) -> Result<Option<(StoredObject, Option<Pin>)>, redb::Error> {
        let bytes = self.with(|database| {
            let objects = database.begin_read()?.open_table(OBJECTS)?;
            Ok(objects.get(id)?.map(|bytes| bytes.value().to_vec()))
        })?;
        Ok(bytes.and_then(|bytes| record::decode(id, &bytes, &mut self.services.lock())))
    }

    /// Records as they are now, in the order of their ids.
    pub(super) fn slice(&self, from: u128, records_max: usize) -> Result<Slice, redb::Error> {
        self.with(|database| {
            let objects = database.begin_read()?.open_table(OBJECTS)?;
            let mut slice = Slice::default();
            let mut services = self.services.lock();
            for (number, entry) in objects.range(from..)?.enumerate() {
                let (id, bytes) = entry?;
                if number == records_max {
                    slice.next = Some(id.value());
                    break;
                }
                match record::decode(id.value(), bytes.value(), &mut services) {
                    Some(object) => slice.objects.push(object),
                    None => slice.rotten.push(id.value()),
                }
            }
            Ok(slice)
        })
    }

    /// Ids of the records from `from` on, at most so many.
    pub(super) fn ids(&self, from: u128, ids_max: usize) -> Result<Vec<u128>, redb::Error> {
        self.with(|database| {
            let objects = database.begin_read()?.open_table(OBJECTS)?;
            let ids = objects.range(from..)?.take(ids_max);
            ids.map(|entry| Ok(entry?.0.value())).collect()
        })
    }

    /// Sets the file aside and begins an empty one, for one that turned out to be broken.
    pub(super) fn replace(&self) -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
        let mut database = self.database.write();
        let_go(database.take());
        let aside = set_aside(&self.path)?;
        *database = Some(attempt(&self.path, &self.opener)?.0);
        *self.aside.lock() = Some((aside.clone(), Instant::now()));
        Ok(aside)
    }

    /// Lets go of the file for good.
    pub(super) fn close(&self) {
        let mut database = self.database.write();
        self.closed.store(true, Ordering::Relaxed);
        let_go(database.take());
    }

    /// Runs with the database, opened again where it failed before; closes it when it fails.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let mut opened = self.database.read();
        while opened.is_none() {
            drop(opened);
            let mut anew = self.database.write();
            if self.closed.load(Ordering::Relaxed) {
                return Err(redb::Error::Io(io::Error::other("the state file was closed")));
            }
            if anew.is_none() {
                *anew = Some((self.opener)(&self.path)?);
            }
            opened = RwLockWriteGuard::downgrade(anew);
        }
        let database = opened.as_ref().expect("it was opened, and nobody closed it since");
        // A page that rots under a running process may trip an assertion of redb.
        let result = catch_unwind(AssertUnwindSafe(|| work(database)));
        drop(opened);
        let result = result.unwrap_or_else(|_| {
            Err(redb::Error::Corrupted("a page of the state file is not what it was".into()))
        });
        if result.is_err() {
            let_go(self.database.write().take());
        }
        result
    }
}

/// Whether an error says that the file is broken, and not that it cannot be got at.
pub(super) fn is_broken(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(cause) => means_corrupt(cause),
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Opens and reads what says whose file it is. No file can panic us.
fn attempt(path: &Path, opener: &Opener) -> Result<(Database, Found), ReadError> {
    let opened = catch_unwind(AssertUnwindSafe(|| opener(path)));
    let database = opened.map_err(|_| ReadError::Panicked)??;
    // Not in one with the opening: a database that is dropped while its reader unwinds may
    // panic once more, which ends the process.
    let found = catch_unwind(AssertUnwindSafe(|| read(&database)));
    match found.unwrap_or(Err(ReadError::Panicked)) {
        Ok(found) => Ok((database, found)),
        Err(error) => {
            let_go(Some(database));
            Err(error)
        }
    }
}

/// Drops a database. After a panic of its own redb panics again when it is closed; the file is
/// as a kill would have left it.
fn let_go(database: Option<Database>) {
    if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
        tracing::warn!("state file: it could not be closed in order");
    }
}

fn read(database: &Database) -> Result<Found, ReadError> {
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    if transaction.list_tables().map_err(redb::Error::from)?.next().is_none() {
        drop(transaction);
        initialise(database)?;
        return Ok(Found::default());
    }
    let meta = transaction.open_table(META).map_err(|_| ReadError::Foreign)?;
    let number =
        |name| -> Result<u64, redb::Error> { Ok(meta.get(name)?.map_or(0, |guard| guard.value())) };
    let format = number("format")?;
    if format != FORMAT {
        return Err(ReadError::Format { found: format });
    }
    let objects = transaction.open_table(OBJECTS).map_err(|_| ReadError::Foreign)?;
    Ok(Found {
        reserved: number("reserved")?,
        purges: read_purges(&transaction, number(PURGE_EPOCH)?)?,
        objects: !objects.is_empty().map_err(redb::Error::from)?,
    })
}

fn write_purges(transaction: &WriteTransaction, delta: &Delta) -> Result<(), redb::Error> {
    if delta.is_empty() {
        return Ok(());
    }
    let mut purges = transaction.open_table(PURGES)?;
    for order in &delta.put {
        purges.insert(order.epoch, &*purge::record::encode(order))?;
    }
    for epoch in &delta.delete {
        purges.remove(epoch)?;
    }
    if let Some(epoch) = delta.epoch {
        transaction.open_table(META)?.insert(PURGE_EPOCH, epoch)?;
    }
    Ok(())
}

fn read_purges(transaction: &ReadTransaction, epoch: u64) -> Result<Purges, redb::Error> {
    let mut found = Purges { epoch, ..Purges::default() };
    let purges = match transaction.open_table(PURGES) {
        Ok(purges) => purges,
        // Nobody ever purged.
        Err(TableError::TableDoesNotExist(_)) => return Ok(found),
        Err(error) => return Err(error.into()),
    };
    for entry in purges.iter()? {
        let (number, bytes) = entry?;
        match purge::record::decode(number.value(), bytes.value()) {
            Some(order) if found.orders.len() < purge::ORDERS_MAX => found.orders.push(order),
            _ => found.rotten.push(number.value()),
        }
    }
    Ok(found)
}

fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    transaction.open_table(OBJECTS)?;
    transaction.commit()?;
    Ok(())
}

/// Whether an I/O error is about what is in the file, not about getting at it.
fn means_corrupt(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// Renames the file to the first free name; of many the last is overwritten.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".set-aside-{number}"));
        PathBuf::from(name)
    };
    let free = (1..SET_ASIDE_MAX).map(name).find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| name(SET_ASIDE_MAX));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// An error with its causes on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
