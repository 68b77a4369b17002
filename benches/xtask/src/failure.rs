//! Why a command stopped, in words for the person who typed it.

use std::{fmt, io, path::Path};

/// What failed, why, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    what: String,
    /// The command line was wrong, as opposed to the work.
    pub usage: bool,
}

impl Failure {
    /// Work that failed.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), usage: false }
    }

    /// A command line that cannot be understood.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { what: what.into(), usage: true }
    }

    /// A file or directory that could not be used; `action` reads like "write".
    pub fn path(action: &str, path: &Path, why: &io::Error) -> Self {
        Self::new(format!("cannot {action} {}: {why}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}
