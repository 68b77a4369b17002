//! Whether a response may be stored (RFC 9111 §3).

use std::fmt;

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::{
    control::{RequestControl, Targeted, response_control},
    lifetime::Lifetime,
};

/// A request and its response as they went over the wire, without hop-by-hop fields.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// Of the request.
    pub method: &'a Method,
    /// The client's fields. Empty for a fill that no client's fields shaped.
    pub request: &'a HeaderMap,
    /// Of the response. A 206 that the fill engine itself asked for is judged as the 200 it
    /// is a part of.
    pub status: StatusCode,
    /// The response's fields.
    pub response: &'a HeaderMap,
    /// When the request went out, Unix milliseconds.
    pub request_millis: u64,
    /// When the response came, Unix milliseconds.
    pub response_millis: u64,
}

/// What a service says beyond the RFC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether many users share the cache. Always, on an edge.
    pub shared: bool,
    /// Lifetime of a good response that says nothing of its own; 0 is as good as none.
    pub default_ttl_millis: Option<u64>,
    /// The same for 404 and 410: many ask at once for what is not there.
    pub negative_ttl_millis: Option<u64>,
    /// Longest lifetime that is guessed from `Last-Modified` (RFC 9111 §4.2.2); none guesses
    /// nothing.
    pub heuristic_max_millis: Option<u64>,
    /// Store although there is `Set-Cookie`.
    pub store_set_cookie: bool,
    /// Store although the request had `Authorization` and the response does not allow it
    /// by RFC 9111 §3.5.
    pub store_authorized: bool,
    /// Request fields that upstreams never see as the client sent them (not forwarded, or
    /// set to one value): a `Vary` on them selects nothing.
    pub vary_safe: Vec<HeaderName>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            shared: true,
            default_ttl_millis: None,
            negative_ttl_millis: None,
            heuristic_max_millis: Some(HEURISTIC_MAX_MILLIS),
            store_set_cookie: false,
            store_authorized: false,
            vary_safe: Vec::new(),
        }
    }
}

/// Whoever has said nothing for a year shall be asked once a day.
const HEURISTIC_MAX_MILLIS: u64 = 24 * 60 * 60 * 1000;

impl Rules {
    /// The lifetime for a status whose response says nothing of its own. Of errors only those
    /// that say what is: how long others may be kept is up to their origin.
    pub(crate) fn default_for(&self, status: StatusCode) -> Option<u64> {
        match status.as_u16() {
            200 | 203 | 300 | 301 | 308 => self.default_ttl_millis,
            404 | 410 => self.negative_ttl_millis,
            _ => None,
        }
    }
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storability {
    /// Store it with this lifetime.
    Store(Lifetime),
    /// Pass it on and keep nothing.
    Pass(PassReason),
}

/// Why a response is not stored; for `Cache-Status` and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PassReason {
    /// Not GET.
    Method,
    /// Partial, interim, 304, not understood although `must-understand`, or one that is only
    /// stored where the response says so, and it does not.
    Status,
    /// The client's `no-store`.
    RequestNoStore,
    /// The response's `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// The request had `Authorization`, and nothing allows to store the answer.
    Authorization,
    /// `Set-Cookie`, and no rule allows it.
    SetCookie,
    /// `Vary: *`.
    VaryAny,
    /// A `Vary` that would need one object for each value.
    Vary,
    /// Never fresh and without a validator: of no use.
    Useless,
    /// Its client has had all that is fetched for one beyond what it takes.
    ClientBudget,
}

impl PassReason {
    /// One word, for labels and `Cache-Status` details.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::RequestNoStore => "request-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryAny => "vary-any",
            Self::Vary => "vary",
            Self::Useless => "useless",
            Self::ClientBudget => "client-budget",
        }
    }
}

