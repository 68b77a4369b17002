//! What an upstream's answer means for the cache: pure, apart from the generation it takes
//! for what is to be stored.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use weir_edge_cache::{CHUNK_SIZE, Fields, StoredObject};
use weir_edge_freshness::{
    self as freshness, CacheControl, ContentRange, EntityTag, Exchange, Flags, Freshness, Lifetime,
    PassReason, RequestControl, Rules, Storability,
};

use crate::{ask::Ask, drive::with_range, upstream::UpstreamResponse};

/// Largest object that is taken, 1 TiB: a length is only a promise, and forgetting an object
/// costs a step for each chunk it might have.
pub(crate) const OBJECT_MAX: u64 = (1 << 20) * CHUNK_SIZE as u64;

/// Fields of a response that are not stored: they speak of one message or one connection.
/// `Alt-Svc` speaks of the origin's own authority (RFC 7838 §3).
const NOT_STORED: [header::HeaderName; 6] = [
    header::AGE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ALT_SVC,
    header::SET_COOKIE,
];

/// What was asked of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything.
    Whole,
    /// Whole chunks around what the client wants of an object of unknown size.
    Range { first: u64, last: Option<u64> },
    /// Whether what we have still holds.
    Conditional,
}

impl Sent {
    pub(crate) fn first(ask: &Ask, stale: Option<&StoredObject>) -> Self {
        if stale.is_some_and(|stale| validators(&stale.headers()).next().is_some()) {
            return Self::Conditional;
        }
        ask.aligned().map_or(Self::Whole, |(first, last)| Self::Range { first, last })
    }

    /// Fields of the request.
    pub(crate) fn headers(&self, ask: &Ask, stale: Option<&StoredObject>) -> HeaderMap {
        let mut headers = (*ask.headers).clone();
        match (self, stale) {
            (Self::Range { first, last }, _) => with_range(&mut headers, *first, *last),
            (Self::Conditional, Some(stale)) => headers.extend(validators(&stale.headers())),
            _ => {}
        }
        headers
    }

    /// Whether the answer may go to the client as it is.
    pub(crate) fn answers_client(&self) -> bool {
        !matches!(self, Self::Range { .. })
    }
}

/// RFC 9111 §4.3.1: the conditions that a stored response's validators make.
fn validators(stored: &HeaderMap) -> impl Iterator<Item = (header::HeaderName, HeaderValue)> {
    let tag = stored.get(header::ETAG).cloned().map(|tag| (header::IF_NONE_MATCH, tag));
    let date = stored.get(header::LAST_MODIFIED).cloned();
    let date = date.map(|date| (header::IF_MODIFIED_SINCE, date));
    tag.into_iter().chain(date).collect::<Vec<_>>().into_iter()
}

/// Something to keep.
pub(crate) struct Stored {
    /// Its size is 0 while it is unknown.
    pub object: StoredObject,
    pub size: Option<u64>,
    /// Which bytes the body carries; no end while the size is unknown.
    pub covers: Covers,
    pub etag: Option<HeaderValue>,
}

/// Bytes of the representation that a body carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covers {
    pub start: u64,
    pub end: Option<u64>,
}

impl From<Range<u64>> for Covers {
    fn from(range: Range<u64>) -> Self {
        Self { start: range.start, end: Some(range.end) }
    }
}

/// What an answer means.
pub(crate) enum Meaning {
    Store(Box<Stored>),
    /// What we have still holds.
    Unchanged,
    /// This part, or this condition, leads nowhere: ask for everything.
    AskWhole,
    /// For who asked, and nobody else. `lasting`: another request would fare no better.
    Alone {
        lasting: bool,
    },
    /// The server could not; the object may be as it was.
    Unavailable(StatusCode),
    Contradiction(String),
}

