//! Files that other processes read: written whole or not at all, secrets for their owner only.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::Failure;

/// Makes a directory and those above it.
pub fn directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|why| Failure::path("make the directory", path, &why))
}

/// Writes a file that everybody may read.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, 0o644)
}

/// Writes a file that its owner alone may read.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, 0o600)
}

/// Reads text; none when there is no such file.
pub fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(Failure::path("read", path, &why)),
    }
}

/// Removes a file or a whole directory; what is not there is as good.
pub fn remove(path: &Path) -> Result<(), Failure> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(|why| Failure::path("remove", path, &why))
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new: PathBuf = path.with_file_name(name);
    let written = (|| {
        remove(&new).map_err(std::io::Error::other)?;
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    written.map_err(|why| Failure::path("write", path, &why))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_replaced_with_their_mode() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("a/b");
        write(&path, b"1").expect("writes");
        // What a killed run left behind is in nobody's way.
        write(&path.with_file_name("b.new"), b"half").expect("writes");
        write_secret(&path, b"2").expect("replaces");
        assert_eq!(read(&path).expect("reads").as_deref(), Some("2"));
        let mode = fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        remove(dir.path().join("a").as_path()).expect("removes");
        assert_eq!(read(&path).expect("reads"), None);
    }
}
