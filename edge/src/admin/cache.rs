//! How full the cache is, and what the rest of the admin API shares: bodies and URLs.

use std::{borrow::Cow, sync::atomic::Ordering::Relaxed};

use futures::TryStreamExt;
use http::{StatusCode, Uri};
use weir_config_admin::{CacheStats, TierStats};
use weir_edge_http::RequestBody;

use super::Failure;
use crate::{
    admit::{self, Admitted},
    lookup,
    node::Node,
    record::Outcome,
};

/// Longest body the admin API reads.
const BODY_MAX: usize = 64 << 10;

pub(super) fn stats(node: &Node) -> CacheStats {
    let stats = node.engine.cache().stats();
    let count = |wanted: &[Outcome]| {
        node.metrics.totals(|_, outcome, code| code < 4 && wanted.contains(&outcome)).0
    };
    let fills = node.engine.counters();
    CacheStats {
        objects: stats.objects,
        disks: super::disks::tiers(node),
        memory: TierStats {
            bytes: stats.ram_used_bytes,
            limit: stats.ram_capacity_bytes,
            evictions: stats.ram.evictions,
            chunks: stats.ram_chunks,
            written_bytes: stats.ram_written_bytes,
            // RAM takes everything.
            refused_bytes: 0,
        },
        fills: node.engine.under_way() as u64,
        collapsed: fills.collapsed.load(Relaxed),
        hits_memory: count(&[Outcome::HitMem]),
        hits_disk: count(&[Outcome::HitDisk]),
        misses: count(&[Outcome::Miss, Outcome::Collapsed]),
        bypasses: count(&[Outcome::Bypass]),
        fill_bytes: fills.upstream_bytes.load(Relaxed),
        checksum_failures: stats.store.map_or(0, |store| store.checksum_failures),
        purge_epoch: node.engine.cache().purge_epoch(),
        pinned_objects: stats.objects_pinned,
        pinned_bytes: stats.pinned_bytes,
        pinned_limit: stats.pinned_bytes_max,
    }
}

/// A bounded body.
pub(super) async fn body(body: RequestBody) -> Result<Vec<u8>, Failure> {
    let refused =
        |why: String| Failure::new(StatusCode::BAD_REQUEST, "the body cannot be taken").why(why);
    let mut pieces = body.into_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.try_next().await.map_err(|error| refused(error.to_string()))? {
        if whole.len() + piece.len() > BODY_MAX {
            return Err(refused(format!("it is longer than {BODY_MAX} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// A URL that an operator asks about, and where it leads.
pub(super) struct Asked {
    pub(super) key: String,
}

impl Asked {
    pub(super) fn of(node: &Node, url: &str) -> Result<Self, Failure> {
        Ok(Self { key: lookup::key(&admitted(node, url)?) })
    }
}

/// What a URL of an operator asks for, as if a client had asked.
pub(super) fn admitted(node: &Node, url: &str) -> Result<Admitted, Failure> {
    let bad = |why: String| {
        Failure::new(StatusCode::BAD_REQUEST, format!("not a URL: {}", shown(url))).why(why)
    };
    let uri = spelled(url).parse::<Uri>().map_err(|error| bad(error.to_string()))?;
    // `x` alone would be read as a host.
    if !matches!(uri.scheme_str(), Some("https" | "http")) {
        return Err(bad("it must begin with https:// or http:// and a host".into()));
    }
    let authority = uri.authority().ok_or_else(|| bad("it has no host".into()))?.as_str();
    is_authority(authority).map_err(|why| bad(why.into()))?;
    let services = node.services.load();
    admit::admit_url(&services, authority, &uri)
        .map_err(|refusal| Failure::new(StatusCode::NOT_FOUND, refusal.to_string()))
}

/// Whether clients ask for what is there.
pub(super) fn is_authority(authority: &str) -> Result<(), &'static str> {
    // RFC 9110 §4.2.4: nobody sends it, and what is behind it is no place of its own.
    if authority.contains('@') {
        return Err("it has a user before its host: write it without");
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    match port.filter(|port| !port.is_empty() && !port.contains(']')) {
        Some(port) if !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Err("its port is none: ports are 1 to 65535")
        }
        _ => Ok(()),
    }
}

/// Where path and query begin, or the whole's end.
fn behind_authority(url: &str) -> usize {
    let from = url.find("://").map_or(0, |at| at + 3);
    url[from..].find(['/', '?', '#']).map_or(url.len(), |at| from + at)
}

/// What of a URL may be told again: neither its token nor a password.
pub(super) fn shown(url: &str) -> String {
    let (before, behind) = url.split_at(behind_authority(url));
    let from = before.find("://").map_or(0, |at| at + 3);
    let host = before[from..].rsplit_once('@').map_or(&before[from..], |(_, host)| host);
    weir_edge_token::redact(&format!("{}{host}{behind}", &before[..from])).into_owned()
}

/// A URL as browsers send it: what may not stand in path and query is encoded
/// (<https://url.spec.whatwg.org/#query-percent-encode-set>).
pub(super) fn spelled(url: &str) -> Cow<'_, str> {
    let is_bad = |byte: u8| !byte.is_ascii() || matches!(byte, b' ' | b'"' | b'<' | b'>');
    let (before, behind) = url.split_at(behind_authority(url));
    if !behind.bytes().any(is_bad) {
        return Cow::Borrowed(url);
    }
    let mut spelled = before.to_owned();
    for byte in behind.bytes() {
        match is_bad(byte) {
            true => spelled.push_str(&format!("%{byte:02X}")),
            false => spelled.push(char::from(byte)),
        }
    }
    Cow::Owned(spelled)
}

/// Percent-decoding of a query value.
pub(super) fn decode(text: &str) -> Result<String, Failure> {
    let bad = || Failure::new(StatusCode::BAD_REQUEST, "a query key is badly encoded");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or_else(bad)?;
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{is_authority, shown, spelled};

    // RFC 9110 §4.2.4
    #[test]
    fn users_and_ports() {
        let check = |authority, good| assert_eq!(is_authority(authority).is_ok(), good);
        for good in ["a.test", "a.test:1", "a.test:65535", "a.test:", "[::1]", "[::1]:80"] {
            check(good, true);
        }
        for bad in ["user@a.test", "user:pw@a.test", "@a.test", "a.test:0", "a.test:65536"] {
            check(bad, false);
        }
        check("a.test:99999", false);
    }

    #[test]
    fn no_password_is_told_again() {
        let check = |url: &str, expected: &str| assert_eq!(shown(url), expected);
        check("http://user:pw@a.test/s1?x@y", "http://a.test/s1?x@y");
        check("http://u@s:p@a.test", "http://a.test");
        check("user:pw@a.test/x", "a.test/x");
        check("http://a.test/x@y", "http://a.test/x@y");
    }

    #[test]
    fn urls_are_spelled_as_browsers_send_them() {
        let check = |url: &str, expected: &str| assert_eq!(spelled(url), expected);
        check("http://a.test/a%20b?c=d", "http://a.test/a%20b?c=d");
        check(
            "http://a.test/\u{e9} b?\u{e9}=<\"x\">",
            "http://a.test/%C3%A9%20b?%C3%A9=%3C%22x%22%3E",
        );
        check("http://\u{e9}.test?\u{e9}", "http://\u{e9}.test?%C3%A9");
    }
}
