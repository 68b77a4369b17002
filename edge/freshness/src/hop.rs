//! Fields that belong to one connection.

use http::{HeaderMap, HeaderName, header};

/// RFC 9110 §7.6.1, with those that only ever meant the connection.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const HOP_BY_HOP_OLD: [&str; 3] = ["keep-alive", "proxy-connection", "proxy-authentication-info"];

/// Fields `Connection` must not take away: §7.6.1 forbids to nominate what is meant for all
/// recipients, and a client that does it nevertheless would change what the next hop
/// understands (drop `host`, `authorization`).
const END_TO_END: [HeaderName; 14] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::HOST,
    header::RANGE,
    header::SET_COOKIE,
    header::VARY,
];

/// Removes the fields that must not be passed on or stored (RFC 9110 §7.6.1), those that
/// `Connection` names included.
// RFC 9111 §3.1 [fields.connection, fields.hop, fields.proxy]
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect();
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP_OLD {
        headers.remove(name);
    }
}
