//! What the metadata table keeps of an object.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    chunk::{ChunkKey, ObjectId, chunks_of},
    fields::Fields,
};

/// A stored response without its body.
///
/// About 150 B of RAM plus key, header fields and 24 B for the place in the table.
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
}

impl StoredObject {
    /// The header fields, decoded. Costs an allocation for each field.
    pub fn headers(&self) -> HeaderMap {
        self.fields.decode()
    }

    /// First value of one header field.
    pub fn header(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.fields.get(name)
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
