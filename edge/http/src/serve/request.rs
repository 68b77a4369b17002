//! What a client asked becomes one form, whatever the protocol: scheme, authority, absolute
//! path and query in the URI, no hop-by-hop fields. What cannot be brought into that form
//! without guessing is refused, because the next hop would guess differently.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::wire::Fault;

/// Why a request is not handed on. All are 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("CONNECT is not served here")]
    Connect,
    #[error("the request has no Host")]
    NoHost,
    #[error("the request has more than one Host")]
    ManyHosts,
    #[error("Host is not an authority")]
    BadHost,
    #[error("Host and the target name different authorities")]
    HostMismatch,
    #[error("the target names another scheme than the connection")]
    SchemeMismatch,
    #[error("the target is no absolute path")]
    BadTarget,
    #[error("TRACE is not served here")]
    Trace,
    #[error("a field's value begins or ends with white space")]
    Padded,
    #[error("the request has more than one Content-Length")]
    ManyLengths,
}

impl Refusal {
    /// Under which reason it is counted.
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Connect | Self::Trace | Self::SchemeMismatch => Fault::NotServed,
            Self::NoHost | Self::ManyHosts | Self::BadHost | Self::HostMismatch => Fault::Host,
            Self::BadTarget => Fault::Target,
            Self::Padded => Fault::FieldValue,
            Self::ManyLengths => Fault::ContentLength,
        }
    }

    /// RFC 9114 §4.3.1: such a message is malformed; the others are only not served.
    pub(crate) fn is_malformed(self) -> bool {
        !matches!(self, Self::Connect | Self::SchemeMismatch | Self::Trace)
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Brings `parts` into the one form. `secure`: the connection is TLS or QUIC.
pub(crate) fn normalise(parts: &mut Parts, secure: bool) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    // RFC 9110 §9.3.8: it would show a client what those between us and the origin added.
    if parts.method == Method::TRACE {
        return Err(Refusal::Trace);
    }
    if parts.headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Refusal::ManyLengths);
    }
    if parts.version == Version::HTTP_2 && parts.headers.values().any(is_padded) {
        return Err(Refusal::Padded);
    }
    if parts.version <= Version::HTTP_11 {
        // An offer to leave HTTP/1.1 among the rest: RFC 9110 §7.8 lets us ignore it, and clients
        // that prefer HTTP/2 make it with every first request over plain HTTP.
        strip_hop_by_hop(&mut parts.headers);
    }
    let host = host(&parts.headers)?;
    let target = std::mem::take(&mut parts.uri).into_parts();
    let scheme = if secure { Scheme::HTTPS } else { Scheme::HTTP };
    if target.scheme.is_some_and(|named| named != scheme) {
        return Err(Refusal::SchemeMismatch);
    }
    let named = target.authority.map(without_empty_port).transpose()?;
    let authority = match (named, host) {
        (Some(named), Some(host)) => {
            // RFC 9113 §8.3.1: they must agree. RFC 9112 §3.2.2 has clients send the same and
            // servers ignore Host here; we refuse what differs, because which one a next hop
            // would believe is not ours to guess.
            if !same_authority(&named, &host, &scheme) {
                return Err(Refusal::HostMismatch);
            }
            Some(named)
        }
        (Some(named), None) if parts.version <= Version::HTTP_11 => {
            // RFC 9112 §3.2: Host is required even beside an absolute target.
            if parts.version == Version::HTTP_11 {
                return Err(Refusal::NoHost);
            }
            Some(named)
        }
        (Some(named), None) => Some(named),
        (None, Some(host)) => Some(host),
        // RFC 9112 §3.2: only HTTP/1.0 may leave it out.
        (None, None) if parts.version < Version::HTTP_11 => None,
        (None, None) => return Err(Refusal::NoHost),
    };
    if authority.as_ref().is_some_and(|authority| !is_plain(authority)) {
        return Err(Refusal::BadHost);
    }
    let path = target.path_and_query.ok_or(Refusal::BadTarget)?;
    let path = match path.as_str().as_bytes().first() {
        Some(b'/') => path,
        // RFC 9110 §9.3.7: about the server and not about anything on it.
        Some(b'*') if parts.method == Method::OPTIONS => path,
        // `http://host?query` has an empty path, which means `/` (RFC 9110 §4.2.3).
        Some(b'?') => {
            PathAndQuery::try_from(format!("/{}", path.as_str())).map_err(|_| Refusal::BadTarget)?
        }
        _ => return Err(Refusal::BadTarget),
    };
    let mut uri = http::uri::Parts::default();
    if authority.is_some() {
        uri.scheme = Some(scheme);
    }
    if let Some(authority) = &authority
        && parts.headers.get(header::HOST).is_some_and(|host| host.as_bytes().ends_with(b":"))
    {
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| Refusal::BadHost)?;
        parts.headers.insert(header::HOST, host);
    }
    uri.authority = authority;
    uri.path_and_query = Some(path);
    parts.uri = Uri::from_parts(uri).map_err(|_| Refusal::BadTarget)?;
    Ok(())
}

