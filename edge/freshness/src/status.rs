//! `Cache-Status` (RFC 9211): how a cache came to its answer.

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::control::is_token;

/// Name of the field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// RFC 9651 §3.3.1: integers have at most 15 digits.
const INTEGER_MAX: i64 = 999_999_999_999_999;

/// Why a request went upstream (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method's meaning wants it.
    Method,
    /// Nothing stored under this URI.
    UriMiss,
    /// Something stored, but for other request fields.
    VaryMiss,
    /// Nothing stored that could be used.
    Miss,
    /// Something fresh, but the request's directives forbade it.
    Request,
    /// Something, but stale.
    Stale,
    /// Something, but not all of it.
    Partial,
}

impl Forward {
    /// The token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// One member of the field. A hit has no `fwd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStatus<'a> {
    /// `Some` where the request went upstream; else it is a hit.
    pub fwd: Option<Forward>,
    /// What upstream answered, where that differs from what the client gets.
    pub fwd_status: Option<StatusCode>,
    /// Freshness left, seconds; negative when stale.
    pub ttl: Option<i64>,
    /// Whether the answer was stored.
    pub stored: bool,
    /// Whether one upstream request served several; only where it went upstream.
    pub collapsed: Option<bool>,
    /// Anything else, visible ASCII.
    pub detail: Option<&'a str>,
}

impl CacheStatus<'_> {
    /// Appends a line for an answer that is neither stored nor an upstream's: the cache's name and
    /// why (RFC 9211 §2: without `hit` and `fwd`, it was generated here).
    pub fn append_own(cache: &str, detail: &str, headers: &mut HeaderMap) {
        let mut text = String::with_capacity(64);
        write_name(cache, &mut text);
        text.push_str("; detail=");
        write_name(detail, &mut text);
        let value = HeaderValue::try_from(text).expect("only printable ASCII was written");
        headers.append(CACHE_STATUS, value);
    }

    /// Appends a line: the cache nearest to the client comes last (RFC 9211 §2). `cache` is
    /// the name of this one.
    pub fn append(&self, cache: &str, headers: &mut HeaderMap) {
        headers.append(CACHE_STATUS, self.value(cache));
    }

    /// The member as a field value. A name that can be no token is written as a string;
    /// characters that neither can hold are left out.
    pub fn value(&self, cache: &str) -> HeaderValue {
        let mut text = String::with_capacity(64);
        write_name(cache, &mut text);
        match self.fwd {
            None => text.push_str("; hit"),
            Some(fwd) => {
                text.push_str("; fwd=");
                text.push_str(fwd.as_str());
            }
        }
        if let Some(status) = self.fwd_status {
            text.push_str("; fwd-status=");
            text.push_str(status.as_str());
        }
        if let Some(ttl) = self.ttl {
            let ttl = ttl.clamp(-INTEGER_MAX, INTEGER_MAX);
            write!(text, "; ttl={ttl}").expect("a String takes all that is written to it");
        }
        if self.stored {
            text.push_str("; stored");
        }
        match self.collapsed {
            Some(true) => text.push_str("; collapsed"),
            Some(false) => text.push_str("; collapsed=?0"),
            None => {}
        }
        if let Some(detail) = self.detail {
            text.push_str("; detail=");
            write_name(detail, &mut text);
        }
        HeaderValue::try_from(text).expect("only printable ASCII was written")
    }
}

/// RFC 9651 §3.3.4 token where it can be one, else §3.3.3 string.
fn write_name(name: &str, text: &mut String) {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*');
    if starts && bytes.all(|byte| is_token(byte) || matches!(byte, b':' | b'/')) {
        text.push_str(name);
        return;
    }
    text.push('"');
    for char in name.chars().filter(|char| matches!(char, ' '..='~')) {
        if matches!(char, '"' | '\\') {
            text.push('\\');
        }
        text.push(char);
    }
    text.push('"');
}
