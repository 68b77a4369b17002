//! What the access log says of one request of an edge.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::cmcd::Cmcd;

/// What `protocol` may say.
pub const PROTOCOLS: [&str; 3] = ["h1", "h2", "h3"];
/// What `tls` may say, where there is TLS.
pub const TLS: [&str; 2] = ["1.2", "1.3"];
/// What `cache` may say.
pub const RESULTS: [&str; 9] =
    ["hit_mem", "hit_disk", "revalidated", "stale", "collapsed", "miss", "bypass", "own", "error"];

/// Names a request: unique within a process, and over restarts as good as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

impl RequestId {
    /// Reads what [`Display`](std::fmt::Display) wrote: 16 hexadecimal digits.
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self))?
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One line of the access log. Field names are a promise to whoever parses it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Entry<'a> {
    /// When it began, Unix milliseconds.
    pub time: u64,
    /// Its name.
    pub id: RequestId,
    /// One of [`PROTOCOLS`].
    pub protocol: &'static str,
    /// One of [`TLS`]; none on plain HTTP.
    pub tls: Option<&'static str>,
    /// The client's address as far as it is told.
    pub client: Option<IpAddr>,
    /// As asked.
    pub method: &'a str,
    /// Without port; empty where no service was found.
    pub host: &'a str,
    /// Path and query, the token redacted.
    pub path: &'a str,
    /// Of the answer.
    pub status: u16,
    /// Body bytes handed to the wire.
    pub bytes: u64,
    /// Whether that was all of the body.
    pub whole: bool,
    /// What the cache did: one of [`RESULTS`].
    pub cache: &'static str,
    /// Id of the service.
    pub service: Option<&'a str>,
    /// Session id of the token.
    pub sid: Option<&'a str>,
    /// The `Range` field.
    pub range: Option<&'a str>,
    /// Until the answer's head was ready.
    pub ttfb_ms: f64,
    /// Until its body was over.
    pub total_ms: f64,
    /// What the player said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmcd: Option<&'a Cmcd>,
    /// The `Referer` field, tokens redacted; only where the form of the log has it.
    #[serde(skip)]
    pub referer: Option<&'a str>,
    /// The `User-Agent` field; only where the form of the log has it.
    #[serde(skip)]
    pub agent: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn ids_are_sixteen_digits() {
        let check = |text: &str, id: Option<u64>| {
            assert_eq!(RequestId::read(text), id.map(RequestId), "{text}");
        };
        check(&RequestId(0x2a).to_string(), Some(0x2a));
        check("ffffffffffffffff", Some(u64::MAX));
        check("FFFFFFFFFFFFFFFF", Some(u64::MAX));
        check("2a", None);
        check("+00000000000002a", None);
        check("000000000000002g", None);
        check("00000000000000000", None);
    }
}
