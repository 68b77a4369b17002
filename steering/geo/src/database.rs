//! One database: walked through when it is loaded, asked afterwards.

use std::{
    collections::HashSet,
    fmt, io,
    net::IpAddr,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::Arc,
};

use maxminddb::Reader;

use crate::{Kind, Located, fields::Record, metadata, tree::Tree};

/// Longest file that is read, bytes.
pub const FILE_MAX: u64 = 1 << 30;
/// Of the records, one in so many may be damaged in a way that only they are concerned.
const DAMAGED: usize = 1000;
/// And no more than this of any number.
const DAMAGED_MAX: usize = 10_000;

/// Why a database is not used. The last good one stays.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// It cannot be read.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing in it.
    #[error("it is empty: was it still being written?")]
    Empty,
    /// More than is read.
    #[error("it has more than {FILE_MAX} bytes")]
    TooLong,
    /// Not of the format, or cut off.
    #[error("it is no MaxMind database, or a truncated one: {0}")]
    Format(String),
    /// Damaged inside.
    #[error("its record of {address} is damaged: {why}")]
    Damaged {
        /// Where.
        address: IpAddr,
        /// How.
        why: String,
    },
    /// A sound database of something else.
    #[error("its type is `{found}`, and none of its {networks} networks has {wanted}")]
    OtherType {
        /// What it calls itself, cut.
        found: String,
        /// How many networks it lists.
        networks: usize,
        /// What was looked for.
        wanted: &'static str,
    },
}

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What it calls itself.
    pub kind: String,
    /// When it was made, Unix seconds.
    pub built_at: u64,
    /// Networks that it lists.
    pub networks: usize,
    /// Different records.
    pub records: usize,
    /// Of these, those with a country.
    pub with_country: usize,
    /// Those with a place that distances can be measured from.
    pub with_place: usize,
    /// Those with a network's number.
    pub with_asn: usize,
    /// Those that cannot be read.
    pub damaged: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, networks, records, with_country, with_place, with_asn, .. } = self;
        write!(
            f,
            "{kind}: {networks} networks, {records} records ({with_country} with a country, \
             {with_place} with a place, {with_asn} with a network)"
        )
    }
}

/// A file in memory, which the reader and the walk share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A database in use.
pub(crate) struct Database {
    reader: Reader<Shared>,
    summary: Summary,
}

impl Database {
    pub(crate) fn new(kind: Kind, bytes: Vec<u8>) -> Result<(Self, Summary), GeoError> {
        if bytes.is_empty() {
            return Err(GeoError::Empty);
        }
        if bytes.len() as u64 > FILE_MAX {
            return Err(GeoError::TooLong);
        }
        if !metadata::is_plain(&bytes) {
            return Err(GeoError::Format("it does not end with sound metadata".to_owned()));
        }
        // The reader is safe code over bytes of strangers: where it would panic, the file is bad.
        let read = panic::catch_unwind(AssertUnwindSafe(|| {
            let bytes = Shared(Arc::new(bytes));
            let reader = Reader::from_source(bytes.clone());
            let reader = reader.map_err(|why| GeoError::Format(why.to_string()))?;
            let summary = walk(&reader, bytes.as_ref())?;
            Ok((reader, summary))
        }));
        let Ok(read) = read else {
            return Err(GeoError::Format("its reader gives up on it".to_owned()));
        };
        let (reader, summary) = read?;
        let (useful, wanted) = match kind {
            Kind::Places => (summary.with_country + summary.with_place, "a country or a place"),
            Kind::Networks => (summary.with_asn, "a network's number"),
        };
        if useful == 0 {
            let (found, networks) = (summary.kind.clone(), summary.networks);
            return Err(GeoError::OtherType { found, networks, wanted });
        }
        Ok((Self { reader, summary: summary.clone() }, summary))
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What it says of an address; an error where its record is damaged.
    pub(crate) fn find(&self, address: IpAddr) -> Result<Located, ()> {
        // A database of IPv4 knows nothing of IPv6.
        if address.is_ipv6() && self.reader.metadata.ip_version == 4 {
            return Ok(Located::default());
        }
        let found = panic::catch_unwind(AssertUnwindSafe(|| {
            self.reader.lookup(address).and_then(|found| Record::of(&found))
        }));
        match found {
            Ok(Ok(record)) => Ok(record.map_or_else(Located::default, |it| it.located())),
            _ => Err(()),
        }
    }
}

/// Looks at every network, and once at every record.
fn walk(reader: &Reader<Shared>, file: &[u8]) -> Result<Summary, GeoError> {
    let metadata = &reader.metadata;
    let tree = Tree::of(file, metadata.node_count, metadata.record_size, metadata.ip_version);
    let tree = tree.ok_or_else(|| GeoError::Format("its tree is cut off".to_owned()))?;
    let mut summary = Summary {
        kind: metadata.database_type.chars().filter(|it| !it.is_control()).take(100).collect(),
        built_at: metadata.build_epoch,
        networks: 0,
        records: 0,
        with_country: 0,
        with_place: 0,
        with_asn: 0,
        damaged: 0,
    };
    let (mut seen, mut first) = (HashSet::new(), None);
    tree.walk(|leaf| {
        summary.networks += 1;
        if !seen.insert(leaf.data) {
            return Ok(());
        }
        summary.records += 1;
        match reader.lookup(leaf.address).and_then(|found| Record::of(&found)) {
            Ok(record) => {
                let located = record.map_or_else(Located::default, |record| record.located());
                summary.with_country += usize::from(located.country.is_some());
                summary.with_place += usize::from(located.place.is_some());
                summary.with_asn += usize::from(located.asn.is_some());
                Ok(())
            }
            Err(why) => {
                summary.damaged += 1;
                first.get_or_insert((leaf.address, why.to_string()));
                // One that is damaged all over need not be walked to its end.
                if summary.damaged > DAMAGED_MAX { Err(()) } else { Ok(()) }
            }
        }
    })
    .unwrap_or_default();
    match first {
        Some((address, why))
            if summary.damaged > DAMAGED_MAX || summary.damaged * DAMAGED > summary.records =>
        {
            Err(GeoError::Damaged { address, why })
        }
        _ => Ok(summary),
    }
}