fn host(headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else { return Ok(None) };
    if hosts.next().is_some() {
        return Err(Refusal::ManyHosts);
    }
    let host = Authority::try_from(host.as_bytes()).map_err(|_| Refusal::BadHost)?;
    without_empty_port(host).map(Some)
}

/// RFC 3986 §3.2.3 allows a colon without a port, which means nothing (§6.2.3): it goes, so that
/// there is one spelling of it, and one key.
fn without_empty_port(authority: Authority) -> Result<Authority, Refusal> {
    match authority.as_str().strip_suffix(':') {
        // `[::` is no address, and `a::` no name.
        Some(rest) if !rest.ends_with(':') => {
            Authority::try_from(rest).map_err(|_| Refusal::BadHost)
        }
        _ => Ok(authority),
    }
}

/// Whether somebody asks about the server itself: `OPTIONS *`.
pub(crate) fn is_about_the_server(parts: &Parts) -> bool {
    parts.uri.path() == "*"
}

/// RFC 9113 §8.2.1, which h2 lets through.
fn is_padded(value: &HeaderValue) -> bool {
    let ends = [value.as_bytes().first(), value.as_bytes().last()];
    ends.into_iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'))
}

/// A host, and a port that can exist; no user and password (RFC 9110 §4.2.4). What RFC 3986
/// §3.2.2 would let a name have and no name has is refused: a list of two hosts is one of them.
fn is_plain(authority: &Authority) -> bool {
    let text = authority.as_str();
    let rest = text.strip_prefix(authority.host());
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    !authority.host().is_empty()
        && authority.host().bytes().all(of_names)
        && rest.is_some_and(|rest| rest.is_empty() || authority.port_u16().is_some())
}

fn same_authority(one: &Authority, other: &Authority, scheme: &Scheme) -> bool {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

/// RFC 9110 §7.6.1: what `Connection` names ends here, and these do in any case.
/// `Content-Length` beside `Transfer-Encoding` has been taken out by the parser.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter();
    let named = named.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let named: Vec<HeaderName> =
        named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
    headers.remove(header::CONNECTION);
    for name in named {
        // Nobody may hide the fields that frame or route the message.
        if name != header::HOST && name != header::CONTENT_LENGTH {
            headers.remove(name);
        }
    }
    let fields =
        [KEEP_ALIVE, PROXY_CONNECTION, header::TE, header::TRANSFER_ENCODING, header::UPGRADE];
    for name in fields {
        headers.remove(name);
    }
}

