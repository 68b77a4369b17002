//! What a client's request comes down to once the process has found its service: the object,
//! where it comes from, and under which rules.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use weir_edge_cache::{CHUNK_SIZE, ObjectId};
use weir_edge_freshness::RequestControl;

use crate::upstream::{UpBody, Upstream, UpstreamRequest};

/// Rules of a service that the fill engine follows.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Freshness lifetime of a success that states none.
    pub default_ttl: Duration,
    /// The same for 404 and 410.
    pub negative_ttl: Duration,
    /// Until a client has its first byte or an answer, and between two pieces of a body.
    pub deadline: Duration,
    /// Further requests to resume one broken body.
    pub resumes: u32,
}

/// A request for an object. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ask {
    pub id: ObjectId,
    /// The whole cache key, which `id` is the hash of.
    pub key: Arc<str>,
    /// Configured id of the service.
    pub service: Arc<str>,
    pub policy: Arc<Policy>,
    pub upstream: Arc<dyn Upstream>,
    /// As the upstream is asked.
    pub path_and_query: Arc<str>,
    pub authority: Option<Arc<str>>,
    /// The client's fields that go upstream: no conditions, no `range`.
    pub headers: Arc<HeaderMap>,
    /// The client's own conditions and range, for a response that is not shared.
    pub alone_headers: Arc<HeaderMap>,
    /// First and last byte the client asked for, where both are known before the size is.
    pub range: Option<(u64, Option<u64>)>,
    /// What the client says of stored answers (RFC 9111 §5.2.1), as far as the service
    /// lets it.
    pub control: RequestControl,
}

impl Ask {
    /// The range to ask of an upstream for an object of unknown size: whole chunks, so that
    /// what arrives can be kept. None asks for everything.
    pub(crate) fn aligned(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.range?;
        let chunk = CHUNK_SIZE as u64;
        let start = first / chunk * chunk;
        let end = last.map(|last| (last / chunk + 1).saturating_mul(chunk) - 1);
        // From the beginning to the end is everything; a plain request serves more upstreams.
        (start > 0 || end.is_some()).then_some((start, end))
    }

    pub(crate) fn request(&self, headers: HeaderMap) -> UpstreamRequest {
        UpstreamRequest {
            method: Method::GET,
            path_and_query: self.path_and_query.to_string(),
            authority: self.authority.as_deref().map(str::to_owned),
            headers,
            body: None,
            deadline: self.policy.deadline,
        }
    }

    /// The client's request as it is, for a response that is not shared.
    pub(crate) fn alone(&self, method: Method, body: Option<UpBody>) -> UpstreamRequest {
        UpstreamRequest { method, body, ..self.request((*self.alone_headers).clone()) }
    }
}
