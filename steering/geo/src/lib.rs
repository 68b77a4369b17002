//! Addresses to networks, countries and places, from databases in MaxMind's format: MaxMind's own
//! (City, Country, ASN) and flat ones as others make them. Alone names `maxminddb`.
//!
//! A database is read whole into memory and walked through before it is used; one that is empty,
//! truncated, of another type or full of something else is refused with its reason, and the last
//! good one stays. What an address means for ranking is left to `weir-steering-rank`.

mod database;
mod fields;
mod metadata;
mod tree;

use std::{
    fmt, fs,
    io::Read as _,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
pub use database::{FILE_MAX, GeoError, Summary};
use weir_steering_rank::{Country, Place};

use database::Database;

/// What a database is asked for. One that knows both may be loaded as both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Country and place.
    Places,
    /// The network's number.
    Networks,
}

impl Kind {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Places => "places",
            Self::Networks => "networks",
        }
    }
}

/// How well a place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Not at all.
    #[default]
    None,
    /// The country only: coordinates that were there are its middle, or the null island, and were
    /// not taken.
    Country,
    /// A place that distances can be measured from.
    Place,
}

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Located {
    /// The network it belongs to.
    pub asn: Option<u32>,
    /// The country it is used in.
    pub country: Option<Country>,
    /// Where.
    pub place: Option<Place>,
    /// How well that is known.
    pub precision: Precision,
}

/// The databases in use. Lookups wait for nobody, also while one is replaced.
#[derive(Default)]
pub struct Geo {
    places: ArcSwapOption<Database>,
    networks: ArcSwapOption<Database>,
    failed: AtomicU64,
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = [Kind::Places, Kind::Networks].map(|kind| (kind.word(), self.summary(kind)));
        f.debug_map().entries(told).finish()
    }
}

impl Geo {
    /// What is known of an address. What a damaged record does not say is unknown.
    pub fn locate(&self, address: IpAddr) -> Located {
        let address = address.to_canonical();
        let mut located = Located::default();
        if let Some(places) = &*self.places.load() {
            match places.find(address) {
                Ok(found) => located = found,
                Err(()) => self.count_failed(),
            }
        }
        if let Some(networks) = &*self.networks.load() {
            match networks.find(address) {
                // The database of networks has the say where it says something.
                Ok(found) => located.asn = found.asn.or(located.asn),
                Err(()) => self.count_failed(),
            }
        }
        located
    }

    fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Lookups that met a damaged record.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Takes a database into use, or refuses it and keeps the one that is there. Walks through all
    /// of it: call it where a second of work stops nobody.
    pub fn load(&self, kind: Kind, bytes: Vec<u8>) -> Result<Summary, GeoError> {
        let (database, summary) = Database::new(kind, bytes)?;
        self.slot(kind).store(Some(database.into()));
        Ok(summary)
    }

    /// The same of a file.
    pub fn load_file(&self, kind: Kind, path: &Path) -> Result<Summary, GeoError> {
        let file = |source| GeoError::File { path: path.to_owned(), source };
        let opened = fs::File::open(path).map_err(file)?;
        let mut bytes = Vec::new();
        // One byte more than is taken, so that a longer file is seen to be longer.
        opened.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(file)?;
        self.load(kind, bytes)
    }

    /// What is in use.
    pub fn summary(&self, kind: Kind) -> Option<Summary> {
        self.slot(kind).load().as_ref().map(|database| database.summary().clone())
    }

    fn slot(&self, kind: Kind) -> &ArcSwapOption<Database> {
        match kind {
            Kind::Places => &self.places,
            Kind::Networks => &self.networks,
        }
    }
}

/// A file and when it was last looked at, so that it is read again only when it changed.
#[derive(Debug)]
pub struct Watched {
    kind: Kind,
    path: PathBuf,
    seen: Option<Stamp>,
}

/// Length, and when it was written.
type Stamp = (u64, Option<std::time::SystemTime>);

impl Watched {
    /// A file that was not read yet.
    pub fn new(kind: Kind, path: PathBuf) -> Self {
        Self { kind, path, seen: None }
    }

    /// Reads the file when it is another one than last time; nothing where it is not. A file that
    /// was refused is not read again before it changes.
    pub fn poll(&mut self, geo: &Geo) -> Option<Result<Summary, GeoError>> {
        let stamp = match fs::metadata(&self.path) {
            Ok(metadata) => Some((metadata.len(), metadata.modified().ok())),
            Err(source) => {
                // Told once, and again after it was there.
                let told = self.seen.replace((u64::MAX, None)) == Some((u64::MAX, None));
                let path = self.path.clone();
                return (!told).then_some(Err(GeoError::File { path, source }));
            }
        };
        if self.seen == stamp {
            return None;
        }
        self.seen = stamp;
        Some(geo.load_file(self.kind, &self.path))
    }
}
