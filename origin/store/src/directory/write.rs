//! Writing one object file: under a temporary name first, checksums made on the way, synced,
//! then renamed into place. The rename is the only moment at which anything becomes visible.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::{Digest, Md5};

use super::{
    disk::Disk,
    format::{GRAIN, Layout, Record},
};

/// An object file that nobody sees yet. Dropped, it leaves nothing behind.
pub(super) struct ObjectWriter {
    disk: Disk,
    path: PathBuf,
    /// None once it has its final name.
    file: Option<File>,
    md5: Md5,
    grain: Crc,
    in_grain: usize,
    /// 8 bytes for each full grain: 32 MiB at the largest object allowed.
    table: Vec<u8>,
    length: u64,
}

impl ObjectWriter {
    pub(super) fn create(disk: Disk, path: PathBuf) -> io::Result<Self> {
        let file = disk.create(&path)?;
        Ok(Self {
            disk,
            path,
            file: Some(file),
            md5: Md5::new(),
            grain: Crc::new(CrcAlgorithm::Crc64Nvme),
            in_grain: 0,
            table: Vec::new(),
            length: 0,
        })
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("only finishing takes the file, and consumes the writer")
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(self.file(), bytes)?;
        self.md5.update(bytes);
        self.length += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(GRAIN - self.in_grain));
            self.grain.update(now);
            self.in_grain += now.len();
            if self.in_grain == GRAIN {
                self.end_grain();
            }
            rest = later;
        }
        Ok(())
    }

    fn end_grain(&mut self) {
        let full = std::mem::replace(&mut self.grain, Crc::new(CrcAlgorithm::Crc64Nvme));
        self.table.extend_from_slice(&full.finalize().to_le_bytes());
        self.in_grain = 0;
    }

    /// The MD5 of what was written.
    pub(super) fn digest(&self) -> [u8; 16] {
        self.md5.clone().finalize().into()
    }

    /// Writes what follows the body and makes it last.
    pub(super) fn seal(&mut self, record: &Record) -> io::Result<()> {
        if self.in_grain > 0 {
            self.end_grain();
        }
        let record = serde_json::to_vec(record)?;
        let mut tail = std::mem::take(&mut self.table);
        tail.extend_from_slice(&record);
        tail.extend_from_slice(&Layout::footer(self.length, &record));
        self.disk.write(self.file(), &tail)?;
        self.disk.sync_file(self.file())
    }

    /// Gives the sealed file its name below `base`, over whatever had that name.
    pub(super) fn publish(mut self, base: &Path, path: &Path) -> io::Result<()> {
        /// A delete may prune the folder between its making and the rename; each turn of the
        /// loop needs another delete to win that race.
        const TURNS: usize = 64;
        let folder = path.parent().unwrap_or(base);
        let mut turn = 0;
        loop {
            self.disk.make_folders(base, folder).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound if turn < TURNS => Ok(()),
                _ => Err(error),
            })?;
            match self.disk.rename(&self.path, path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && turn < TURNS => turn += 1,
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.file = None;
        self.disk.sync_folder(folder)
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Err(error) = self.disk.remove_file(&self.path)
        {
            // The next start removes it.
            tracing::warn!(path = %self.path.display(), %error, "temporary file stays behind");
        }
    }
}

/// Hexadecimal, as entity tags write it.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entity tag of an object made of parts with these digests, as S3 makes it.
pub(super) fn tag_of_parts(digests: &[[u8; 16]]) -> String {
    let mut md5 = Md5::new();
    for digest in digests {
        md5.update(digest);
    }
    format!("{}-{}", hex(&md5.finalize()), digests.len())
}
