//! What an upstream's answer means for the cache: pure, apart from the generation it takes
//! for what is to be stored.

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use weir_edge_cache::{CHUNK_SIZE, Fields, StoredObject, purge::tags_of};
use weir_edge_freshness::{
    self as freshness, ContentRange, EntityTag, Exchange, Flags, Freshness, Lifetime, PassReason,
    RequestControl, Rules, Storability, Trouble, Windows,
    vary::{Selecting, selecting},
};

use crate::{ask::Ask, drive::with_range, upstream::UpstreamResponse, variant};

/// Largest object that is taken, 1 TiB: a length is only a promise, and forgetting an object
/// costs a step for each chunk it might have.
pub(crate) const OBJECT_MAX: u64 = (1 << 20) * CHUNK_SIZE as u64;

/// Fields of a response that are not stored: they speak of one message or one connection.
/// `Alt-Svc` speaks of the origin's own authority (RFC 7838 §3).
const NOT_STORED: [header::HeaderName; 4] =
    [header::AGE, header::CONTENT_LENGTH, header::ACCEPT_RANGES, header::ALT_SVC];

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

/// RFC 9111 §4.3.1 [validate.etag, validate.modified]: the conditions that a stored response's validators make.
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
    /// What selects it among the responses of its URL.
    pub names: Vec<HeaderName>,
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
        /// Why it may not be kept; none where it is too large.
        reason: Option<PassReason>,
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
            // RFC 9111 §4.3.4 [freshen.strong]: a 304 about something else tells nothing of what
            // we have.
            let Some(stale) = stale else { return Meaning::AskWhole };
            let mut headers = stale.headers();
            if !freshness::updates(&headers, &response.headers) {
                return Meaning::AskWhole;
            }
            // §3 holds for the updated response as it did for the first one.
            freshness::update(&mut headers, &response.headers, response_millis);
            let times = (request_millis, response_millis);
            let keep = lifetime(ask, stale.status, &ask.headers, &headers, times).is_ok();
            // What now varies on more fields lies in another place.
            let here = variant::names(ask, &headers) == variant::names(ask, &stale.headers());
            return if keep && here { Meaning::Unchanged } else { Meaning::AskWhole };
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
        (status, _)
            if unavailable(status) && !states_lifetime(ask, stale, response, response_millis) =>
        {
            return Meaning::Unavailable(status);
        }
        _ if ask.method() == Method::HEAD => ((0..0).into(), Some(0)),
        // RFC 9111 §4.3.3 [validated.full]: also where it was asked whether the old one holds.
        _ => (Covers { start: 0, end: response.content_length }, response.content_length),
    };
    if size.is_some_and(|size| size > OBJECT_MAX) {
        return Meaning::Alone { lasting: true, reason: None };
    }
    let status = match response.status {
        StatusCode::PARTIAL_CONTENT => StatusCode::OK,
        status => status,
    };
    let times = (request_millis, response_millis);
    let lifetime = lifetime(ask, status, &ask.headers, &response.headers, times);
    match lifetime.and_then(|lifetime| Ok((lifetime, variant::names(ask, &response.headers)?))) {
        Ok((lifetime, names)) => {
            let kept = kept_fields(ask, response.status, &response.headers);
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
            Meaning::Store(Box::new(Stored { object, names, size, covers, etag }))
        }
        // RFC 9111 §5.2.2.5 [no-store.use, no-store.disk, no-store.memory]: what may not be kept
        // is streamed to who asked and touches neither the table nor a tier.
        Err(reason) => {
            // What a client says of itself, and an error that is about it or about the moment,
            // says nothing of the next one's answer.
            let own = matches!(reason, PassReason::RequestNoStore | PassReason::Authorization);
            let of_the_moment = status.is_client_error() || status.is_server_error();
            Meaning::Alone { lasting: !own && !of_the_moment, reason: Some(reason) }
        }
    }
}

