//! What the metadata table keeps of an object.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    chunk::{ChunkKey, ObjectId, chunks_of},
    fields::Fields,
};

/// A stored response without its body.
///
/// Costs about 200 B of RAM, its place in the table included, plus key and header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Hash of `key`.
    pub id: ObjectId,
    /// The whole cache key.
    pub key: Box<str>,
    /// Which fill its chunks belong to; from [`Cache::next_generation`](crate::Cache).
    pub generation: u64,
    /// Configured id of the service that stored it. Shared: clone one `Arc` per service.
    pub service: Arc<str>,
    /// Status of the response.
    pub status: StatusCode,
    /// End-to-end header fields as stored.
    pub fields: Fields,
    /// Bytes of the whole body.
    pub size: u64,
    /// When the request went out (RFC 9111 §4.2.3 `request_time`), Unix milliseconds.
    pub request_millis: u64,
    /// When the response came (`response_time`), Unix milliseconds.
    pub response_millis: u64,
    /// `corrected_initial_age` of RFC 9111 §4.2.3, milliseconds.
    pub initial_age_millis: u64,
    /// Freshness lifetime of RFC 9111 §4.2.1, milliseconds, from when it had no age.
    pub lifetime_millis: u64,
    /// Meaning belongs to whoever stores (must-revalidate and the like); kept as it is.
    pub flags: u32,
    /// XXH3-64 of each tag that the response carried (`Surrogate-Key`, `Cache-Tag`), sorted,
    /// each once, at most [`TAGS_MAX`].
    pub tags: Box<[u64]>,
    /// Purge epoch when the upstream request that brought or last revalidated it was sent: a
    /// purge with a later epoch concerns it.
    pub epoch: u64,
}

/// Separates, in the key of a variant (RFC 9111 §4.1), the key of its URL from what selects it.
/// No key of a URL holds it.
pub const VARIANT_MARK: char = '\n';

/// The key of the URL that a key is a variant of; of any other key, the key itself. Purges and
/// operators mean this one.
pub fn primary_key(key: &str) -> &str {
    key.split(VARIANT_MARK).next().unwrap_or(key)
}

/// Tags of one object; a response that names more keeps the first ones.
pub const TAGS_MAX: usize = 64;

impl StoredObject {
    /// The header fields, decoded. Costs an allocation for each field.
    pub fn headers(&self) -> HeaderMap {
        self.fields.decode()
    }

    /// First value of one header field.
    pub fn header(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.fields.get(name)
    }

    /// The same, stale since a moment (Unix milliseconds): as if its lifetime had ended then.
    pub fn stale(&self, since_millis: u64, epoch: u64) -> Self {
        let resident = since_millis.saturating_sub(self.response_millis);
        let age = self.initial_age_millis.saturating_add(resident);
        Self { lifetime_millis: self.lifetime_millis.min(age), epoch, ..self.clone() }
    }

    /// How many chunks the body has.
    pub fn chunks(&self) -> u32 {
        chunks_of(self.size)
    }

    /// Name of one of its chunks.
    pub fn chunk_key(&self, index: u32) -> ChunkKey {
        ChunkKey { object: self.id, generation: self.generation, index }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn object(key: &str, generation: u64, size: u64) -> StoredObject {
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("\"abc\""));
        headers.insert("x-own", HeaderValue::from_static("1"));
        StoredObject {
            id: ObjectId::of(key),
            key: key.into(),
            generation,
            service: "film".into(),
            status: StatusCode::OK,
            fields: Fields::encode(&headers),
            size,
            request_millis: 1,
            response_millis: 2,
            initial_age_millis: 3,
            lifetime_millis: 4,
            flags: 5,
            tags: Box::new([6, 7]),
            epoch: 8,
        }
    }

    #[test]
    fn stays_small() {
        assert!(size_of::<StoredObject>() <= 168, "{}", size_of::<StoredObject>());
    }

    #[test]
    fn a_variant_knows_its_url() {
        assert_eq!(primary_key("site|a|/b"), "site|a|/b");
        assert_eq!(primary_key("site|a|/b\n5\naccept=gzip"), "site|a|/b");
    }

    #[test]
    fn names_its_chunks() {
        for (size, chunks) in [(0, 0), (1, 1), (1 << 20, 1), ((1 << 20) + 1, 2), (10 << 20, 10)] {
            assert_eq!(object("a", 1, size).chunks(), chunks, "{size}");
        }
        let object = object("a", 7, 1);
        let key = ChunkKey { object: ObjectId::of("a"), generation: 7, index: 3 };
        assert_eq!(object.chunk_key(3), key);
    }

    #[test]
    fn gives_its_fields_back() {
        let object = object("a", 1, 1);
        assert_eq!(object.header(&http::header::ETAG).unwrap(), "\"abc\"");
        assert_eq!(object.headers().len(), 2);
    }
}
