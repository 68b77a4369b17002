//! The superblock: whose folder this is, and in what shape its files are. Text, so that a
//! person can read it; its last line is a checksum of the others.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::Path,
};

use super::geometry::{PAGE, REGION};
use crate::{chunk::crc32c, store::StoreOpenError};

/// Counts up when records, the manifest or the division of the data file change.
const VERSION: u64 = 1;
const TITLE: &str = "weir extent store";
const SUPERBLOCK: &str = "weir-extent";
const SUPERBLOCK_NEW: &str = "weir-extent.new";
const LOCK: &str = "weir-extent.lock";
pub(super) const DATA: &str = "data";
pub(super) const MANIFEST: &str = "manifest";
pub(super) const MANIFEST_NEW: &str = "manifest.new";
const OURS: [&str; 6] = [SUPERBLOCK, SUPERBLOCK_NEW, LOCK, DATA, MANIFEST, MANIFEST_NEW];
/// Marker and files of the disk tier before this one.
const BEFORE: &str = "weir-store";
const BEFORE_FILES: [&str; 2] = ["weir-store", "foyer-storage-direct-fs-"];

/// What a superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) version: u64,
    pub(super) region: u64,
    /// Slot bits of the shape; files of another number would be read at wrong places.
    pub(super) slot_bits: u32,
    pub(super) node: String,
    pub(super) disk: u128,
}

impl Superblock {
    pub(super) fn new(node: &str, disk: u128, slot_bits: u32) -> Self {
        Self {
            version: VERSION,
            region: REGION,
            slot_bits,
            node: node.escape_default().to_string(),
            disk,
        }
    }

    fn text(&self) -> String {
        let Self { version, region, slot_bits, node, disk } = self;
        let mut text = format!(
            "{TITLE}\nversion = {version}\nregion = {region}\nslot_bits = {slot_bits}\n\
             disk = {disk:032x}\nnode = {node}\n"
        );
        let crc = crc32c(text.as_bytes());
        text.push_str(&format!("crc32c = {crc:08x}\n"));
        text
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, last) = text.split_at(text.find("crc32c = ")?);
        let crc = last.strip_prefix("crc32c = ")?.strip_suffix('\n')?;
        if crc32c(body.as_bytes()) != u32::from_str_radix(crc, 16).ok()? {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut value = |name: &str| {
            let (key, value) = lines.next()?.split_once(" = ")?;
            (key == name).then_some(value)
        };
        Some(Self {
            version: value("version")?.parse().ok()?,
            region: value("region")?.parse().ok()?,
            slot_bits: value("slot_bits")?.parse().ok()?,
            disk: u128::from_str_radix(value("disk")?, 16).ok()?,
            node: value("node")?.to_owned(),
        })
    }
}

/// What was found in a folder that is now claimed.
#[derive(Debug)]
pub(super) struct Claim {
    /// Holds the lock.
    pub(super) lock: File,
    /// Of the store that is there; `None` for an empty folder.
    pub(super) superblock: Option<Superblock>,
    /// Whether there was one that cannot be read.
    pub(super) damaged: bool,
}

/// Locks the folder and says what is in it. Refuses what no store put there, what another
/// process has, and a store of another node, version or geometry. A superblock that does not
/// parse is no reason to stop: that store is lost, and a new one starts.
pub(super) fn claim(path: &Path, wanted: &Superblock) -> Result<Claim, StoreOpenError> {
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
    let found = read(path).map_err(fail("read the superblock"))?;
    let damaged = matches!(found, Found::Broken);
    let superblock = match found {
        Found::Nothing => None,
        Found::Broken => {
            tracing::warn!(path = %path.display(), "chunk store: the superblock is damaged");
            None
        }
        Found::Whole(found) => {
            let ours = Superblock { node: found.node.clone(), disk: found.disk, ..wanted.clone() };
            if found != ours {
                return Err(StoreOpenError::OtherShape {
                    path: path.to_owned(),
                    found: shape(&found),
                    expected: shape(wanted),
                });
            }
            if found.node != wanted.node {
                return Err(StoreOpenError::OtherNode {
                    path: path.to_owned(),
                    found: found.node,
                    expected: wanted.node.clone(),
                });
            }
            Some(found)
        }
    };
    Ok(Claim { lock, superblock, damaged })
}

fn shape(block: &Superblock) -> String {
    let Superblock { version, region, slot_bits, .. } = block;
    format!("version {version} with regions of {region} bytes and {slot_bits} slot bits")
}

/// Clears the folder of a store's files, of this or the former kind, and writes the superblock.
pub(super) fn make(path: &Path, block: &Superblock) -> io::Result<()> {
    // The manifest goes first: without it no byte of the data file is believed.
    for name in [MANIFEST, MANIFEST_NEW, DATA] {
        match fs::remove_file(path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if BEFORE_FILES.iter().any(|before| name.to_string_lossy().starts_with(before)) {
            fs::remove_file(entry.path())?;
        }
    }
    let new = path.join(SUPERBLOCK_NEW);
    let mut file = File::create(&new)?;
    file.write_all(block.text().as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path.join(SUPERBLOCK))?;
    File::open(path)?.sync_all()
}

enum Found {
    Nothing,
    Broken,
    Whole(Superblock),
}

fn read(path: &Path) -> io::Result<Found> {
    let mut bytes = Vec::new();
    match File::open(path.join(SUPERBLOCK)) {
        Ok(file) => file.take(PAGE).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    Ok(Superblock::parse(&bytes).map_or(Found::Broken, Found::Whole))
}

/// Something in the directory that no store put there. Data without a superblock counts as
/// foreign, too: it may be another program's.
fn foreign(path: &Path) -> io::Result<Option<String>> {
    let marked = path.join(SUPERBLOCK).try_exists()?;
    let before = path.join(BEFORE).try_exists()?;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let ours = [SUPERBLOCK, SUPERBLOCK_NEW, LOCK, "lost+found"].contains(&&*name)
            || (marked && OURS.contains(&&*name))
            || (before && BEFORE_FILES.iter().any(|before| name.starts_with(before)));
        if !ours {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_reads_back_and_no_bit_of_it_may_flip() {
        let block = Superblock::new("edge1.example", 77, 10);
        let text = block.text().into_bytes();
        assert_eq!(Superblock::parse(&text).as_ref(), Some(&block));
        for place in 0..text.len() {
            let mut bytes = text.clone();
            bytes[place] ^= 1;
            assert_ne!(Superblock::parse(&bytes), Some(block.clone()), "byte {place}");
            let cut = Superblock::parse(&text[..place]);
            assert_eq!(cut, None, "{place} bytes");
        }
    }
}