/// What RFC 9113 §8.2.2 and RFC 9114 §4.2 forbid in a message of their versions.
pub(crate) fn connection_specific(headers: &HeaderMap) -> bool {
    let te = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"trailers");
    [header::CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE]
        .iter()
        .any(|name| headers.contains_key(name))
        || headers.get_all(header::TE).iter().any(te)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &str, secure: bool, expected: Result<&str, Refusal>) {
        let mut lines = request.lines();
        let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let version = match first[2] {
            "1.0" => Version::HTTP_10,
            "1.1" => Version::HTTP_11,
            "2" => Version::HTTP_2,
            _ => Version::HTTP_3,
        };
        let mut builder = http::Request::builder().method(first[0]).uri(first[1]).version(version);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            builder = builder.header(name.trim(), value.trim());
        }
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        let seen = normalise(&mut parts, secure).map(|()| {
            let mut names: Vec<String> = parts.headers.keys().map(ToString::to_string).collect();
            names.sort_unstable();
            if request.contains(":\n") || request.ends_with(':') {
                let host = parts.headers["host"].to_str().unwrap();
                names
                    .iter_mut()
                    .filter(|name| *name == "host")
                    .for_each(|n| *n += &format!("={host}"));
            }
            format!("{} {}", parts.uri, names.join(","))
        });
        assert_eq!(seen.as_deref(), expected.as_ref().copied(), "{request}");
    }

    #[test]
    fn one_form() {
        check("GET /a?b 1.1\nhost: x", false, Ok("http://x/a?b host"));
        check("GET /a 1.1\nhost: x:81", true, Ok("https://x:81/a host"));
        check("GET http://x/a 1.1\nhost: X:80", false, Ok("http://x/a host"));
        check("GET http://x?q 1.1\nhost: x", false, Ok("http://x/?q host"));
        check("GET /a 1.0", false, Ok("/a "));
        check("GET https://x/a 2", true, Ok("https://x/a "));
        check("GET https://x/a 3\nhost: x:443", true, Ok("https://x/a host"));
        check("GET / 1.1\nhost: [::1]:8443", true, Ok("https://[::1]:8443/ host"));
        // RFC 3986 §3.2.3: a port of no digits is none.
        check("GET /a 1.1\nhost: x:", false, Ok("http://x/a host=x"));
        check("GET /a 1.1\nhost: [::1]:", false, Ok("http://[::1]/a host=[::1]"));
        check("GET http://x:/a 1.1\nhost: x", false, Ok("http://x/a host"));
        check("GET https://x:/a 2\nhost: X:", true, Ok("https://x/a host=x"));
        // RFC 9110 §9.3.7.
        check("OPTIONS * 1.1\nhost: x", false, Ok("http://x* host"));
    }

    #[test]
    fn refused() {
        check("GET / 1.1", false, Err(Refusal::NoHost));
        check("GET http://x/ 1.1", false, Err(Refusal::NoHost));
        check("GET / 2", true, Err(Refusal::NoHost));
        check("GET / 1.1\nhost: x\nhost: x", false, Err(Refusal::ManyHosts));
        check("GET / 1.1\nhost: a b", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: u@x", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: u@x:80", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: u:p@x", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: x,y", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: x%2e", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost:", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: :", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: x::", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: x:80:", false, Err(Refusal::BadHost));
        check("GET http://y:/ 1.1\nhost: x:", false, Err(Refusal::HostMismatch));
        check("GET / 1.1\nhost: x:65536", false, Err(Refusal::BadHost));
        check("GET / 1.1\nhost: :80", false, Err(Refusal::BadHost));
        check("GET http://y/ 1.1\nhost: x", false, Err(Refusal::HostMismatch));
        check("GET https://x/ 2\nhost: y", true, Err(Refusal::HostMismatch));
        check("GET https://x/ 1.1\nhost: x", false, Err(Refusal::SchemeMismatch));
        check("GET http://x/ 2", true, Err(Refusal::SchemeMismatch));
        check("GET * 1.1\nhost: x", false, Err(Refusal::BadTarget));
        check("OPTIONS * 1.1", false, Err(Refusal::NoHost));
        check("CONNECT x:443 1.1\nhost: x:443", false, Err(Refusal::Connect));
        check("TRACE / 1.1\nhost: x", false, Err(Refusal::Trace));
        check(
            "POST / 2\nhost: x\ncontent-length: 3\ncontent-length: 3",
            true,
            Err(Refusal::ManyLengths),
        );
    }

    #[test]
    fn white_space_around_values() {
        let check = |value: &'static [u8], expected| {
            let value = HeaderValue::from_bytes(value).unwrap();
            assert_eq!(is_padded(&value), expected, "{value:?}");
        };
        check(b"", false);
        check(b"a b", false);
        check(b" a", true);
        check(b"a\t", true);
        check(b" ", true);
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        check(
            "GET / 1.1\nhost: x\nconnection: a, keep-alive\nconnection: b, host\na: 1\nb: 2\nc: 3\nkeep-alive: 5\nte: trailers",
            false,
            Ok("http://x/ c,host"),
        );
        check(
            "GET / 1.1\nhost: x\nconnection: upgrade, http2-settings\nupgrade: h2c\nhttp2-settings: AAA",
            false,
            Ok("http://x/ host"),
        );
        check("GET / 1.1\nhost: x\nupgrade: websocket", false, Ok("http://x/ host"));
    }

    #[test]
    fn connection_specific_fields_are_seen() {
        let check = |name: &'static str, value: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(connection_specific(&headers), expected, "{name}: {value}");
        };
        check("connection", "close", true);
        check("transfer-encoding", "chunked", true);
        check("te", "gzip", true);
        check("te", "trailers", false);
        check("accept", "x", false);
    }
}
