//! Who a client is behind the forwarders that an operator trusts: what these say of the hops
//! before them is believed as far as they say it, and of nobody else (RFC 7239 §8.1). Pure.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_config_units::Prefix;

/// Hops that are looked at, from the nearest on.
pub const HOPS_MAX: usize = 32;

/// Which field the forwarders write. The other one is not looked at: a forwarder that does not
/// know it passes on whatever its client made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Field {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// Who is believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// Networks of the forwarders; none believes nobody.
    pub forwarders: Vec<Prefix>,
    /// Where they say it.
    pub field: Field,
}

impl Trust {
    fn holds(&self, address: IpAddr) -> bool {
        self.forwarders.iter().any(|prefix| prefix.contains(address))
    }
}

/// The nearest hop that is no trusted forwarder. Where a forwarder does not say from whom it has
/// the request, or says it in a way that cannot be read, it is that forwarder.
pub fn client(peer: IpAddr, headers: &HeaderMap, trust: &Trust) -> IpAddr {
    let mut client = peer.to_canonical();
    if !trust.holds(client) {
        return client;
    }
    let name = match trust.field {
        Field::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        Field::Forwarded => http::header::FORWARDED,
    };
    let mut left = HOPS_MAX;
    // The last line was added last, and in it the last hop.
    let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    for line in lines.into_iter().rev() {
        let Ok(line) = line.to_str() else { return client };
        let Some(hops) = hops(line, trust.field) else { return client };
        for hop in hops.into_iter().rev() {
            let Some(hop) = hop.filter(|_| left > 0) else { return client };
            left -= 1;
            client = hop;
            if !trust.holds(client) {
                return client;
            }
        }
    }
    client
}

/// The hops of a line in its order, none for one without an address. Nothing where the line is
/// not what it should be.
fn hops(line: &str, field: Field) -> Option<Vec<Option<IpAddr>>> {
    match field {
        Field::XForwardedFor => Some(line.split(',').map(|hop| node(hop.trim())).collect()),
        Field::Forwarded => {
            let elements = split(line, ',')?;
            elements.into_iter().map(element).collect()
        }
    }
}

/// RFC 7239 §4: `for=192.0.2.60;proto=http`, one hop.
fn element(text: &str) -> Option<Option<IpAddr>> {
    let mut found = None;
    for pair in split(text, ';')? {
        if pair.trim().is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("for") {
            continue;
        }
        // "Each parameter MUST NOT occur more than once per field-value."
        if found.is_some() {
            return None;
        }
        found = Some(node(&unquoted(value.trim())?));
    }
    Some(found.flatten())
}

/// Splits where `at` stands outside of a quoted string. Nothing where one does not end.
fn split(text: &str, at: char) -> Option<Vec<&str>> {
    let (mut parts, mut from) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (index, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        } else if c == at && !quoted {
            parts.push(&text[from..index]);
            from = index + c.len_utf8();
        }
    }
    parts.push(&text[from..]);
    (!quoted && !escaped).then_some(parts)
}

/// A token, or what is in a quoted string (RFC 9110 §5.6.4).
fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let (mut out, mut escaped) = (String::with_capacity(inner.len()), false);
    for c in inner.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return None,
            c => {
                out.push(c);
                escaped = false;
            }
        }
    }
    (!escaped).then_some(out)
}

/// RFC 7239 §6: an address, with a port or without; not `unknown`, nor a name of the
/// forwarder's own making. An IPv6 address without brackets is what many write in
/// `X-Forwarded-For`.
fn node(text: &str) -> Option<IpAddr> {
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let ported = port.strip_prefix(':').is_some_and(is_port);
        let v6: std::net::Ipv6Addr = address.parse().ok()?;
        (port.is_empty() || ported).then_some(IpAddr::V6(v6))?
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        let v4: std::net::Ipv4Addr = address.parse().ok()?;
        is_port(port).then_some(IpAddr::V4(v4))?
    };
    Some(address.to_canonical())
}

