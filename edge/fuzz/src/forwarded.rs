//! What forwarders say of the hops before them (RFC 7239, and `X-Forwarded-For`).

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use weir_edge_http::forwarded::{Field, HOPS_MAX, Trust, client};

/// The first byte chooses; each line of the rest is one of the field.
pub(crate) fn run(input: &[u8]) {
    let Some((choice, text)) = input.split_first() else { return };
    let (field, name) = match choice % 2 {
        0 => (Field::XForwardedFor, "x-forwarded-for"),
        _ => (Field::Forwarded, "forwarded"),
    };
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(name, value);
    }
    let networks = ["10.0.0.0/8", "2001:db8::/32"];
    let forwarders = networks.map(|text| text.parse().expect("these are networks")).into();
    let trust = Trust { forwarders, field };
    let is_trusted = |address: IpAddr| trust.forwarders.iter().any(|p| p.contains(address));
    let stranger: IpAddr = "203.0.113.9".parse().expect("an address");
    assert_eq!(client(stranger, &headers, &trust), stranger, "who is not trusted is himself");
    let forwarder: IpAddr = "10.0.0.1".parse().expect("an address");
    let found = client(forwarder, &headers, &trust);
    assert_eq!(found, found.to_canonical(), "one address has one form");
    // What a client may have made up, to the left of a stranger, changes nothing.
    if !is_trusted(found) && headers.get_all(name).iter().count() < HOPS_MAX {
        let mut longer = HeaderMap::new();
        longer.append(name, HeaderValue::from_static("for=127.0.0.1, 127.0.0.1"));
        for line in headers.get_all(name) {
            longer.append(name, line.clone());
        }
        assert_eq!(client(forwarder, &longer, &trust), found);
    }
}