impl fmt::Display for PassReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 9111 §3, for a cache that stores GET only.
///
/// `Vary`: `*` is never stored. Other fields are not stored either, since objects have one
/// variant so far, unless they are in `vary_safe`, or the field is `Accept-Encoding` and the
/// response is not encoded, so that every client can read it. Matching stored variants
/// (§4.1) is not done here.
pub fn storable(exchange: &Exchange<'_>, rules: &Rules) -> Storability {
    match reason_to_pass(exchange, rules) {
        Some(reason) => Storability::Pass(reason),
        None => {
            let Exchange { status, response, request_millis, response_millis, .. } = *exchange;
            let lifetime = Lifetime::of(status, response, request_millis, response_millis, rules);
            if lifetime.lifetime_millis == 0 && !has_validator(response) {
                return Storability::Pass(PassReason::Useless);
            }
            Storability::Store(lifetime)
        }
    }
}

fn reason_to_pass(exchange: &Exchange<'_>, rules: &Rules) -> Option<PassReason> {
    let (control, targeted) = response_control(exchange.response);
    // RFC 9111 §3 [store.method]
    if exchange.method != Method::GET {
        return Some(PassReason::Method);
    }
    // RFC 9111 §3 [store.final, store.understood]: 206 and 304 are the fill engine's.
    if !storable_status(exchange.status, control.must_understand) {
        return Some(PassReason::Status);
    }
    // RFC 9111 §5.2.1.5 [request.no-store]
    if RequestControl::parse(exchange.request).no_store {
        return Some(PassReason::RequestNoStore);
    }
    // RFC 9111 §3 [store.no-store]
    // RFC 9111 §5.2.2.5 [no-store.store]
    // RFC 9111 §5.2.2.3 [must-understand.no-store]: it overrules no-store where the status is
    // understood.
    if control.no_store && !control.must_understand {
        return Some(PassReason::NoStore);
    }
    // RFC 9111 §3 [store.private]
    // RFC 9111 §5.2.2.7 [private.unqualified]
    if rules.shared && control.private {
        return Some(PassReason::Private);
    }
    // RFC 9111 §3 [store.explicit]
    let explicit = control.public
        || control.private
        || control.max_age.is_some()
        || control.s_maxage.is_some()
        || (targeted == Targeted::None && exchange.response.contains_key(header::EXPIRES));
    if !explicit && !heuristic_status(exchange.status) {
        return Some(PassReason::Status);
    }
    // RFC 9111 §3 [store.authorized]
    // RFC 9111 §3.5 [authorized.shared]
    let allowed = control.public
        || control.must_revalidate
        || control.s_maxage.is_some()
        // RFC 9213: what is addressed to us is meant for a shared cache.
        || (targeted == Targeted::Cdn && control.max_age.is_some());
    let authorized = exchange.request.contains_key(header::AUTHORIZATION);
    if rules.shared && authorized && !allowed && !rules.store_authorized {
        return Some(PassReason::Authorization);
    }
    // Beyond §3, whose §7.3 leaves it to no-store: cookies of one user do not go to others.
    if exchange.response.contains_key(header::SET_COOKIE) && !rules.store_set_cookie {
        return Some(PassReason::SetCookie);
    }
    vary(exchange.response, rules)
}

/// Statuses whose caching we understand (RFC 9110 §15.1), and, unless `must-understand` says
/// otherwise, every other final one.
fn storable_status(status: StatusCode, must_understand: bool) -> bool {
    match status.as_u16() {
        200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410 | 414 | 501 => true,
        206 | 304 => false,
        code => code >= 200 && !must_understand,
    }
}

/// RFC 9110 §15.1: statuses that may be stored without a word about it.
pub(crate) fn heuristic_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn vary(response: &HeaderMap, rules: &Rules) -> Option<PassReason> {
    let encoded = response.contains_key(header::CONTENT_ENCODING);
    let names = response
        .get_all(header::VARY)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty());
    let mut reason = None;
    for name in names {
        if name == b"*" {
            return Some(PassReason::VaryAny);
        }
        let safe = HeaderName::from_bytes(name).is_ok_and(|name| {
            rules.vary_safe.contains(&name) || (name == header::ACCEPT_ENCODING && !encoded)
        });
        if !safe {
            reason = Some(PassReason::Vary);
        }
    }
    reason
}

fn has_validator(response: &HeaderMap) -> bool {
    response.contains_key(header::ETAG) || response.contains_key(header::LAST_MODIFIED)
}
