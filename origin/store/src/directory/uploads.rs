//! Uploads in parts. An upload is a folder `uploads/BUCKET/ID` with the file `upload` (what the
//! object is to be; its rename begins the upload) and one object file for each part. Removing
//! starts with `upload`, so a folder without it is waste, which the next start clears.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Inner,
    format::{Described, GRAIN, Record, time_of},
    read::{Fault, ObjectFile},
    write::{ObjectWriter, tag_of_parts},
};
use crate::{
    port::{ETag, ObjectMeta, PutOptions, StoreError},
    uploads::{MAX_PART_NUMBER, MIN_PART_BYTES, Part, Upload},
};

/// The content of `upload`.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    key: String,
    /// Seconds since the Unix epoch.
    at: u64,
    #[serde(flatten)]
    described: Described,
}

const BEGUN: &str = "upload";

/// An id is the time and a count, in 20 hexadecimal digits: nothing else reaches a path.
fn is_id(id: &str) -> bool {
    id.len() == 20 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn part_name(number: u32) -> String {
    format!("part-{number:05}")
}

fn part_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("part-")?.parse().ok()?;
    (part_name(number) == name).then_some(number)
}

pub(super) fn check_number(number: u32) -> Result<(), StoreError> {
    match number {
        1..=MAX_PART_NUMBER => Ok(()),
        _ => Err(StoreError::BadPart { number, reason: "numbers run from 1 to 10000" }),
    }
}

/// One open upload.
pub(super) struct Folder {
    path: PathBuf,
    id: String,
    begun: Begun,
}

impl Folder {
    pub(super) fn part(&self, number: u32) -> PathBuf {
        self.path.join(part_name(number))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Inner {
    fn uploads_of(&self, bucket: &str) -> PathBuf {
        self.root.join("uploads").join(bucket)
    }

    /// Begins an upload.
    pub(super) fn begin(
        &self,
        bucket: &str,
        key: &str,
        described: Described,
    ) -> Result<String, StoreError> {
        let base = self.uploads_of(bucket);
        let begun = Begun { key: key.to_owned(), at: self.clock.unix_seconds(), described };
        let wrong = |source| StoreError::Io { action: format!("begin an upload of {key}"), source };
        let _one_at_a_time = self.stripe(bucket, "").lock();
        let open = fs::read_dir(&base).map_err(wrong)?.count();
        if open >= self.max_uploads {
            let limit = self.max_uploads as u64;
            return Err(StoreError::TooMuch { what: "the number of open uploads", limit });
        }
        // The count starts anew with the process; a name from before it is passed over.
        let (id, path) = loop {
            let id = format!("{:011x}{:09x}", self.clock.unix_millis(), self.next_count());
            let path = base.join(&id);
            match self.disk.make_folder(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                outcome => break outcome.map(|()| (id, path)).map_err(wrong)?,
            }
        };
        let outcome = self.write_begun(&base, &path, &begun);
        if outcome.is_err() {
            // What stays is cleared by the next start.
            let _ = self.disk.remove_folder(&path);
        }
        outcome.map(|()| id).map_err(wrong)
    }

    fn write_begun(&self, base: &Path, path: &Path, begun: &Begun) -> io::Result<()> {
        self.disk.sync_folder(base)?;
        let temporary = self.temporary();
        let file = self.disk.create(&temporary)?;
        let text = serde_json::to_vec(begun)?;
        let outcome = self
            .disk
            .write(&file, &text)
            .and_then(|()| self.disk.sync_file(&file))
            .and_then(|()| self.disk.rename(&temporary, &path.join(BEGUN)));
        if outcome.is_err() {
            let _ = self.disk.remove_file(&temporary);
        }
        outcome?;
        self.disk.sync_folder(path)
    }

    /// Finds an open upload of `key`.
    pub(super) fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Folder, StoreError> {
        let unknown = || StoreError::NoUpload(id.chars().take(64).collect());
        let folder = if is_id(id) { self.open_upload(bucket, id)? } else { return Err(unknown()) };
        folder.filter(|folder| folder.begun.key == key).ok_or_else(unknown)
    }

    fn open_upload(&self, bucket: &str, id: &str) -> Result<Option<Folder>, StoreError> {
        let path = self.uploads_of(bucket).join(id);
        let text = match fs::read(path.join(BEGUN)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(StoreError::Io { action: format!("read upload {id}"), source });
            }
        };
        let begun = serde_json::from_slice(&text)
            .map_err(|_| StoreError::Corrupt { key: format!("upload {id}") })?;
        Ok(Some(Folder { path, id: id.to_owned(), begun }))
    }

    /// Gives a sealed part its place.
    pub(super) fn publish_part(
        &self,
        folder: &Folder,
        number: u32,
        writer: ObjectWriter,
    ) -> Result<(), StoreError> {
        match writer.publish(&folder.path, &folder.part(number)) {
            // Completed or aborted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NoUpload(folder.id.clone()))
            }
            Err(source) => {
                let action = format!("store part {number} of {}", folder.begun.key);
                Err(StoreError::Io { action, source })
            }
            Ok(()) => Ok(()),
        }
    }