/// A 206 that can be kept: the bytes that were asked for, or the first of them (RFC 9110 §15.3.7
/// lets a server send fewer), of a representation whose size and strong validator are known, so
/// that others can be joined to them.
// RFC 9111 §3.3 [partial.ranges]
// RFC 9111 §3.4 [combine.validator]
fn partial(
    response: &UpstreamResponse,
    first: u64,
    last: Option<u64>,
) -> Result<Option<(Range<u64>, u64)>, String> {
    let Some(named) = ContentRange::of(&response.headers) else {
        return Err("a 206 without a Content-Range of one range of bytes".into());
    };
    let ContentRange::Bytes { range, size } = named else {
        return Err(format!("a 206 with Content-Range `{named}`"));
    };
    let Some(size) = size else { return Ok(None) };
    let due = last.unwrap_or(u64::MAX).min(size - 1);
    if range.first != first || range.last > due {
        return Err(format!("a 206 with `{named}` where bytes {first}-{due} were asked for"));
    }
    if let Some(length) = response.content_length.filter(|length| *length != range.len()) {
        return Err(format!("a 206 with `{named}` and a Content-Length of {length}"));
    }
    let strong = strong_etag(&response.headers).is_some();
    Ok(strong.then(|| (range.first..range.end(), size)))
}

