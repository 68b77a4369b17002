//! What the product needs from an object store. Two adapters implement it: the local
//! directory (`weir-origin-store`, served as S3 by `weir-origin`) and S3 over the network
//! (`weir-origin-s3`).

use std::{fmt, ops::Range, time::SystemTime};

use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};

pub type ObjectBody = BoxStream<'static, Result<Bytes, StoreError>>;

/// A strong entity tag without its quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// A byte range as asked for: `First..=Last`, from an offset to the end, or the last N bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    Closed { first: u64, last: u64 },
    From { first: u64 },
    Suffix { length: u64 },
}

/// Conditions of a read, RFC 9110 §13 as S3 applies them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    pub if_match: Option<ETag>,
    pub if_none_match: Option<ETag>,
    pub if_modified_since: Option<SystemTime>,
    pub if_unmodified_since: Option<SystemTime>,
}

/// What is known of an object without its bytes. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    pub key: String,
    pub size: u64,
    pub etag: ETag,
    pub modified: SystemTime,
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    /// Further stored fields: `content-encoding`, `content-disposition`, `content-language`,
    /// `expires` and `x-amz-meta-*`, names in lower case.
    pub fields: Vec<(String, String)>,
}

/// An object being read. `range` is what `body` holds, resolved against the size.
pub struct Object {
    pub meta: ObjectMeta,
    pub range: Range<u64>,
    pub body: ObjectBody,
}

/// What travels with a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub fields: Vec<(String, String)>,
    /// Write only where no object of that key exists.
    pub if_none_match_any: bool,
}

/// One page of a listing, in byte order of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    pub objects: Vec<ObjectMeta>,
    /// Prefixes that the delimiter folded.
    pub prefixes: Vec<String>,
    /// Where the next page starts; none on the last.
    pub next: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no object {key} in bucket {bucket}")]
    NotFound { bucket: String, key: String },
    #[error("no bucket {0}")]
    NoBucket(String),
    #[error("a condition of the request does not hold for {key}")]
    PreconditionFailed { key: String },
    #[error("{key} has not changed")]
    NotModified { key: String, etag: Option<ETag> },
    #[error("range lies outside the {size} bytes of {key}")]
    RangeNotSatisfiable { key: String, size: u64 },
    #[error("{0} is not a name this store accepts: {1}")]
    BadName(String, &'static str),
    #[error("access to {what} denied: {reason}")]
    Denied { what: String, reason: String },
    #[error("the store did not answer within {0:?}")]
    Silent(std::time::Duration),
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    #[error("body broke off after {got} of {expected} bytes: {reason}")]
    Truncated { got: u64, expected: u64, reason: String },
    #[error("stored bytes of {key} do not match their checksum")]
    Corrupt { key: String },
    #[error("the store answered {status}: {message}")]
    Answered { status: u16, code: String, message: String },
    #[error("cannot {action}")]
    Io {
        action: String,
        #[source]
        source: std::io::Error,
    },
}

/// Objects in buckets. Keys are UTF-8 without leading slash, at most 1,024 bytes.
/// A write is visible whole or not at all.
pub trait ObjectStore: Send + Sync + fmt::Debug + 'static {
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        range: Option<RangeSpec>,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<Object, StoreError>>;

    fn head<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>>;

    /// Writes an object of `size` bytes; a body of any other length is refused.
    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        size: u64,
        body: ObjectBody,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>>;

    /// Deleting what is not there succeeds.
    fn delete<'a>(&'a self, bucket: &'a str, key: &'a str)
    -> BoxFuture<'a, Result<(), StoreError>>;

    /// At most `limit` objects and prefixes together, `limit` ≤ 1,000.
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        start_after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>>;
}
