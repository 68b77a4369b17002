//! What a client's request comes down to once the process has found its service: the object,
//! where it comes from, and under which rules.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use weir_edge_cache::{CHUNK_SIZE, ObjectId, VARIANT_MARK};
use weir_edge_freshness::RequestControl;

use crate::{
    account::{Account, Reserved},
    upstream::{UpBody, Upstream, UpstreamRequest},
};

/// Rules of a service that the fill engine follows.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Freshness lifetime of a success that states none.
    pub default_ttl: Duration,
    /// The same for 404 and 410.
    pub negative_ttl: Duration,
    /// For how long past its freshness a stored response stands in while no upstream can be
    /// reached, where nothing forbids it (RFC 9111 §4.2.4). An answered error is another
    /// matter: only its own `stale-if-error` covers that.
    pub stale_if_error: Duration,
    /// Store responses that set cookies, for everybody.
    pub store_set_cookie: bool,
    /// Nothing of a client goes upstream, so that an answer is as much for one as for another:
    /// all who wait for it get it, also where nobody after them may.
    pub anonymous: bool,
    /// Until a client has its first byte or an answer, and between two pieces of a body.
    pub deadline: Duration,
    /// Further requests to resume one broken body.
    pub resumes: u32,
}

/// Where an object lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Hash of `key`.
    pub id: ObjectId,
    pub key: Arc<str>,
}

impl Place {
    pub fn of(key: impl Into<Arc<str>>) -> Self {
        let key = key.into();
        Self { id: ObjectId::of(&key), key }
    }
}

/// Which response of a URL an ask is about, where it is not simply the one to GET.
#[derive(Debug, Clone, Default)]
pub struct Facet {
    /// A variant: the place of its URL, which says what selects (RFC 9111 §4.1).
    pub(crate) url: Option<Place>,
    /// The answer to HEAD: the place of the one to GET.
    pub(crate) get: Option<Place>,
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
    pub facet: Facet,
    /// Who pays for what is fetched; nobody for what operators ask for.
    pub client: Option<Arc<Account>>,
    /// Put aside for it.
    pub reserved: Option<Arc<Reserved>>,
    /// So much is asked for at first of an object of which nothing is known; none asks for all.
    pub opening: Option<u64>,
    /// What its client's connection tells of what went out.
    pub outlet: Option<Arc<dyn Outlet>>,
}

/// A client's connection.
pub trait Outlet: Send + Sync + fmt::Debug {
    /// Bytes that went into it and have not come to the client's host. None where that is not
    /// known at the moment, and while more of them wait than its socket takes.
    fn unacknowledged(&self) -> Option<u64>;
}

impl Ask {
    /// The same for HEAD: its answer has a place of its own, since it may come without the
    /// one to GET (RFC 9110 §9.3.2).
    pub fn head(&self) -> Self {
        let get = Place { id: self.id, key: Arc::clone(&self.key) };
        let Place { id, key } = Place::of(format!("{}{VARIANT_MARK}head", self.key));
        let facet = Facet { url: None, get: Some(get) };
        Self { id, key, range: None, facet, ..self.clone() }
    }

    /// Bytes put aside for what it brings.
    pub(crate) fn prepaid(&self) -> u64 {
        self.reserved.as_ref().map_or(0, |reserved| reserved.bytes())
    }

    pub(crate) fn method(&self) -> Method {
        if self.facet.get.is_some() { Method::HEAD } else { Method::GET }
    }

    /// The ask for GET of an ask for HEAD.
    pub(crate) fn get(&self) -> Option<Self> {
        let Place { id, key } = self.facet.get.clone()?;
        Some(Self { id, key, facet: Facet::default(), ..self.clone() })
    }

    /// The place of the URL, whatever variant it is about.
    pub(crate) fn url(&self) -> Place {
        let own = || Place { id: self.id, key: Arc::clone(&self.key) };
        self.facet.url.clone().unwrap_or_else(own)
    }

    /// The same about a variant of its URL.
    pub(crate) fn at_variant(&self, place: Place) -> Self {
        let facet = Facet { url: Some(self.url()), get: self.facet.get.clone() };
        Self { id: place.id, key: place.key, facet, ..self.clone() }
    }

    /// The same about the one response for all.
    pub(crate) fn at_url(&self) -> Self {
        let Place { id, key } = self.url();
        let facet = Facet { url: None, get: self.facet.get.clone() };
        Self { id, key, facet, ..self.clone() }
    }

    /// The range to ask of an upstream for an object of unknown size: whole chunks, so that
    /// what arrives can be kept. None asks for everything.
    pub(crate) fn aligned(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.range.or(self.opening.map(|_| (0, None)))?;
        let chunk = CHUNK_SIZE as u64;
        let start = first / chunk * chunk;
        let end = last.map(|last| (last / chunk + 1).saturating_mul(chunk) - 1);
        if let Some(opening) = self.opening {
            let upto = first.saturating_add(opening) - 1;
            return Some((start, Some(end.map_or(upto, |end| end.min(upto)))));
        }
        // From the beginning to the end is everything; a plain request serves more upstreams.
        (start > 0 || end.is_some()).then_some((start, end))
    }

    /// Offset behind the last whole chunk that is wanted of an object of that size.
    pub(crate) fn wanted(&self, size: u64) -> u64 {
        let chunk = CHUNK_SIZE as u64;
        let last = self.range.and_then(|(_, last)| last);
        last.map_or(size, |last| (last / chunk + 1).saturating_mul(chunk).min(size))
    }

    pub(crate) fn request(&self, headers: HeaderMap) -> UpstreamRequest {
        UpstreamRequest {
            method: self.method(),
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
