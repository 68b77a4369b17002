//! The marker that tells a store's directory from others, and what shape its files have.
//!
//! foyer's files do not say how large a block is; opened with another geometry they would be
//! scanned at the wrong places and leave orphans. So another geometry starts empty.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::Path,
};

use crate::store::StoreOpenError;

/// Counts up when records or file layout change.
const FORMAT: u64 = 1;
const MARKER: &str = "weir-store";
const MARKER_NEW: &str = "weir-store.new";
const LOCK: &str = "weir-store.lock";
/// Made and removed to see what the file system can do.
pub(super) const PROBE: &str = "weir-store.probe";
/// How foyer names its files.
const BLOCKS: &str = "foyer-storage-direct-fs-";
const TITLE: &str = "weir chunk store";

/// What must be the same for files to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) size: u64,
    pub(super) block: u64,
}

/// Takes the directory for a store of this geometry: as it is where the marker says the
/// same, emptied where it says something else, refused where there is none but other files.
/// The file returned holds the lock.
pub(super) fn claim(path: &Path, geometry: Geometry) -> Result<File, StoreOpenError> {
    let fail = |action| move |source| StoreOpenError::Io { path: path.to_owned(), action, source };
    fs::create_dir_all(path).map_err(fail("make the directory"))?;
    if let Some(found) = foreign(path).map_err(fail("list the directory"))? {
        return Err(StoreOpenError::Foreign { path: path.to_owned(), found });
    }
    let lock = File::create(path.join(LOCK)).map_err(fail("make the lock file"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreOpenError::InUse { path: path.to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(fail("lock it")(source)),
    }
    let marker = read(path).map_err(fail("read the marker"))?;
    if marker == Some((FORMAT, geometry)) {
        return Ok(lock);
    }
    if let Some((format, before)) = marker {
        tracing::warn!(
            path = %path.display(), format, ?before, ?geometry,
            "chunk store has another shape than configured: starting an empty one"
        );
    }
    // Format 0 until the old files are gone, so that a crash in between starts over.
    write(path, 0, geometry).map_err(fail("write the marker"))?;
    clear(path).map_err(fail("remove the old files"))?;
    write(path, FORMAT, geometry).map_err(fail("write the marker"))?;
    Ok(lock)
}

/// Something in the directory that no store put there. Block files without a marker count
/// as foreign, too: they may be another program's.
fn foreign(path: &Path) -> io::Result<Option<String>> {
    let marked = path.join(MARKER).try_exists()?;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let ours = [MARKER, MARKER_NEW, LOCK, PROBE, "lost+found"].contains(&&*name)
            || (marked && name.starts_with(BLOCKS));
        if !ours {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}

fn clear(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(BLOCKS) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// `Some` of format 0 where a marker is there and does not parse.
fn read(path: &Path) -> io::Result<Option<(u64, Geometry)>> {
    let mut text = Vec::new();
    match File::open(path.join(MARKER)) {
        Ok(file) => file.take(4096).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let unknown = (0, Geometry { size: 0, block: 0 });
    Ok(Some(std::str::from_utf8(&text).ok().and_then(parse).unwrap_or(unknown)))
}

fn parse(text: &str) -> Option<(u64, Geometry)> {
    let mut lines = text.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let mut number = |name: &str| -> Option<u64> {
        let (key, value) = lines.next()?.split_once(" = ")?;
        (key == name).then(|| value.parse().ok())?
    };
    let format = number("format")?;
    let geometry = Geometry { size: number("size")?, block: number("block")? };
    Some((format, geometry))
}

fn write(path: &Path, format: u64, geometry: Geometry) -> io::Result<()> {
    let Geometry { size, block } = geometry;
    let new = path.join(MARKER_NEW);
    let mut file = File::create(&new)?;
    write!(file, "{TITLE}\nformat = {format}\nsize = {size}\nblock = {block}\n")?;
    file.sync_all()?;
    fs::rename(new, path.join(MARKER))?;
    File::open(path)?.sync_all()
}