/// Judges an answer. `generation` is asked for a new one when there is something to store.
pub(crate) fn meaning(
    ask: &Ask,
    sent: &Sent,
    stale: Option<&StoredObject>,
    response: &UpstreamResponse,
    (request_millis, response_millis): (u64, u64),
    generation: impl FnOnce() -> u64,
) -> Meaning {
    let (covers, size) = match (response.status, sent) {
        (StatusCode::NOT_MODIFIED, Sent::Conditional) => {
            // RFC 9111 §4.3.3: a 304 about something else tells nothing of what we have.
            let Some(stale) = stale else { return Meaning::AskWhole };
            let mut headers = stale.headers();
            if !freshness::updates(&headers, &response.headers) {
                return Meaning::AskWhole;
            }
            // §3 holds for the updated response as it did for the first one.
            freshness::update(&mut headers, &response.headers);
            let times = (request_millis, response_millis);
            let keep = lifetime(ask, stale.status, &ask.headers, &headers, times).is_some();
            return if keep { Meaning::Unchanged } else { Meaning::AskWhole };
        }
        (StatusCode::PARTIAL_CONTENT, Sent::Range { first, last }) => {
            match partial(response, *first, *last) {
                Ok(Some((range, size))) => (range.into(), Some(size)),
                Ok(None) => return Meaning::AskWhole,
                Err(reason) => return Meaning::Contradiction(reason),
            }
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Sent::Range { .. }) => return Meaning::AskWhole,
        (StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED, _) => {
            return Meaning::Contradiction(format!("{} to a plain request", response.status));
        }
        (status, _) if unavailable(status) => return Meaning::Unavailable(status),
        _ => (Covers { start: 0, end: response.content_length }, response.content_length),
    };
    if size.is_some_and(|size| size > OBJECT_MAX) {
        return Meaning::Alone { lasting: true };
    }
    let status = match response.status {
        StatusCode::PARTIAL_CONTENT => StatusCode::OK,
        status => status,
    };
    let times = (request_millis, response_millis);
    match lifetime(ask, status, &ask.headers, &response.headers, times) {
        Some(lifetime) => {
            let kept = kept_fields(&response.headers);
            let etag = strong_etag(&kept);
            let object = stored(
                ask,
                status,
                &kept,
                size.unwrap_or(0),
                generation(),
                request_millis,
                lifetime,
            );
            Meaning::Store(Box::new(Stored { object, size, covers, etag }))
        }
        None => {
            // What a client says of itself, and an error that is about it or about the moment,
            // says nothing of the next one's answer.
            let anyone = HeaderMap::new();
            let shared = lifetime(ask, status, &anyone, &response.headers, times).is_some();
            Meaning::Alone { lasting: !shared && !status.is_client_error() }
        }
    }
}

/// A 206 that can be kept: the bytes that were asked for, of a representation whose size and
/// strong validator are known, so that others can be joined to them (RFC 9111 §3.4).
fn partial(
    response: &UpstreamResponse,
    first: u64,
    last: Option<u64>,
) -> Result<Option<(Range<u64>, u64)>, String> {
    let named = response.headers.get(header::CONTENT_RANGE);
    let Some(ContentRange::Bytes { range, size }) = ContentRange::of(&response.headers) else {
        return Err(format!("a 206 with Content-Range {named:?}"));
    };
    let Some(size) = size else { return Ok(None) };
    let due = last.unwrap_or(u64::MAX).min(size - 1);
    if range.first != first || range.last != due {
        return Err(format!("a 206 with {named:?} where bytes {first}-{due} were asked for"));
    }
    if response.content_length.is_some_and(|length| length != range.len()) {
        return Err(format!("a 206 with {named:?} and another Content-Length"));
    }
    let strong = strong_etag(&response.headers).is_some();
    Ok(strong.then(|| (range.first..range.end(), size)))
}

fn unavailable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// `None` when the response may not be kept, or would be of no use.
fn lifetime(
    ask: &Ask,
    status: StatusCode,
    request: &HeaderMap,
    response: &HeaderMap,
    (request_millis, response_millis): (u64, u64),
) -> Option<Lifetime> {
    let rules = rules(ask, response);
    let exchange = Exchange {
        method: &Method::GET,
        request,
        status,
        response,
        request_millis,
        response_millis,
    };
    match freshness::storable(&exchange, &rules) {
        Storability::Store(lifetime) => Some(lifetime),
        // A missing object is asked for by many at once; a moment's memory spares the origin.
        Storability::Pass(PassReason::Useless)
            if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) =>
        {
            let mut lifetime =
                Lifetime::of(status, response, request_millis, response_millis, &rules);
            lifetime.lifetime_millis = millis(ask.policy.negative_ttl);
            Some(lifetime)
        }
        Storability::Pass(_) => None,
    }
}

