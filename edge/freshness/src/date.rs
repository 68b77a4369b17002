//! HTTP dates as Unix seconds.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// 9999-12-31 23:59:59, the last date the format can write.
const LAST: u64 = 253_402_300_799;

/// Parses any of the three forms of RFC 9110 §5.6.7. `None` for what is no date, and for
/// dates before 1970.
pub fn parse(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// Writes IMF-fixdate (RFC 9110 §5.6.7).
pub fn format(unix_seconds: u64) -> HeaderValue {
    let date = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(LAST));
    HeaderValue::from_str(&httpdate::fmt_http_date(date)).expect("a date is visible ASCII")
}

/// The date in a field; the first where there are several.
pub(crate) fn field(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    parse(headers.get(name)?.as_bytes())
}