/// Digits, or a name that hides it (RFC 7239 §6.2).
fn is_port(text: &str) -> bool {
    let hidden = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.chars().all(hidden),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(field: Field) -> Trust {
        let forwarders = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap()).into();
        Trust { forwarders, field }
    }

    fn check(field: Field, peer: &str, lines: &[&str], expected: &str) {
        let name = match field {
            Field::XForwardedFor => "x-forwarded-for",
            Field::Forwarded => "forwarded",
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        let found = client(peer.parse().unwrap(), &headers, &trust(field));
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    }

    #[test]
    fn x_forwarded_for() {
        let check = |peer: &str, lines: &[&str], expected: &str| {
            check(Field::XForwardedFor, peer, lines, expected);
        };
        // Who is not trusted is the client, whatever he says.
        check("203.0.113.5", &["198.51.100.1"], "203.0.113.5");
        check("203.0.113.5", &[], "203.0.113.5");
        check("10.0.0.1", &[], "10.0.0.1");
        check("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        // What a client made up stands to the left of what its forwarder saw.
        check("10.0.0.1", &["127.0.0.1, 198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["127.0.0.1", "198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1", "10.0.0.2"], "198.51.100.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
        check("10.0.0.1", &["2a00::1"], "2a00::1");
        check("10.0.0.1", &["[2a00::1]:4711"], "2a00::1");
        check("2001:db8::1", &["::ffff:198.51.100.1"], "198.51.100.1");
        // Nothing behind what cannot be read is believed.
        check("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1, "], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["198.51.100.1.evil.example"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1:x"], "10.0.0.1");
        check("10.0.0.1", &["010.1.1.1"], "10.0.0.1");
        check("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1");
        check("10.0.0.1", &["[198.51.100.1]"], "10.0.0.1");
        check("10.0.0.1", &["for=198.51.100.1"], "10.0.0.1");
    }

    #[test]
    fn forwarded() {
        let check = |peer: &str, lines: &[&str], expected: &str| {
            check(Field::Forwarded, peer, lines, expected);
        };
        check("10.0.0.1", &["for=198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["For=\"[2a00::1]:47011\";proto=https"], "2a00::1");
        check("10.0.0.1", &["proto=http;FOR=198.51.100.1;by=10.0.0.1"], "198.51.100.1");
        check("10.0.0.1", &["for=127.0.0.1, for=198.51.100.1, for=10.0.0.9"], "198.51.100.1");
        check("10.0.0.1", &["for=127.0.0.1", "for=198.51.100.1;by=_x"], "198.51.100.1");
        check("10.0.0.1", &["for=\"198.51.100.1:_hidden\""], "198.51.100.1");
        check("10.0.0.1", &["for=\"198.51.\\100.1\""], "198.51.100.1");
        check("10.0.0.1", &["by=\"a,b;for=127.0.0.1\";for=198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["for=unknown"], "10.0.0.1");
        check("10.0.0.1", &["for=_secret, for=10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["by=198.51.100.1"], "10.0.0.1");
        check("10.0.0.1", &[""], "10.0.0.1");
        // A quoted string that a client left open swallows what its forwarder appended.
        check("10.0.0.1", &["for=\"127.0.0.1, for=198.51.100.1"], "10.0.0.1");
        check("10.0.0.1", &["for=\"127.0.0.1\\\", for=198.51.100.1"], "10.0.0.1");
        check("10.0.0.1", &["for=127.0.0.1;for=198.51.100.1"], "10.0.0.1");
        check("10.0.0.1", &["for=198.51.100.1\"\""], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "10.0.0.1");
        check("10.0.0.1", &["for=2a00::1"], "2a00::1");
    }

    #[test]
    fn the_other_field_is_not_looked_at() {
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", "for=127.0.0.1".parse().unwrap());
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(client(peer, &headers, &trust(Field::XForwardedFor)), peer);
        headers.insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
        headers.remove("forwarded");
        assert_eq!(client(peer, &headers, &trust(Field::Forwarded)), peer);
    }

    #[test]
    fn a_long_chain_is_not_followed_to_its_end() {
        let line = vec!["10.0.0.2"; 2 * HOPS_MAX].join(",");
        check(Field::XForwardedFor, "10.0.0.1", &[&format!("198.51.100.1,{line}")], "10.0.0.2");
    }
}
