//! The redb file itself: opening, reading all of it, writing a batch.

use std::{
    collections::HashMap,
    fmt, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError, WriteTransaction,
};

use super::record;
use crate::{
    cache::OpenError,
    object::StoredObject,
    purge::{self, Delta, Order},
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

/// What the file held.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) objects: Vec<StoredObject>,
    /// First generation that nobody used.
    pub(crate) reserved: u64,
    /// Ids of records that do not parse or verify.
    pub(crate) rotten: Vec<u128>,
    /// How many these are.
    pub(crate) dropped: u64,
    pub(crate) purges: Purges,
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

/// Changes of one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) put: Vec<Arc<StoredObject>>,
    pub(super) delete: Vec<u128>,
    pub(super) reserve: Option<u64>,
    pub(super) purges: Delta,
}

pub(super) struct File {
    path: PathBuf,
    opener: Opener,
    /// None after a failure: redb wants to be opened anew.
    database: Option<Database>,
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
        Ok((Self::new(path, opener, database), found))
    }

    fn new(path: &Path, opener: Opener, database: Database) -> Self {
        Self { path: path.to_owned(), opener, database: Some(database) }
    }

    /// Writes a batch, durably.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), redb::Error> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let mut objects = transaction.open_table(OBJECTS)?;
                for object in &batch.put {
                    objects.insert(object.id.0, &*record::encode(object))?;
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

    /// Ids of all records.
    pub(super) fn ids(&mut self) -> Result<Vec<u128>, redb::Error> {
        self.with(|database| {
            let objects = database.begin_read()?.open_table(OBJECTS)?;
            objects.iter()?.map(|entry| Ok(entry?.0.value())).collect()
        })
    }

    /// Runs with the database, opened again where it failed before; closes it when it fails.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let opened = match self.database.take() {
            Some(database) => database,
            None => (self.opener)(&self.path)?,
        };
        // A page that rots under a running process may trip an assertion of redb.
        let result = catch_unwind(AssertUnwindSafe(|| work(&opened)));
        let result = result.unwrap_or_else(|_| {
            Err(redb::Error::Corrupted("a page of the state file is not what it was".into()))
        });
        if result.is_ok() {
            self.database = Some(opened);
        }
        result
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Opens and reads everything, so that what is broken shows now. No file can panic us.
fn attempt(path: &Path, opener: &Opener) -> Result<(Database, Found), ReadError> {
    catch_unwind(AssertUnwindSafe(|| {
        let database = opener(path)?;
        let found = read(&database)?;
        Ok((database, found))
    }))
    .unwrap_or(Err(ReadError::Panicked))
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
    let mut found = Found { reserved: number("reserved")?, ..Found::default() };
    let objects = transaction.open_table(OBJECTS).map_err(|_| ReadError::Foreign)?;
    let mut services = HashMap::new();
    for entry in objects.iter().map_err(redb::Error::from)? {
        let (id, bytes) = entry.map_err(redb::Error::from)?;
        match record::decode(id.value(), bytes.value(), &mut services) {
            Some(object) => found.objects.push(object),
            None => found.rotten.push(id.value()),
        }
    }
    found.dropped = found.rotten.len() as u64;
    found.purges = read_purges(&transaction, number(PURGE_EPOCH)?)?;
    Ok(found)
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
