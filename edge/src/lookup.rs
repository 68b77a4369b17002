//! Third phase: under which key the object lies, and how the upstream would be asked for it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use weir_edge_fill::{Ask, Facet, Place};
use weir_edge_freshness::RequestControl;

use crate::{
    admit::Admitted,
    service::{Preset, Service},
    spelling,
};

/// Query keys that players add about themselves (CTA-5004); never part of a key.
const CMCD: &str = "CMCD";

/// Fields that ask about the client's own copy: answered here, not upstream.
const CONDITIONS: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// The cache key of a request: service, host (or, for a proxy, the whole authority), path and
/// the query that counts. Where a media service answers for every host, the host names nothing
/// and would only be a way around the cache.
pub fn key(admitted: &Admitted) -> String {
    let Admitted { service, host, authority, path, .. } = admitted;
    let query = kept_query(service, admitted.query.as_deref());
    let (authority, path, query) = match service.preset {
        Preset::Media => (host.into(), path.into(), query.into()),
        Preset::Proxy => {
            (spelling::authority(authority), spelling::encoded(path), spelling::encoded(&query))
        }
    };
    let place = match service.preset {
        Preset::Media if service.hosts.is_empty() => "",
        _ => &authority,
    };
    let mut key =
        String::with_capacity(service.id.len() + place.len() + path.len() + query.len() + 3);
    for (part, after) in [(&*service.id, "|"), (place, "|"), (&*path, "")] {
        key.push_str(part);
        key.push_str(after);
    }
    if !query.is_empty() {
        key.push('?');
        key.push_str(&query);
    }
    key
}

/// Query keys of a URL that do not count.
pub fn dropped_query(admitted: &Admitted) -> Vec<String> {
    let query = admitted.query.as_deref().unwrap_or_default();
    pairs(query)
        .map(name)
        .filter(|name| !counts(&admitted.service, name))
        .map(str::to_owned)
        .collect()
}

/// Everything the fill engine needs to fetch the object. Costs a few allocations, so it is
/// made only when the cache cannot answer.
pub fn ask(admitted: &Admitted, place: Place, headers: &HeaderMap) -> Ask {
    let service = &admitted.service;
    let path = service.upstream_path(&admitted.path);
    let query = kept_query(service, admitted.query.as_deref());
    let path_and_query = if query.is_empty() { path.into() } else { format!("{path}?{query}") };
    let passed = passed_on(service, headers);
    let mut alone = passed.clone();
    for name in &CONDITIONS {
        for value in headers.get_all(name) {
            alone.append(name, value.clone());
        }
    }
    Ask {
        id: place.id,
        key: place.key,
        service: Arc::clone(&service.id),
        policy: Arc::clone(&service.policy),
        upstream: Arc::clone(&service.upstream),
        path_and_query: path_and_query.into(),
        authority: Some(admitted.authority.as_str().into()),
        headers: Arc::new(passed),
        alone_headers: Arc::new(alone),
        range: crate::deliver::first_range(headers),
        control: control(service, headers),
        facet: Facet::default(),
        client: None,
        reserved: None,
        opening: None,
        outlet: None,
    }
}

/// What a client may say of stored answers. A media service does not let its clients reach
/// through the cache.
pub fn control(service: &Service, headers: &HeaderMap) -> RequestControl {
    match service.preset {
        Preset::Media => RequestControl::default(),
        Preset::Proxy => RequestControl::parse(headers),
    }
}

/// A media origin sees none of the client's fields; a proxy's sees all but its conditions
/// (RFC 9110 §7.6.3 wants `via` on them).
/// RFC 9111 §5.2 [directives.pass]
/// RFC 9111 §4.3.2 [conditional.stored, conditional.other]: conditions are held against what
/// comes back, for each client its own; upstream are sent ours.
fn passed_on(service: &Service, headers: &HeaderMap) -> HeaderMap {
    if service.preset == Preset::Media {
        return HeaderMap::new();
    }
    let mut passed = headers.clone();
    for name in &CONDITIONS {
        passed.remove(name);
    }
    passed.remove(header::HOST);
    let forged: Vec<_> = passed.keys().filter(|name| speaks_for_a_proxy(name)).cloned().collect();
    for name in forged {
        passed.remove(name);
    }
    // The address of the page may carry a token.
    if let Some(Ok(referer)) = passed.get(header::REFERER).map(HeaderValue::to_str)
        && let std::borrow::Cow::Owned(clean) = weir_edge_token::redact(referer)
    {
        match HeaderValue::try_from(clean) {
            Ok(clean) => passed.insert(header::REFERER, clean),
            Err(_) => passed.remove(header::REFERER),
        };
    }
    passed.append(header::VIA, HeaderValue::from_static("1.1 weir"));
    passed
}

/// Fields with which a proxy in front tells of the client, or has a request read as another
/// one. They are a client's inventions, or true of one client; an origin that believes them would
/// have its answer to that one kept for all. Trusted forwarders (`clients.rs`) are no exception.
fn speaks_for_a_proxy(name: &HeaderName) -> bool {
    const NAMES: [&str; 21] = [
        "client-ip",
        "request-uri",
        "base-url",
        "x-override-url",
        "x-proxy-url",
        "x-invoke-path",
        "x-middleware-subrequest",
        "forwarded",
        "x-host",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "x-backend-host",
        "x-method-override",
        "x-url-scheme",
        "cf-connecting-ip",
        "fastly-client-ip",
        "front-end-https",
        "x-wap-profile",
        "proxy",
    ];
    // Of host, path and method overrides there are many spellings.
    const FAMILIES: [&str; 5] =
        ["x-forwarded-", "x-original-", "x-rewrite-", "x-http-", "x-envoy-"];
    let name = name.as_str();
    // What programs behind CGI, WSGI and their like take for the same name with a dash.
    name.contains('_')
        || NAMES.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
}

fn counts(service: &Service, name: &str) -> bool {
    match service.preset {
        Preset::Media => service.query_keys.iter().any(|key| key == name),
        Preset::Proxy => name != CMCD,
    }
}

/// What of a query belongs to the key, and all that the upstream gets of it. Sorted for
/// media, so that one object has one key; as it came for a proxy, which does not know what the
/// order means.
fn kept_query(service: &Service, query: Option<&str>) -> String {
    let query = query.unwrap_or_default();
    if service.preset == Preset::Proxy && pairs(query).all(|pair| name(pair) != CMCD) {
        return query.to_owned();
    }
    let mut kept: Vec<&str> = pairs(query).filter(|pair| counts(service, name(pair))).collect();
    if service.preset == Preset::Media {
        kept.sort_unstable();
    }
    kept.join("&")
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

fn name(pair: &str) -> &str {
    pair.split('=').next().unwrap_or(pair)
}
