//! Objects written in parts: what an S3 server needs of a store beyond [`ObjectStore`].

use std::time::SystemTime;

use futures::future::BoxFuture;

use crate::port::{ETag, ObjectBody, ObjectMeta, ObjectStore, PutOptions, StoreError};

/// Highest number of a part, as S3 has it.
pub const MAX_PART_NUMBER: u32 = 10_000;
/// Least bytes of every part but the last, as S3 has it.
pub const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// One stored part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u32,
    /// MD5 of the part.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// An upload that was begun and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Of the object it is to become.
    pub key: String,
    /// Names the upload within its bucket.
    pub id: String,
    /// When it was begun.
    pub begun: SystemTime,
}

/// A store that takes objects in parts. Uploads survive a restart.
pub trait MultipartStore: ObjectStore {
    /// Begins an upload and gives its id. `options` hold for the finished object.
    fn begin_upload<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<String, StoreError>>;

    /// Writes one part; the same number again replaces it.
    fn put_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        number: u32,
        size: u64,
        body: ObjectBody,
    ) -> BoxFuture<'a, Result<Part, StoreError>>;

    /// At most `limit` parts with numbers above `after`, in order.
    fn parts<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        after: u32,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>>;

    /// All open uploads of a bucket, by key and then id. Their number is bounded.
    fn uploads<'a>(&'a self, bucket: &'a str) -> BoxFuture<'a, Result<Vec<Upload>, StoreError>>;

    /// Makes the object of the named parts, in the order of their numbers; parts that are not
    /// named are dropped. Of `options` only the conditions count: the rest came with the
    /// beginning.
    fn complete_upload<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        parts: Vec<(u32, ETag)>,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>>;

    /// Drops an upload and its parts.
    fn abort_upload<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The names of all buckets, sorted.
    fn buckets(&self) -> Vec<String>;
}
