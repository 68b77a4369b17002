//! Every step that changes the disk goes through here, in the order the caller makes them, so
//! that a test can let the process die before any of them or in the middle of a write.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    CreateFile,
    Write { bytes: usize },
    SyncFile,
    Rename,
    RemoveFile,
    MakeFolder,
    RemoveFolder,
    SyncFolder,
}

/// What becomes of it.
#[cfg_attr(not(test), expect(dead_code, reason = "only tests let steps fail"))]
pub(super) enum Verdict {
    Go,
    /// Only so many bytes of a write arrive, then the error.
    Torn(usize, io::Error),
    Fail(io::Error),
}

pub(super) trait Faults: Send + Sync + fmt::Debug {
    fn before(&self, step: Step) -> Verdict;
}

#[derive(Debug, Clone)]
pub(super) struct Disk {
    faults: Option<Arc<dyn Faults>>,
    sync: bool,
}

impl Disk {
    pub(super) fn new(sync: bool, faults: Option<Arc<dyn Faults>>) -> Self {
        Self { faults, sync }
    }

    fn before(&self, step: Step) -> io::Result<()> {
        match self.faults.as_ref().map(|faults| faults.before(step)) {
            None | Some(Verdict::Go) => Ok(()),
            Some(Verdict::Torn(_, error) | Verdict::Fail(error)) => Err(error),
        }
    }

    /// Creates a file that must not exist yet.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.before(Step::CreateFile)?;
        File::options().write(true).create_new(true).open(path)
    }

    pub(super) fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let step = Step::Write { bytes: bytes.len() };
        match self.faults.as_ref().map(|faults| faults.before(step)) {
            None | Some(Verdict::Go) => file.write_all(bytes),
            Some(Verdict::Torn(arrived, error)) => {
                file.write_all(&bytes[..arrived.min(bytes.len())])?;
                Err(error)
            }
            Some(Verdict::Fail(error)) => Err(error),
        }
    }

    pub(super) fn sync_file(&self, file: &File) -> io::Result<()> {
        self.before(Step::SyncFile)?;
        if self.sync { file.sync_all() } else { Ok(()) }
    }

    /// Makes what happened to the names in a folder last over a loss of power.
    pub(super) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.before(Step::SyncFolder)?;
        if self.sync { File::open(path)?.sync_all() } else { Ok(()) }
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Step::Rename)?;
        fs::rename(from, to)
    }

    pub(super) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.before(Step::RemoveFile)?;
        fs::remove_file(path)
    }

    /// Makes one folder; its parent must exist.
    pub(super) fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.before(Step::MakeFolder)?;
        fs::create_dir(path)
    }

    /// Removes a folder, which must be empty.
    pub(super) fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.before(Step::RemoveFolder)?;
        fs::remove_dir(path)
    }

    /// Makes `path` and what is missing above it, but nothing at or above `base`.
    pub(super) fn make_folders(&self, base: &Path, path: &Path) -> io::Result<()> {
        if path == base || path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(base);
        self.make_folders(base, parent)?;
        match self.make_folder(path) {
            Ok(()) => self.sync_folder(parent),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}
