//! Reading one object file. No byte leaves before the checksum of its grain agrees, and a
//! stream holds one grain at a time.

use std::{
    fs::File,
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures::stream;

use super::{
    blocking,
    format::{FOOTER, GRAIN, Layout, Record, crc},
};
use crate::port::{ObjectBody, StoreError};

/// An open object file whose record and footer are sound. It reads the version it opened, even
/// when that is replaced or deleted meanwhile.
#[derive(Debug)]
pub(super) struct ObjectFile {
    file: File,
    layout: Layout,
    pub(super) record: Record,
}

/// Why an object file cannot be opened or read.
#[derive(Debug)]
pub(super) enum Fault {
    Absent,
    Rotten,
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Absent,
            ErrorKind::UnexpectedEof => Self::Rotten,
            _ => Self::Io(error),
        }
    }
}

impl ObjectFile {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut footer = [0; FOOTER];
        let footer_at = length.checked_sub(FOOTER as u64).ok_or(Fault::Rotten)?;
        file.read_exact_at(&mut footer, footer_at)?;
        let (layout, sum) = Layout::parse(&footer, length).ok_or(Fault::Rotten)?;
        let record = read(&file, layout.record_at()..footer_at)?;
        if crc(&record) != sum {
            return Err(Fault::Rotten);
        }
        let record = serde_json::from_slice(&record).map_err(|_| Fault::Rotten)?;
        Ok(Self { file, layout, record })
    }

    pub(super) fn size(&self) -> u64 {
        self.layout.body
    }

    /// The verified bytes of `range` up to the end of the grain in which it begins.
    pub(super) fn first_of(&self, range: &Range<u64>) -> Result<Bytes, Fault> {
        let grain = range.start / GRAIN as u64;
        let begin = grain * GRAIN as u64;
        let end = (begin + GRAIN as u64).min(self.layout.body);
        let bytes = Bytes::from(read(&self.file, begin..end)?);
        let mut sum = [0; 8];
        self.file.read_exact_at(&mut sum, self.layout.body + 8 * grain)?;
        if crc(&bytes) != u64::from_le_bytes(sum) {
            return Err(Fault::Rotten);
        }
        let within = |at: u64| usize::try_from(at - begin).expect("a grain fits in memory");
        Ok(bytes.slice(within(range.start)..within(range.end.min(end))))
    }

    /// Streams `range`, of which `first` holds the beginning.
    pub(super) fn stream(self: Arc<Self>, range: Range<u64>, first: Bytes) -> ObjectBody {
        let rest = range.start + first.len() as u64..range.end;
        let begin = (Some(first).filter(|first| !first.is_empty()), Some(rest));
        Box::pin(stream::unfold(begin, move |(first, rest)| {
            let file = Arc::clone(&self);
            async move {
                if let Some(first) = first {
                    return Some((Ok(first), (None, rest)));
                }
                let rest = rest.filter(|rest| !rest.is_empty())?;
                let wanted = rest.clone();
                let reader = Arc::clone(&file);
                match blocking(move || Ok(reader.first_of(&wanted))).await {
                    Ok(Ok(bytes)) => {
                        let rest = rest.start + bytes.len() as u64..rest.end;
                        Some((Ok(bytes), (None, Some(rest))))
                    }
                    Ok(Err(fault)) => {
                        let error = fault.of_object("", &file.record.key);
                        Some((Err(error), (None, None)))
                    }
                    Err(error) => Some((Err(error), (None, None))),
                }
            }
        }))
    }
}

impl Fault {
    /// As the port reports it.
    pub(super) fn of_object(self, bucket: &str, key: &str) -> StoreError {
        match self {
            Self::Absent => StoreError::NotFound { bucket: bucket.to_owned(), key: key.to_owned() },
            Self::Rotten => StoreError::Corrupt { key: key.to_owned() },
            Self::Io(source) => StoreError::Io { action: format!("read {key}"), source },
        }
    }
}

fn read(file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}
