//! One version of one object: its bytes, and the name under which a scripted origin serves it.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::cell::{CELL, Cell};

/// One version of one object of a given size. Costs nothing to hold: bytes are made on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// Names the object.
    pub object: u64,
    /// Counted from 1.
    pub version: u64,
    /// Bytes in the whole object.
    pub size: u64,
}

/// A name is not one that [`Content::name`] makes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no content: expected `<object in hex>-<size in bytes>.bin`")]
pub struct NameError(pub String);

impl Content {
    /// Version `version` of `object`, `size` bytes long.
    pub fn new(object: u64, version: u64, size: u64) -> Self {
        Self { object, version, size }
    }

    /// The same object at another version.
    #[must_use]
    pub fn at_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// The bytes of `range`, cut at the object's end.
    pub fn bytes(&self, range: Range<u64>) -> Bytes {
        let end = range.end.min(self.size);
        let start = range.start.min(end);
        let wanted = usize::try_from(end - start).expect("a range fits into memory");
        let skip = usize::try_from(start % CELL as u64).expect("less than a cell");
        let cells = (skip + wanted).div_ceil(CELL);
        let mut out = BytesMut::with_capacity(cells * CELL);
        let first = start / CELL as u64;
        for index in first..first + cells as u64 {
            let cell = Cell { object: self.object, version: self.version, index };
            out.extend_from_slice(&cell.encode());
        }
        out.freeze().slice(skip..skip + wanted)
    }

    /// The whole object.
    pub fn all(&self) -> Bytes {
        self.bytes(0..self.size)
    }

    /// A file name that says object and size, so that client and origin agree without a list.
    /// The version is not in it: objects change under their name.
    pub fn name(&self) -> String {
        format!("{:x}-{}.bin", self.object, self.size)
    }

    /// Reads the last segment of a path made with [`Content::name`]; the version is 1.
    pub fn from_path(path: &str) -> Result<Self, NameError> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.split_once('?').map_or(name, |(name, _)| name);
        let parsed = name.strip_suffix(".bin").and_then(|stem| {
            let (object, size) = stem.split_once('-')?;
            Some(Self::new(u64::from_str_radix(object, 16).ok()?, 1, size.parse().ok()?))
        });
        parsed.ok_or_else(|| NameError(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_a_slice_of_the_whole() {
        let content = Content::new(5, 2, 1000);
        let all = content.all();
        assert_eq!(all.len(), 1000);
        for (start, end) in [(0, 0), (0, 1), (0, 32), (31, 33), (5, 1000), (999, 1000), (64, 128)] {
            assert_eq!(content.bytes(start..end), all[start as usize..end as usize]);
        }
        assert_eq!(content.bytes(990..5000), all[990..], "cut at the end");
        assert!(content.bytes(2000..3000).is_empty());
    }

    #[test]
    fn names_read_back() {
        let check = |path: &str, expected: Option<(u64, u64)>| {
            let got = Content::from_path(path).ok().map(|c| (c.object, c.size));
            assert_eq!(got, expected, "{path}");
        };
        check(&Content::new(0xbeef, 4, 77).name(), Some((0xbeef, 77)));
        check("/vod/t/ff-1048576.bin?CMCD=x", Some((255, 1 << 20)));
        check("/vod/film.m4s", None);
        check("/ff-.bin", None);
        check("/zz-10.bin", None);
        check("", None);
    }
}
