//! HTTP dates as Unix seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// 9999-12-31 23:59:59, the last date the format can write.
const LAST: u64 = 253_402_300_799;

/// The longest form, `Wednesday, 06-Nov-94 08:49:37 GMT`.
const LONGEST: usize = 33;

/// RFC 9111 §4.2 [date.zone, date.gmt]: GMT and nothing else, whatever the machine's zone is.
/// RFC 9111 §4.2 [date.resolution]: whole seconds, as dates are.
///
/// Parses any of the three forms of RFC 9110 §5.6.7. `None` for what is no date, and for
/// dates before 1970.
pub fn parse(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.len() > LONGEST {
        return None;
    }
    let cased = with_case(value);
    let text = std::str::from_utf8(&cased).ok()?;
    let date = httpdate::parse_http_date(text).ok().or_else(|| whatever_day(text))?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// The same where the day of the week is not that of the date. It says nothing of its own, and
/// RFC 9110 §5.6.7 wants recipients to be robust; the parser wants the two to agree.
fn whatever_day(text: &str) -> Option<SystemTime> {
    const DAYS: [&str; 7] =
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let end = text.find(|char: char| !char.is_ascii_alphabetic())?;
    let (day, rest) = text.split_at(end);
    // Written out in the form of RFC 850, three letters elsewhere.
    let short = day.len() == 3;
    let known = DAYS.iter().any(|known| day == if short { &known[..3] } else { known });
    let with = |day: &&str| {
        let day = if short { &day[..3] } else { day };
        httpdate::parse_http_date(&format!("{day}{rest}")).ok()
    };
    known.then(|| DAYS.iter().find_map(with)).flatten()
}

/// RFC 9111 §4.2 [date.case]: a cache reads names of days, months and the zone in any case;
/// the parser reads them in one.
fn with_case(value: &[u8]) -> Vec<u8> {
    let mut cased = value.to_ascii_lowercase();
    let mut inside = false;
    for byte in &mut cased {
        if !inside {
            byte.make_ascii_uppercase();
        }
        inside = byte.is_ascii_alphabetic();
    }
    if let Some(zone) = cased.strip_suffix(b"Gmt").map(<[u8]>::len) {
        cased[zone..].copy_from_slice(b"GMT");
    }
    cased
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
