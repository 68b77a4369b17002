//! First phase: what is asked for, and of which service. Nothing here looks into the cache.

use std::sync::Arc;

use http::{Method, Uri, header};
use weir_edge_http::Request;

use crate::{
    reading,
    refuse::Refusal,
    service::{Preset, Service, Services},
};

/// A request that has found its service.
#[derive(Debug)]
pub struct Admitted {
    pub service: Arc<Service>,
    /// Lower case, without port.
    pub host: String,
    /// As the client named it.
    pub authority: String,
    /// Without the token.
    pub path: String,
    pub query: Option<String>,
    /// The path token, where the path carries one.
    pub token: Option<String>,
}

/// Finds the service of a request.
pub fn admit(services: &Services, request: &Request) -> Result<Admitted, Refusal> {
    let authority = authority(request).unwrap_or_default();
    admit_url(services, &authority, request.uri())
}

/// The same for a URL that nobody asked for yet.
pub fn admit_url(services: &Services, authority: &str, uri: &Uri) -> Result<Admitted, Refusal> {
    // RFC 3986 §3.2.2: case means nothing here.
    let authority = authority.to_ascii_lowercase();
    let host = host_of(&authority);
    let (token, rest) = match with_token(services, &host, uri.path()) {
        Some((token, rest)) => (Some(token.to_owned()), rest),
        None => (None, uri.path()),
    };
    let (service, path) = find(services, &host, rest)?;
    let query = uri.query().map(str::to_owned);
    Ok(Admitted { service, host, authority, path, query, token })
}

/// `/t/<token>/<path>`, where a service that takes tokens answers for the path. Elsewhere
/// such a path is one like any other, unless what stands there is a token to look at: a
/// relative reference carries it to neighbours that take none, and it goes no further.
fn with_token<'a>(services: &Services, host: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let (token, rest) = weir_edge_token::split_path(path)?;
    let canonical = weir_edge_token::canonical(rest);
    let service = services.find(host, canonical.as_deref().unwrap_or(rest))?;
    (service.token.is_some() || holds_token(token)).then_some((token, rest))
}

fn holds_token(text: &str) -> bool {
    weir_edge_token::redact(text) != text
}

/// The service of a path, and the path as it is asked there: for media in its one spelling,
/// so that an object has one key and no path slips out from under a prefix.
fn find(services: &Services, host: &str, path: &str) -> Result<(Arc<Service>, String), Refusal> {
    let canonical = weir_edge_token::canonical(path);
    let looked_up = canonical.as_deref().unwrap_or(path);
    let Some(service) = services.find(host, looked_up) else {
        return Err(Refusal::NoService { host: host.to_owned() });
    };
    // A server behind us may read the path in its own way; where that way leads to another
    // service, or brings a token along, the rules found here would not be those that count.
    let read = reading::lenient(path).map_err(Refusal::BadPath)?;
    let same = services.find(host, &read).is_some_and(|other| Arc::ptr_eq(other, service));
    let token = weir_edge_token::split_path(&read).is_some_and(|(token, _)| holds_token(token));
    if !same || token {
        return Err(Refusal::Ambiguous);
    }
    let path = match service.preset {
        Preset::Proxy => path.to_owned(),
        Preset::Media => canonical.map_err(Refusal::BadPath)?.into_owned(),
    };
    Ok((Arc::clone(service), path))
}

/// RFC 9110 §9.1: a method that is understood but not offered here is 405.
pub fn check_method(service: &Service, method: &Method) -> Result<(), Refusal> {
    let offered = match service.preset {
        Preset::Media => matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS),
        Preset::Proxy => !matches!(*method, Method::CONNECT | Method::TRACE),
    };
    if offered { Ok(()) } else { Err(Refusal::Method) }
}

/// RFC 9110 §7.2: `:authority` or the absolute form where there is one, else `Host`.
fn authority(request: &Request) -> Option<String> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str().to_owned());
    }
    Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned())
}

/// The host in lower case, without port, user or brackets.
pub(crate) fn host_of(authority: &str) -> String {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts() {
        let check = |authority: &str, host: &str| assert_eq!(host_of(authority), host);
        check("CDN.Example", "cdn.example");
        check("cdn.example:8443", "cdn.example");
        check("cdn.example.", "cdn.example");
        check("[::1]:8443", "::1");
        check("[::1]", "::1");
        check("user@cdn.example:1", "cdn.example");
        check("", "");
    }
}
