//! Why a disk is not in use.

use std::{fmt, io};

/// Why a disk is not in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// An operator took it offline.
    Operator,
    /// Its calls fail.
    Errors,
    /// It answers too late, or not at all.
    Slow,
    /// Its file system takes no writes.
    ReadOnly,
    /// The device or its file system is not there any more.
    Gone,
    /// What is mounted there is not what was there before, or nothing is.
    Missing,
    /// What is in its folder is not this node's.
    Foreign,
    /// Its store cannot be opened.
    Unusable,
}

impl Cause {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Operator,
        Self::Errors,
        Self::Slow,
        Self::ReadOnly,
        Self::Gone,
        Self::Missing,
        Self::Foreign,
        Self::Unusable,
    ];

    /// As it is written down and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Errors => "errors",
            Self::Slow => "slow",
            Self::ReadOnly => "read_only",
            Self::Gone => "gone",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Unusable => "unusable",
        }
    }

    /// Whether it holds over a restart, until an operator says otherwise. The others are
    /// looked at anew at each start.
    pub fn stays(self) -> bool {
        match self {
            Self::Operator | Self::Errors | Self::Slow | Self::ReadOnly | Self::Gone => true,
            Self::Missing | Self::Foreign | Self::Unusable => false,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }

    /// What a failed call says of the disk.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EROFS) => Self::ReadOnly,
            Some(libc::ENODEV | libc::ENXIO | libc::ENOENT | libc::ENOTDIR | libc::ESTALE) => {
                Self::Gone
            }
            _ => Self::Errors,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A disk that is not in use: why, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// Why.
    pub cause: Cause,
    /// The same, for people; one line.
    pub what: String,
    /// Unix milliseconds.
    pub since_unix_ms: u64,
}
