//! Content steering documents, and what players say when they ask for them.
//!
//! One document serves HLS (draft-pantos-hls-rfc8216bis §7) and DASH (ETSI TS 103 998). It is made
//! for what players do, not for what the texts say: a missing TTL makes one ask 1,580 times in 13 s
//! and another never again, a relative RELOAD-URI stops one and nests in another, and any status
//! but 200 ends steering somewhere. Pure: which servers stand in it, and the transport, are left
//! to others.

mod document;
mod query;

pub use document::{
    Document, DocumentError, PATHWAY_MAX, PATHWAYS_MAX, Pace, TTL_MAX, URI_MAX, ttl,
};
pub use query::{ASKED_MAX, Asked, QUERY_MAX, Seen};
