//! Which request fields select a response, and what they select by (RFC 9111 §4.1).
//!
//! Two requests select the same stored response when [`selected_by`] gives the same text for
//! both. It normalises only what means the same by the specification of each field.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Field names one response may vary on; beyond that it is as good as `*`.
pub const NAMES_MAX: usize = 16;

/// Fields whose members are weighted: case and order mean nothing (RFC 9110 §12.5.2–§12.5.4).
const WEIGHTED: [HeaderName; 3] =
    [header::ACCEPT_CHARSET, header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE];

/// Other fields whose value is a list: empty members mean nothing (RFC 9110 §5.6.1.2).
const LISTS: [HeaderName; 6] = [
    header::ACCEPT,
    header::CACHE_CONTROL,
    header::TE,
    header::VIA,
    header::ACCESS_CONTROL_REQUEST_HEADERS,
    header::FORWARDED,
];

/// Fields that are no lists and have commas in them.
const SINGLE: [HeaderName; 6] = [
    header::USER_AGENT,
    header::REFERER,
    header::COOKIE,
    header::AUTHORIZATION,
    header::FROM,
    header::ORIGIN,
];

/// What `Vary` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selecting {
    /// One response for all.
    Nothing,
    /// The fields of these names, sorted, each once.
    Fields(Vec<HeaderName>),
    /// Something that no cache can know: `*`, or what cannot be read.
    Any,
}

/// The names that a response's `Vary` lists, over all its lines.
// RFC 9111 §4.1 [vary.any]
pub fn selecting(response: &HeaderMap) -> Selecting {
    let mut names = Vec::new();
    for line in response.get_all(header::VARY) {
        for member in line.as_bytes().split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            if member.is_empty() {
                continue;
            }
            match HeaderName::from_bytes(member) {
                Ok(name) if name.as_str() != "*" => names.push(name),
                _ => return Selecting::Any,
            }
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    match names.len() {
        0 => Selecting::Nothing,
        1..=NAMES_MAX => Selecting::Fields(names),
        _ => Selecting::Any,
    }
}

/// RFC 9111 §4.1 [vary.match]: what of a request selects a response that varies on these names:
/// one line for each, equal
/// for requests whose fields match. A field that is absent matches only where it is absent.
pub fn selected_by(request: &HeaderMap, names: &[HeaderName]) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(name.as_str());
        if request.contains_key(name) {
            text.push('=');
            value(request, name, &mut text);
        }
    }
    text
}

/// Lines joined as one list (RFC 9110 §5.3), without white space around its commas; of fields
/// that are known to be lists, without empty members.
fn value(request: &HeaderMap, name: &HeaderName, text: &mut String) {
    let lines = request.get_all(name).iter().map(HeaderValue::as_bytes);
    if SINGLE.contains(name) {
        return write(lines.map(<[u8]>::trim_ascii), text);
    }
    let list = WEIGHTED.contains(name) || LISTS.contains(name);
    let members = lines.flat_map(members).filter(|member| !list || !member.is_empty());
    if WEIGHTED.contains(name) {
        let tight = |member: &[u8]| -> Vec<u8> {
            let kept = member.iter().filter(|byte| !byte.is_ascii_whitespace());
            kept.map(u8::to_ascii_lowercase).collect()
        };
        let mut members: Vec<_> = members.map(tight).collect();
        members.sort_unstable();
        members.dedup();
        write(members.iter().map(Vec::as_slice), text);
    } else {
        write(members, text);
    }
}

fn write<'a>(members: impl Iterator<Item = &'a [u8]>, text: &mut String) {
    for (index, member) in members.enumerate() {
        if index > 0 {
            text.push(',');
        }
        // Bytes beyond ASCII as the characters of their numbers: no two values become one.
        text.extend(member.iter().map(|byte| char::from(*byte)));
    }
}

/// Members of a list, empty ones too, split at commas outside quotes.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = line.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return true,
            _ => {}
        }
        false
    });
    parts.map(<[u8]>::trim_ascii)
}
