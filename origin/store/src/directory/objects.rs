//! One object at a time, and pages of many: what the port asks, done on the disk. Blocks.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::PathBuf,
    sync::atomic::Ordering,
};

use parking_lot::Mutex;

use super::{
    Inner, STRIPES,
    format::{Described, Record},
    list::{Walk, folded},
    path::object_path,
    read::{Fault, ObjectFile},
    write::ObjectWriter,
};
use crate::{
    port::{ListPage, ObjectMeta, PutOptions, StoreError},
    rules::check_key,
};

/// Entries of one page of a listing.
const MAX_PAGE: usize = 1000;

impl Inner {
    pub(super) fn bucket(&self, bucket: &str) -> Result<PathBuf, StoreError> {
        // Only configured names, which were checked, ever become a path.
        match self.buckets.iter().find(|known| *known == bucket) {
            Some(known) => Ok(self.root.join("buckets").join(known)),
            None => Err(StoreError::NoBucket(bucket.chars().take(64).collect())),
        }
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> Result<PathBuf, StoreError> {
        let bucket = self.bucket(bucket)?;
        check_key(key)?;
        Ok(bucket.join(object_path(key)))
    }

    pub(super) fn next_count(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.root.join("temporary").join(self.next_count().to_string())
    }

    pub(super) fn stripe(&self, bucket: &str, key: &str) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        (bucket, key).hash(&mut hasher);
        &self.stripes[usize::try_from(hasher.finish() % STRIPES as u64).expect("small")]
    }

    pub(super) fn check_size(&self, size: u64) -> Result<(), StoreError> {
        if size > self.max_object {
            return Err(StoreError::TooMuch { what: "the object's size", limit: self.max_object });
        }
        Ok(())
    }

    pub(super) fn open_object(&self, bucket: &str, key: &str) -> Result<ObjectFile, StoreError> {
        let path = self.object(bucket, key)?;
        match ObjectFile::open(&path) {
            // A record that names another key lies where it does not belong.
            Ok(file) if file.record.key != key => Err(Fault::Rotten.of_object(bucket, key)),
            Ok(file) => Ok(file),
            Err(fault) => Err(fault.of_object(bucket, key)),
        }
    }

    /// Whether the conditions of a write hold now.
    pub(super) fn check_write(
        &self,
        bucket: &str,
        key: &str,
        options: &PutOptions,
    ) -> Result<(), StoreError> {
        if !options.if_none_match_any && options.if_match.is_none() {
            return Ok(());
        }
        let failed = || StoreError::PreconditionFailed { key: key.to_owned() };
        match (self.open_object(bucket, key), &options.if_match) {
            (Ok(_), _) if options.if_none_match_any => Err(failed()),
            (Ok(file), Some(etag)) if file.record.etag != etag.0 => Err(failed()),
            (Err(StoreError::NotFound { .. }), None) | (Ok(_), _) => Ok(()),
            (Err(error), _) => Err(error),
        }
    }

    /// Seals what was written and makes it the object, if the conditions still hold.
    pub(super) fn publish(
        &self,
        bucket: &str,
        mut writer: ObjectWriter,
        record: Record,
        options: &PutOptions,
    ) -> Result<ObjectMeta, StoreError> {
        let key = record.key.clone();
        let wrong = |source| StoreError::Io { action: format!("store {key}"), source };
        let path = self.object(bucket, &key)?;
        let base = self.bucket(bucket)?;
        let size = writer.length();
        writer.seal(&record).map_err(wrong)?;
        let _nobody_between = self.stripe(bucket, &key).lock();
        self.check_write(bucket, &key, options)?;
        writer.publish(&base, &path).map_err(wrong)?;
        Ok(record.into_meta(size))
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        let path = self.object(bucket, key)?;
        let base = self.bucket(bucket)?;
        let wrong = |source| StoreError::Io { action: format!("delete {key}"), source };
        let _nobody_between = self.stripe(bucket, key).lock();
        match self.disk.remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            outcome => outcome.map_err(wrong)?,
        }
        // Folders that are empty now go, from the inside out, up to the first that is not. An
        // empty one that stays after a crash is in nobody's way: listings pass it over.
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|folder| *folder != base) {
            if self.disk.remove_folder(empty).is_err() {
                break;
            }
            folder = empty.parent();
        }
        match self.disk.sync_folder(folder.unwrap_or(&base)) {
            // Another delete pruned it: that one syncs above.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(wrong),
        }
    }

    pub(super) fn page(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let base = self.bucket(bucket)?;
        let wrong = |source| StoreError::Io { action: format!("list {bucket}"), source };
        let mut page = ListPage::default();
        let mut last = None;
        let limit = limit.min(MAX_PAGE);
        if limit == 0 {
            return Ok(page);
        }
        let mut walk = Walk::new(&base, prefix, after).map_err(wrong)?;
        if let Some(after) = after
            && folded(after, prefix, delimiter) == Some(after)
        {
            walk.pass_over(after.as_bytes());
        }
        while let Some((key, path)) = walk.next().map_err(wrong)? {
            // A file that bears the name of a key which nobody could ask for.
            if check_key(&key).is_err() {
                continue;
            }
            let full = page.objects.len() + page.prefixes.len() == limit;
            if full {
                page.next = last;
                break;
            }
            if let Some(folded) = folded(&key, prefix, delimiter) {
                walk.pass_over(folded.as_bytes());
                page.prefixes.push(folded.to_owned());
                last = Some(folded.to_owned());
                continue;
            }
            match ObjectFile::open(&path) {
                Ok(file) => {
                    let size = file.size();
                    let record = Record { described: Described::default(), ..file.record };
                    page.objects.push(record.into_meta(size));
                    last = Some(key);
                }
                Err(Fault::Absent) => {}
                // One rotten object must not hide all others; reading it says what is wrong.
                Err(fault) => {
                    let error = fault.of_object(bucket, &key);
                    tracing::error!(bucket, key, %error, "object left out of a listing");
                }
            }
        }
        Ok(page)
    }
}
