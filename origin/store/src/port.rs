//! What the product needs from an object store. Two adapters implement it: the local
//! directory (`weir-origin-store`, served as S3 by `weir-origin`) and S3 over the network
//! (`weir-origin-s3`). The rules that both share are pure: [`crate::rules`].

use std::{fmt, ops::Range, time::SystemTime};

use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};

/// The bytes of an object. An error ends the stream: what came before it is not the whole.
pub type ObjectBody = BoxStream<'static, Result<Bytes, StoreError>>;

/// A strong entity tag without its quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// A byte range as asked for: `First..=Last`, from an offset to the end, or the last N bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// Both ends belong to the range.
    Closed {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte; beyond the end it means the end.
        last: u64,
    },
    /// To the end of the object.
    From {
        /// Offset of the first byte.
        first: u64,
    },
    /// The end of the object.
    Suffix {
        /// How many bytes.
        length: u64,
    },
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETagCondition {
    /// `*`: whatever exists.
    Any,
    /// One of these tags.
    OneOf(Vec<ETag>),
}

impl From<ETag> for ETagCondition {
    fn from(etag: ETag) -> Self {
        Self::OneOf(vec![etag])
    }
}

/// Conditions of a read, RFC 9110 §13 as S3 applies them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Else [`StoreError::PreconditionFailed`].
    pub if_match: Option<ETagCondition>,
    /// Else [`StoreError::NotModified`].
    pub if_none_match: Option<ETagCondition>,
    /// Else [`StoreError::NotModified`]; not looked at beside `if_none_match`.
    pub if_modified_since: Option<SystemTime>,
    /// Else [`StoreError::PreconditionFailed`]; not looked at beside `if_match`.
    pub if_unmodified_since: Option<SystemTime>,
}

/// What is known of an object without its bytes. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The whole key.
    pub key: String,
    /// Bytes of the body.
    pub size: u64,
    /// Changes with the content.
    pub etag: ETag,
    /// When it was written, whole seconds.
    pub modified: SystemTime,
    /// As written; not part of a listing.
    pub content_type: Option<String>,
    /// As written; not part of a listing.
    pub cache_control: Option<String>,
    /// Further stored fields: `content-encoding`, `content-disposition`, `content-language`,
    /// `expires` and `x-amz-meta-*`, names in lower case.
    pub fields: Vec<(String, String)>,
}

/// An object being read. `range` is what `body` holds, resolved against the size.
pub struct Object {
    /// Of the very version that `body` reads.
    pub meta: ObjectMeta,
    /// Half open, within `0..meta.size`.
    pub range: Range<u64>,
    /// Exactly the bytes of `range`, else an error.
    pub body: ObjectBody,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).field("range", &self.range).finish()
    }
}

/// What travels with a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Media type.
    pub content_type: Option<String>,
    /// What caches may do with it.
    pub cache_control: Option<String>,
    /// See [`ObjectMeta::fields`].
    pub fields: Vec<(String, String)>,
    /// Write only where no object of that key exists.
    pub if_none_match_any: bool,
    /// Write only over an object that has this tag.
    pub if_match: Option<ETag>,
}

/// One page of a listing, in byte order of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects whose keys no delimiter folded.
    pub objects: Vec<ObjectMeta>,
    /// Prefixes that the delimiter folded.
    pub prefixes: Vec<String>,
    /// Where the next page starts: the last name of this page, to be given as `start_after`.
    /// None on the last page.
    pub next: Option<String>,
}

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum StoreError {
    #[error("no object {key} in bucket {bucket}")]
    NotFound { bucket: String, key: String },
    #[error("no bucket {0}")]
    NoBucket(String),
    #[error("no upload {0}: it was completed, aborted or never begun")]
    NoUpload(String),
    #[error("a condition of the request does not hold for {key}")]
    PreconditionFailed { key: String },
    #[error("{key} has not changed")]
    NotModified { key: String, etag: Option<ETag> },
    #[error("range lies outside the {size} bytes of {key}")]
    RangeNotSatisfiable { key: String, size: u64 },
    #[error("{0} is not a name this store accepts: {1}")]
    BadName(String, &'static str),
    #[error("part {number} of the upload: {reason}")]
    BadPart { number: u32, reason: &'static str },
    #[error("part {number} is named behind a part of the same or a higher number")]
    PartOrder { number: u32 },
    #[error("part {number} has {size} bytes; all but the last need {least}")]
    PartTooSmall { number: u32, size: u64, least: u64 },
    #[error("{what} would exceed the limit of {limit}")]
    TooMuch { what: &'static str, limit: u64 },
    #[error("the bytes that arrived do not match the {algorithm} sent with them")]
    BadDigest { algorithm: &'static str },
    #[error("access to {what} denied: {reason}")]
    Denied { what: String, reason: String },
    #[error("the store did not answer within {0:?}")]
    Silent(std::time::Duration),
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    #[error("body broke off after {got} of {expected} bytes: {reason}")]
    Truncated { got: u64, expected: u64, reason: String },
    #[error("the store's answer cannot be relied on: {0}")]
    Untrusted(String),
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

/// Objects in buckets. Keys are UTF-8, at least one and at most 1,024 bytes, and no segment
/// between their slashes is `.` or `..`: others are [`StoreError::BadName`] to every operation.
/// A write is visible whole or not at all.
pub trait ObjectStore: Send + Sync + fmt::Debug + 'static {
    /// Opens an object for reading. Conditions come before the range, RFC 9110 §13.2.2.
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        range: Option<RangeSpec>,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<Object, StoreError>>;

    /// What [`Self::get`] would tell without the bytes.
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

    /// At most `limit` objects and prefixes together, `limit` ≤ 1,000. A `start_after` that
    /// is itself a folded prefix passes over everything below that prefix.
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        start_after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>>;
}
