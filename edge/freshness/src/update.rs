//! What a 304 does to a stored response (RFC 9111 §3.2, §4.3.4).

use http::{HeaderMap, HeaderName, header};

use crate::{date, hop::strip_hop_by_hop, validator::EntityTag};

/// Fields that were computed over, or say how to read, the very bytes that are stored; a 304
/// carries no bytes. `Content-Type` is none of them: what the bytes mean may be told better
/// later, and RFC 9111 §3.2 keeps such omissions to what the stored response's integrity needs.
const OF_THE_BYTES: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    // RFC 1864 and RFC 9530: digests of this content, which in a 304 is empty.
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
];

/// RFC 9111 §4.3.4 [freshen.strong]: whether the 304 is about this stored response. Where it names a strong
/// validator that must be the stored one; a weak one must match weakly. One that names none
/// answers the only condition we sent, and so is about what we named there.
pub fn updates(stored: &HeaderMap, not_modified: &HeaderMap) -> bool {
    if let Some(named) = EntityTag::of(not_modified) {
        return EntityTag::of(stored).is_some_and(|tag| {
            if named.weak { tag.weak_eq(&named) } else { tag.strong_eq(&named) }
        });
    }
    let named = date::field(not_modified, &header::LAST_MODIFIED);
    named.is_none_or(|named| date::field(stored, &header::LAST_MODIFIED) == Some(named))
}

/// RFC 9111 §3.2 [update.all, update.length, update.integrity]: every field of the 304 replaces the stored ones of its name, except those
/// of one connection and those that describe the stored bytes. One that came without a date is of
/// the time it was received, Unix milliseconds.
pub fn update(stored: &mut HeaderMap, not_modified: &HeaderMap, received_millis: u64) {
    let mut fresh = not_modified.clone();
    // RFC 9110 §6.6.1: the stored date is that of the older message, and by it a response that
    // was just found to hold would be as old as before.
    fresh.entry(header::DATE).or_insert_with(|| date::format(received_millis / 1000));
    strip_hop_by_hop(&mut fresh);
    for name in OF_THE_BYTES {
        fresh.remove(name);
    }
    // The age of before is gone with the time it was counted from (§4.3.4 with §4.2.3).
    stored.remove(header::AGE);
    for name in fresh.keys() {
        stored.remove(name);
        for value in fresh.get_all(name) {
            stored.append(name.clone(), value.clone());
        }
    }
}