    pub(super) fn list_parts(
        &self,
        folder: &Folder,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Part>, StoreError> {
        let gone = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NoUpload(folder.id.clone()),
            _ => StoreError::Io { action: format!("list upload {}", folder.id), source },
        };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&folder.path).map_err(gone)? {
            let name = entry.map_err(gone)?.file_name();
            numbers.extend(name.to_str().and_then(part_number).filter(|number| *number > after));
        }
        numbers.sort_unstable();
        numbers.truncate(limit);
        numbers
            .into_iter()
            .map(|number| Ok(describe(number, &open_part(folder, number)?)))
            .collect()
    }

    pub(super) fn list_uploads(&self, bucket: &str) -> Result<Vec<Upload>, StoreError> {
        let wrong =
            |source| StoreError::Io { action: format!("list the uploads of {bucket}"), source };
        let mut uploads = Vec::new();
        for entry in fs::read_dir(self.uploads_of(bucket)).map_err(wrong)? {
            let name = entry.map_err(wrong)?.file_name();
            let Some(id) = name.to_str().filter(|id| is_id(id)) else { continue };
            if let Some(Folder { id, begun, .. }) = self.open_upload(bucket, id)? {
                uploads.push(Upload { key: begun.key, id, begun: time_of(begun.at) });
            }
        }
        uploads.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        Ok(uploads)
    }

    /// Copies the parts into one object, checking every grain on the way.
    pub(super) fn complete(
        &self,
        bucket: &str,
        folder: &Folder,
        parts: &[(u32, ETag)],
        options: &PutOptions,
    ) -> Result<ObjectMeta, StoreError> {
        let key = &folder.begun.key;
        let wrong = |source| StoreError::Io { action: format!("join the parts of {key}"), source };
        let files = self.check_parts(folder, parts)?;
        let mut digests = Vec::with_capacity(files.len());
        let mut whole = ObjectWriter::create(self.disk.clone(), self.temporary()).map_err(wrong)?;
        for ((number, _), file) in parts.iter().zip(files) {
            let file = match file {
                Some(file) => file,
                None => open_part(folder, *number)?,
            };
            digests.push(digest_of(&file).ok_or(StoreError::Corrupt { key: key.clone() })?);
            let mut at = 0;
            while at < file.size() {
                let grain = file
                    .first_of(&(at..file.size().min(at + GRAIN as u64)))
                    .map_err(|fault| fault.of_object(bucket, key))?;
                whole.write(&grain).map_err(wrong)?;
                at += grain.len() as u64;
            }
        }
        let record = Record {
            key: key.clone(),
            etag: tag_of_parts(&digests),
            modified: self.clock.unix_seconds(),
            described: folder.begun.described.clone(),
        };
        let meta = self.publish(bucket, whole, record, options)?;
        if let Err(error) = self.remove_upload(folder) {
            // The object stands. The upload can be aborted, or is completed again to the same.
            tracing::warn!(upload = folder.id, %error, "parts of a completed upload stay behind");
        }
        Ok(meta)
    }

    /// Checks the list of a completion against what is stored. Files of small uploads stay
    /// open, so that they are not opened twice.
    fn check_parts(
        &self,
        folder: &Folder,
        parts: &[(u32, ETag)],
    ) -> Result<Vec<Option<ObjectFile>>, StoreError> {
        const KEPT_OPEN: usize = 16;
        let mut before = 0;
        for &(number, _) in parts {
            check_number(number)?;
            if number <= before {
                return Err(StoreError::PartOrder { number });
            }
            before = number;
        }
        let (mut files, mut total) = (Vec::with_capacity(parts.len()), 0u64);
        for (at, (number, etag)) in parts.iter().enumerate() {
            let number = *number;
            let file = open_part(folder, number)?;
            if file.record.etag != etag.0 {
                let reason = "its entity tag is another one";
                return Err(StoreError::BadPart { number, reason });
            }
            let size = file.size();
            if size < MIN_PART_BYTES && at + 1 < parts.len() {
                return Err(StoreError::PartTooSmall { number, size, least: MIN_PART_BYTES });
            }
            total = total.saturating_add(size);
            files.push((parts.len() <= KEPT_OPEN).then_some(file));
        }
        if parts.is_empty() {
            return Err(StoreError::BadPart { number: 0, reason: "a completion names parts" });
        }
        self.check_size(total)?;
        Ok(files)
    }

    pub(super) fn remove_upload(&self, folder: &Folder) -> io::Result<()> {
        self.disk.remove_file(&folder.path.join(BEGUN))?;
        self.clear_upload(&folder.path)
    }

    fn clear_upload(&self, path: &Path) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            match self.disk.remove_file(&entry?.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.disk.remove_folder(path)?;
        self.disk.sync_folder(path.parent().unwrap_or(&self.root))
    }

    /// Clears what a crash left of uploads that had not begun or had ended.
    pub(super) fn clear_waste(&self, bucket: &str) -> io::Result<()> {
        for entry in fs::read_dir(self.uploads_of(bucket))? {
            let path = entry?.path();
            if path.is_dir() && !path.join(BEGUN).exists() {
                self.clear_upload(&path)?;
            }
        }
        Ok(())
    }
}

fn open_part(folder: &Folder, number: u32) -> Result<ObjectFile, StoreError> {
    ObjectFile::open(&folder.part(number)).map_err(|fault| match fault {
        Fault::Absent => StoreError::BadPart { number, reason: "it was not uploaded" },
        fault => fault.of_object("", &format!("part {number} of {}", folder.begun.key)),
    })
}

fn describe(number: u32, file: &ObjectFile) -> Part {
    Part {
        number,
        etag: ETag(file.record.etag.clone()),
        size: file.size(),
        modified: time_of(file.record.modified),
    }
}

/// The MD5 that is the entity tag of a part.
fn digest_of(part: &ObjectFile) -> Option<[u8; 16]> {
    let tag = part.record.etag.as_bytes();
    let mut digest = [0; 16];
    for (byte, pair) in digest.iter_mut().zip(tag.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (tag.len() == 32).then_some(digest)
}