fn rules(ask: &Ask, response: &HeaderMap) -> Rules {
    let named = response.get_all(header::VARY).iter();
    let named = named.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    // Where none of a client's fields go upstream, none of them select anything.
    let vary_safe = named
        .filter(|_| ask.headers.is_empty())
        .filter_map(|name| header::HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| name.as_str() != "*")
        .collect();
    let default_ttl_millis = Some(millis(ask.policy.default_ttl));
    Rules { default_ttl_millis, vary_safe, ..Rules::default() }
}

fn kept_fields(response: &HeaderMap) -> HeaderMap {
    let mut kept = response.clone();
    for name in &NOT_STORED {
        kept.remove(name);
    }
    kept
}

fn stored(
    ask: &Ask,
    status: StatusCode,
    headers: &HeaderMap,
    size: u64,
    generation: u64,
    request_millis: u64,
    lifetime: Lifetime,
) -> StoredObject {
    StoredObject {
        id: ask.id,
        key: (*ask.key).into(),
        generation,
        service: ask.service.clone(),
        status,
        fields: Fields::encode(headers),
        size,
        request_millis,
        response_millis: lifetime.response_millis,
        initial_age_millis: lifetime.initial_age_millis,
        lifetime_millis: lifetime.lifetime_millis,
        flags: lifetime.flags.0,
        tags: Box::default(),
        epoch: 0,
    }
}

/// RFC 9111 §4.3.4: the stored response with the fields of a 304.
pub(crate) fn updated(
    ask: &Ask,
    stale: &StoredObject,
    response: &UpstreamResponse,
    (request_millis, response_millis): (u64, u64),
) -> StoredObject {
    let mut headers = stale.headers();
    freshness::update(&mut headers, &response.headers);
    let rules = rules(ask, &headers);
    let lifetime = Lifetime::of(stale.status, &headers, request_millis, response_millis, &rules);
    let headers = kept_fields(&headers);
    let (status, size, generation) = (stale.status, stale.size, stale.generation);
    stored(ask, status, &headers, size, generation, request_millis, lifetime)
}

/// The entity tag, where it is strong (RFC 9110 §8.8.3).
pub(crate) fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = EntityTag::of(headers).is_some_and(|tag| !tag.weak);
    headers.get(header::ETAG).filter(|_| strong).cloned()
}

fn kept_lifetime(object: &StoredObject) -> Lifetime {
    Lifetime {
        lifetime_millis: object.lifetime_millis,
        initial_age_millis: object.initial_age_millis,
        response_millis: object.response_millis,
        flags: Flags(object.flags),
    }
}

/// Whether a stored object may answer a request with these directives.
pub fn usable(object: &StoredObject, control: &RequestControl, now_millis: u64) -> bool {
    kept_lifetime(object).satisfies(control, now_millis)
}

/// For how long an object is fresh from age 0, milliseconds: not at all where the origin
/// wants to be asked every time (RFC 9111 §5.2.2.4).
pub fn lifetime_millis(object: &StoredObject) -> u64 {
    if Flags(object.flags).has(Flags::NO_CACHE) { 0 } else { object.lifetime_millis }
}

/// Age of a stored object, milliseconds (RFC 9111 §4.2.3).
pub fn age_millis(object: &StoredObject, now_millis: u64) -> u64 {
    kept_lifetime(object).age_millis(now_millis)
}

/// RFC 5861 §4: how long an origin lets its stale response stand in for an error.
pub(crate) fn may_serve_on_error(object: &StoredObject, now_millis: u64) -> bool {
    let Freshness::Stale { by_millis } = kept_lifetime(object).freshness(now_millis) else {
        return false;
    };
    let headers = object.headers();
    let control = CacheControl::parse(headers.get_all(header::CACHE_CONTROL));
    control.stale_if_error.is_some_and(|seconds| by_millis <= seconds.saturating_mul(1000))
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
