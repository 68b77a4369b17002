//! What a request gets, and how that came to be.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use weir_edge_cache::StoredObject;
use weir_edge_freshness::{Forward, PassReason};

use crate::{table::Resolved, upstream::UpstreamResponse, variant};

/// How an answer came to be, as `Cache-Status` (RFC 9211) tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// From the cache, with no word from upstream.
    Hit,
    /// Not in the cache; this request asked upstream.
    Miss { status: u16 },
    /// Not in the cache; another request was already asking.
    Collapsed { status: u16 },
    /// In the cache but stale, and the upstream said that it still holds.
    Revalidated,
    /// In the cache but stale, and replaced.
    Replaced { status: u16 },
    /// Stale, and served because no upstream answered (RFC 5861 §4).
    StaleOnError,
    /// Stale, and served while it is being revalidated (RFC 5861 §3).
    StaleWhileRevalidate,
}

/// What a request gets.
pub enum Answer {
    Object(Found),
    /// A response for this request alone; nothing of it is kept.
    Passed(Passed),
}

/// A response for one request.
#[derive(Debug)]
pub struct Passed {
    pub response: UpstreamResponse,
    /// Why it was asked for.
    pub fwd: Forward,
    /// Why nothing of it is kept, as far as that is known.
    pub reason: Option<PassReason>,
}

/// An object that can be read.
#[derive(Debug, Clone)]
pub struct Found {
    pub(crate) resolved: Resolved,
    pub how: How,
    /// Why the cache could not answer by itself; nothing of it counts for what it could.
    pub fwd: Forward,
    /// When the first byte must be there.
    pub(crate) due: Instant,
}

impl Found {
    pub(crate) fn stored(object: Arc<StoredObject>, how: How, due: Instant) -> Self {
        // The answer to a HEAD has no body whose size it could be.
        let size = (!variant::is_head(&object)).then_some(object.size);
        let resolved = Resolved { size, body: None, upstream_status: 0, object };
        Self { resolved, how, fwd: Forward::Stale, due }
    }

    pub fn object(&self) -> &Arc<StoredObject> {
        &self.resolved.object
    }

    /// Bytes of the whole representation; none while an upstream that declared no length is
    /// still sending, and none of the answer to a HEAD, whose fields say what it would be.
    pub fn size(&self) -> Option<u64> {
        self.resolved.size.filter(|_| !variant::is_head(&self.resolved.object))
    }

    /// The same with its deadline counted from now.
    pub fn anew(&self, deadline: Duration) -> Self {
        Self { due: Instant::now() + deadline, ..self.clone() }
    }

    /// What the upstream answered; 0 where it was not asked.
    pub fn upstream_status(&self) -> u16 {
        self.resolved.upstream_status
    }
}
