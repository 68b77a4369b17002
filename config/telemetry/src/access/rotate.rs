//! When a file of the log makes room for the next one, and where it goes: `access.jsonl` becomes
//! `access.jsonl.1`, that `.2`, and the last one goes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// When, and how many are kept. Nothing rotates where neither size nor age is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// From so many bytes on.
    pub bytes: Option<u64>,
    /// From that age on.
    pub age: Option<Duration>,
    /// Files beside the one that is written. At least 1.
    pub keep: u16,
}

impl Rotation {
    /// Whether a file of that size and age is full.
    pub(super) fn is_due(&self, bytes: u64, age: Duration) -> bool {
        // An empty one tells nothing.
        bytes > 0
            && (self.bytes.is_some_and(|most| bytes >= most)
                || self.age.is_some_and(|most| age >= most))
    }

    /// Moves the files on, so that `path` is free.
    pub(super) fn turn(&self, path: &Path) -> io::Result<()> {
        let keep = self.keep.max(1);
        for number in (1..=keep).rev() {
            let from = if number == 1 { path.to_path_buf() } else { numbered(path, number - 1) };
            match fs::rename(&from, numbered(path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn numbered(path: &Path, number: u16) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::Rotation;
    use std::{fs, time::Duration};

    #[test]
    fn size_or_age() {
        let hour = Duration::from_secs(3600);
        let check = |bytes, age, (size, old), due| {
            let rotation = Rotation { bytes, age, keep: 1 };
            assert_eq!(rotation.is_due(size, old), due);
        };
        check(Some(100), None, (99, hour), false);
        check(Some(100), None, (100, Duration::ZERO), true);
        check(None, Some(hour), (1, hour), true);
        check(None, Some(hour), (0, hour), false);
        check(None, None, (u64::MAX, Duration::MAX), false);
    }

    #[test]
    fn so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let rotation = Rotation { bytes: None, age: None, keep: 2 };
        for text in ["a", "b", "c", "d"] {
            fs::write(&path, text).unwrap();
            rotation.turn(&path).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        let found = ["log", "log.1", "log.2", "log.3"].map(read);
        assert_eq!(found, [None, Some("d".to_owned()), Some("c".to_owned()), None]);
    }
}