fn unavailable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether a server error says itself for how long it holds (RFC 9111 §3: any final status may
/// be stored then), and nothing better is there.
fn states_lifetime(
    ask: &Ask,
    stale: Option<&StoredObject>,
    response: &UpstreamResponse,
    now_millis: u64,
) -> bool {
    let lifetime = || freshness::freshness_lifetime(&response.headers, now_millis);
    !stale.is_some_and(|stale| may_serve_on_error(stale, ask, Trouble::ServerError, now_millis))
        && lifetime().is_some_and(|millis| millis > 0)
}

/// `Err` says why the response may not be kept, or would be of no use.
pub(crate) fn lifetime(
    ask: &Ask,
    status: StatusCode,
    request: &HeaderMap,
    response: &HeaderMap,
    (request_millis, response_millis): (u64, u64),
) -> Result<Lifetime, PassReason> {
    let rules = rules(ask, response);
    let exchange = Exchange {
        // RFC 9110 §9.3.2: what may be kept of an answer to GET may be kept of one to HEAD.
        method: &Method::GET,
        request,
        status,
        response,
        request_millis,
        response_millis,
    };
    match freshness::storable(&exchange, &rules) {
        Storability::Store(lifetime) => Ok(lifetime),
        Storability::Pass(reason) => Err(reason),
    }
}

fn rules(ask: &Ask, response: &HeaderMap) -> Rules {
    let policy = &ask.policy;
    // What selects is the table's business: there is a place for each variant.
    let vary_safe = match (selecting(response), variant::names(ask, response)) {
        (Selecting::Fields(names), Ok(_)) => names,
        _ => Vec::new(),
    };
    Rules {
        default_ttl_millis: Some(millis(policy.default_ttl)),
        negative_ttl_millis: Some(millis(policy.negative_ttl)),
        store_set_cookie: policy.store_set_cookie,
        vary_safe,
        ..Rules::default()
    }
}

/// RFC 9111 §3.1 [fields.all]: all but those that speak of one message, one connection or one
/// client.
fn kept_fields(ask: &Ask, status: StatusCode, response: &HeaderMap) -> HeaderMap {
    let mut kept = response.clone();
    let length = kept.get(header::CONTENT_LENGTH).cloned();
    for name in &NOT_STORED {
        kept.remove(name);
    }
    if let Some(length) = length.filter(|_| ask.method() == Method::HEAD) {
        kept.insert(header::CONTENT_LENGTH, length);
    }
    // The part that this message carried is not what is stored. In a 200 the field says nothing
    // (RFC 9110 §14.4) and is kept like any other.
    if status == StatusCode::PARTIAL_CONTENT {
        kept.remove(header::CONTENT_RANGE);
    }
    if !ask.policy.store_set_cookie {
        kept.remove(header::SET_COOKIE);
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
        flags: lifetime.flags.0 | variant::mark(ask),
        tags: tags_of(headers),
        // Known to who asked.
        epoch: 0,
    }
}

/// RFC 9111 §4.3.4 [freshen.update]: the stored response with the fields of a 304, or of another
/// response that tells of the same representation.
pub(crate) fn updated(
    ask: &Ask,
    stale: &StoredObject,
    newer: &HeaderMap,
    (request_millis, response_millis): (u64, u64),
) -> StoredObject {
    let mut headers = stale.headers();
    freshness::update(&mut headers, newer, response_millis);
    let rules = rules(ask, &headers);
    let lifetime = Lifetime::of(stale.status, &headers, request_millis, response_millis, &rules);
    let headers = kept_fields(ask, stale.status, &headers);
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

/// RFC 5861 §4: whether a stale response may stand in for an error; and RFC 9111 §4.2.4:
/// whether it may while we are disconnected, where nothing forbids it.
pub(crate) fn may_serve_on_error(
    object: &StoredObject,
    ask: &Ask,
    trouble: Trouble,
    now_millis: u64,
) -> bool {
    let windows = Windows::of(&object.headers(), millis(ask.policy.stale_if_error));
    let lifetime = kept_lifetime(object);
    freshness::may_serve_stale(&lifetime, &windows, &ask.control, trouble, now_millis)
}

/// RFC 5861 §3: whether a stale response may be served while it is revalidated. A request that
/// says how fresh it wants its answer gets no stale one.
pub(crate) fn may_serve_while_revalidating(
    object: &StoredObject,
    control: &RequestControl,
    now_millis: u64,
) -> bool {
    let lifetime = kept_lifetime(object);
    let stale = matches!(lifetime.freshness(now_millis), Freshness::Stale { .. });
    let windows = || Windows::of(&object.headers(), 0);
    let trouble = Trouble::Revalidating;
    stale && freshness::may_serve_stale(&lifetime, &windows(), control, trouble, now_millis)
}

/// Whether a stored object is fresh by itself, whatever a request wants.
pub(crate) fn fresh(object: &StoredObject, now_millis: u64) -> bool {
    matches!(kept_lifetime(object).freshness(now_millis), Freshness::Fresh { .. })
}

/// What an answer to HEAD means for the stored answer to GET.
pub(crate) enum HeadMeans {
    /// RFC 9111 §4.3.5: it is about the same representation, whose fields are now these.
    Updated(Box<StoredObject>),
    /// It is about another one: what is stored is stale.
    Outdated(Box<StoredObject>),
    /// Nothing.
    Nothing,
}

/// RFC 9111 §4.3.5 [head.update, head.match, head.stale, head.fields]: for the stored answer to
/// GET that the HEAD could have been answered with.
pub(crate) fn head_means(
    ask: &Ask,
    stored: &StoredObject,
    response: &UpstreamResponse,
    times: (u64, u64),
) -> HeadMeans {
    if response.status != StatusCode::OK || stored.status != StatusCode::OK {
        return HeadMeans::Nothing;
    }
    let (kept, new) = (stored.headers(), &response.headers);
    let same = |name: &HeaderName| new.get(name).is_none_or(|new| kept.get(name) == Some(new));
    let length = new.get(header::CONTENT_LENGTH);
    let same_length =
        length.is_none_or(|length| length.as_bytes() == stored.size.to_string().as_bytes());
    if !same(&header::ETAG) || !same(&header::LAST_MODIFIED) || !same_length {
        return HeadMeans::Outdated(Box::new(StoredObject {
            lifetime_millis: 0,
            ..stored.clone()
        }));
    }
    let mut headers = kept.clone();
    freshness::update(&mut headers, new, times.1);
    let here = variant::names(ask, &headers) == variant::names(ask, &kept);
    match lifetime(ask, stored.status, &ask.headers, &headers, times) {
        Ok(_) if here => HeadMeans::Updated(Box::new(updated(ask, stored, new, times))),
        _ => HeadMeans::Nothing,
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
