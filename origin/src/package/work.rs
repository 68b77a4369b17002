//! The working directory of one run: removed when the run ends, however it ends. What a
//! killed run leaves behind is removed by the next one, which tells by a lock that nobody
//! uses it any more.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process,
};

use super::error::PackageError;

const PREFIX: &str = "weir-package-";
const LOCK: &str = "lock";

/// A directory that is gone after the value.
#[derive(Debug)]
pub(super) struct Work {
    path: PathBuf,
    _lock: File,
}

impl Work {
    /// Makes one below `root`, after clearing away those of dead runs.
    pub(super) fn create(root: &Path) -> Result<Self, PackageError> {
        fs::create_dir_all(root).map_err(PackageError::io("make the working directory", root))?;
        sweep(root);
        let mut number = 0;
        loop {
            let path = root.join(format!("{PREFIX}{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self::claim(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 10_000 => {
                    number += 1;
                }
                Err(error) => {
                    return Err(PackageError::io("make the working directory", path)(error));
                }
            }
        }
    }

    fn claim(path: PathBuf) -> Result<Self, PackageError> {
        let lock = path.join(LOCK);
        let claimed = File::create(&lock).and_then(|file| {
            file.try_lock().map_err(io::Error::from)?;
            Ok(file)
        });
        match claimed {
            Ok(file) => Ok(Self { path, _lock: file }),
            Err(error) => {
                // Nothing is in it yet; the error is what counts.
                let _ = fs::remove_dir_all(&path);
                Err(PackageError::io("lock the working directory", lock)(error))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the working directory");
        }
    }
}

/// Removes working directories that no process holds. One without a lock file is being made
/// this moment, or died in that moment: it is empty and left alone.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let dead = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if dead {
            // Another user's directory stays; it is theirs to clear.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_runs_directory_goes_and_a_living_ones_stays() {
        let root = tempfile::tempdir().unwrap();
        let dead = root.path().join("weir-package-1-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("seg-1.m4s"), "x").unwrap();
        let other = root.path().join("something-else");
        fs::create_dir(&other).unwrap();
        let living = Work::create(root.path()).unwrap();
        assert!(!dead.exists());
        let second = Work::create(root.path()).unwrap();
        assert!(living.path().exists() && second.path().exists() && other.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists() && second.path().exists());
    }
}
