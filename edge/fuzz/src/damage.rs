//! Files of a directory, made once, and damaged by bytes.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Edits in one input.
const EDITS_MAX: usize = 16;
/// Where heads of files are.
const HEAD: u64 = 64 * 1024;

/// Copies a directory's files, those in its directories too.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary directory");
    for entry in fs::read_dir(from).expect("it was made here") {
        let path = entry.expect("entries can be read").path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("room in the temporary directory");
        }
    }
}

/// All files below a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it was made here");
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entries can be read").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    all.sort_unstable();
    all
}

/// Reads `input` as edits: which file, how, where, how many bytes, and these. A file is written
/// over, in its head or anywhere, or cut.
pub(crate) fn apply(directory: &Path, mut input: &[u8]) {
    let files = files(directory);
    for _ in 0..EDITS_MAX {
        let Some((&[file, mode, a, b, c, d, length], rest)) = input.split_first_chunk::<7>() else {
            return;
        };
        let (bytes, after) = rest.split_at(usize::from(length).min(rest.len()));
        input = after;
        let Some(path) = files.get(usize::from(file) % files.len().max(1)) else { return };
        let Ok(file) = OpenOptions::new().write(true).open(path) else { continue };
        let size = file.metadata().map_or(0, |meta| meta.len());
        let bound = if mode & 1 == 0 { size.min(HEAD) } else { size };
        let place = u64::from(u32::from_le_bytes([a, b, c, d])) % bound.max(1);
        // A full disk of the machine that fuzzes is no finding.
        let done = match mode >> 1 & 3 {
            3 => file.set_len(place),
            _ => file.write_all_at(bytes, place),
        };
        done.expect("room in the temporary directory");
    }
}
