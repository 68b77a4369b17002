//! Which header fields stop at an intermediary (RFC 9110 §7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Fields about one connection only, whether `connection` names them or not.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Takes off what concerns one connection only, and whatever `connection` names.
pub(crate) fn strip_hop_by_hop(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // RFC 9110 §7.6.1: an end-to-end field must not be named there; one that decides
        // where an answer ends or what it is stays whatever the peer says.
        .filter(|name| !PROTECTED.contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        fields.remove(name);
    }
}

const PROTECTED: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::VARY,
];

/// Makes a client's fields those of a request to the parent.
pub(crate) fn for_request(fields: &mut HeaderMap, host: HeaderValue, has_body: bool) {
    strip_hop_by_hop(fields);
    // Our own client waits for nothing before it sends a body.
    fields.remove(header::EXPECT);
    if !has_body {
        fields.remove(header::CONTENT_LENGTH);
    }
    fields.insert(header::HOST, host);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn what_stops_here() {
        let check = |given: &[(&str, &str)], expected: &[(&str, &str)]| {
            let mut given = fields(given);
            strip_hop_by_hop(&mut given);
            assert_eq!(given, fields(expected));
        };
        check(&[("a", "1")], &[("a", "1")]);
        check(&[("connection", "close"), ("keep-alive", "5"), ("a", "1")], &[("a", "1")]);
        check(&[("connection", "X-One , x-two"), ("x-one", "1"), ("x-two", "2")], &[]);
        check(&[("connection", "x-one"), ("connection", "x-two"), ("x-two", "2")], &[]);
        check(&[("te", "trailers"), ("trailer", "x"), ("upgrade", "h2c")], &[]);
        check(&[("transfer-encoding", "chunked"), ("proxy-connection", "close")], &[]);
        // Not even the peer itself may hide what decides about its answer.
        check(
            &[("connection", "cache-control, etag"), ("cache-control", "no-store"), ("etag", "x")],
            &[("cache-control", "no-store"), ("etag", "x")],
        );
        check(&[("connection", ",, (bad),"), ("a", "1")], &[("a", "1")]);
    }

    #[test]
    fn what_a_request_carries() {
        let mut given = fields(&[
            ("host", "client.example"),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("accept", "*/*"),
        ]);
        let mut with_body = given.clone();
        for_request(&mut given, HeaderValue::from_static("parent.example"), false);
        assert_eq!(given, fields(&[("accept", "*/*"), ("host", "parent.example")]));
        for_request(&mut with_body, HeaderValue::from_static("parent.example"), true);
        assert_eq!(with_body["content-length"], "5");
    }
}
