//! What a checker found: wrong bytes by class.

use std::fmt;

/// The ways in which a byte of a body can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A sound cell of another object.
    WrongObject,
    /// A sound cell of this object from another place.
    WrongRange,
    /// The body's version is older than may still be served.
    Stale,
    /// The body began with one version and went on with another.
    Torn,
    /// Bytes that are no cell at all.
    Flipped,
    /// Bytes that never came.
    Short,
    /// Bytes past the end.
    Long,
}

impl Class {
    /// Every class, in the order of [`Class`].
    pub const ALL: [Self; 7] = [
        Self::WrongObject,
        Self::WrongRange,
        Self::Stale,
        Self::Torn,
        Self::Flipped,
        Self::Short,
        Self::Long,
    ];

    /// As reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongObject => "wrong_object",
            Self::WrongRange => "wrong_range",
            Self::Stale => "stale",
            Self::Torn => "torn",
            Self::Flipped => "flipped",
            Self::Short => "short",
            Self::Long => "long",
        }
    }
}

/// Bytes of each class in one body, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    bytes: [u64; Class::ALL.len()],
    /// The first deviation and its place in the object.
    pub first: Option<(Class, u64)>,
    /// The version that the body carried, where a byte of it was right.
    pub version: Option<u64>,
}

impl Verdict {
    /// Wrong bytes of one class.
    pub fn count(&self, class: Class) -> u64 {
        self.bytes[class as usize]
    }

    /// Wrong bytes of all classes.
    pub fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Wrong bytes that arrived: all but those that are only missing. A body that broke off
    /// and said so has none.
    pub fn delivered(&self) -> u64 {
        self.total() - self.count(Class::Short)
    }

    /// Whether every byte was right and none is missing.
    pub fn is_clean(&self) -> bool {
        self.total() == 0
    }

    /// Adds `bytes` wrong bytes that begin at byte `at` of the object.
    pub fn add(&mut self, class: Class, at: u64, bytes: u64) {
        if bytes > 0 {
            self.bytes[class as usize] += bytes;
            self.first.get_or_insert((class, at));
        }
    }

    /// Adds another body's findings.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.bytes.iter_mut().zip(other.bytes) {
            *mine += theirs;
        }
        self.first = self.first.or(other.first);
        self.version = self.version.max(other.version);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((class, at)) = self.first else { return write!(f, "clean") };
        write!(f, "first {} at byte {at};", class.as_str())?;
        for class in Class::ALL {
            if self.count(class) > 0 {
                write!(f, " {}={}", class.as_str(), self.count(class))?;
            }
        }
        Ok(())
    }
}
