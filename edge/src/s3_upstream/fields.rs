//! Header fields into conditions and ranges of the port, and what is known of an object into
//! header fields.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use weir_edge_freshness::date;
use weir_origin_store::{Conditions, ETag, ETagCondition, ObjectMeta, RangeSpec};

/// The conditions of a request (RFC 9110 §13.1). What does not parse is no condition.
pub(super) fn conditions(asked: &HeaderMap) -> Conditions {
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let time = |name: HeaderName| {
        let seconds = date::parse(asked.get(name)?.as_bytes())?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    Conditions {
        // RFC 9110 §13.1.1: strong comparison; §13.1.2: weak.
        if_match: text(header::IF_MATCH).map(|value| ETagCondition::parse(value, true)),
        if_none_match: text(header::IF_NONE_MATCH).map(|value| ETagCondition::parse(value, false)),
        if_modified_since: time(header::IF_MODIFIED_SINCE),
        if_unmodified_since: time(header::IF_UNMODIFIED_SINCE),
    }
}

/// The one range of a request; several, or what is none, ask for everything (RFC 9110 §14.2).
pub(super) fn range(asked: &HeaderMap) -> Option<RangeSpec> {
    let mut values = asked.get_all(header::RANGE).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (first, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    match (first, last) {
        ("", length) => Some(RangeSpec::Suffix { length: number(length)? }),
        (first, "") => Some(RangeSpec::From { first: number(first)? }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::Closed { first, last })
        }
    }
}

/// The fields of an answer that carries `length` bytes of an object.
pub(super) fn of_object(meta: &ObjectMeta, length: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &meta.fields {
        // Names come from whoever wrote the object: only those the port speaks of.
        let ours = name.starts_with("x-amz-meta-")
            || ["content-encoding", "content-disposition", "content-language", "expires"]
                .contains(&name.as_str());
        if let (true, Ok(name), Ok(value)) = (ours, name.parse::<HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
    let told = [
        (header::CONTENT_TYPE, meta.content_type.as_deref()),
        (header::CACHE_CONTROL, meta.cache_control.as_deref()),
    ];
    for (name, value) in told {
        if let Some(value) = value.and_then(|value| value.parse().ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(tag) = quoted(&meta.etag) {
        headers.insert(header::ETAG, tag);
    }
    // The epoch stands for a time that the store does not tell.
    if let Ok(since) = meta.modified.duration_since(SystemTime::UNIX_EPOCH)
        && !since.is_zero()
    {
        headers.insert(header::LAST_MODIFIED, date::format(since.as_secs()));
    }
    headers
}

/// A strong tag as a field writes it; none for the empty one, which stands for none.
pub(super) fn quoted(tag: &ETag) -> Option<HeaderValue> {
    if tag.0.is_empty() { None } else { format!("\"{}\"", tag.0).parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |value: &'static str, expected| {
            let asked = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(value))]);
            assert_eq!(range(&asked), expected, "{value}");
        };
        check("bytes=1-2", Some(RangeSpec::Closed { first: 1, last: 2 }));
        check("bytes=1-", Some(RangeSpec::From { first: 1 }));
        check("bytes=-7", Some(RangeSpec::Suffix { length: 7 }));
        check("bytes=2-1", None);
        check("bytes=1-2,3-4", None);
        check("bytes=+1-2", None);
        check("bytes=-", None);
        check("bytes=99999999999999999999-", None);
        check("lines=1-2", None);
        assert_eq!(range(&HeaderMap::new()), None);
    }

    #[test]
    fn conditions_as_rfc_9110_13_1() {
        let tags = |list: &[&str]| {
            ETagCondition::OneOf(list.iter().map(|tag| ETag((*tag).to_owned())).collect())
        };
        let asked = |name: HeaderName, value: &'static str| {
            conditions(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
        };
        let weak = "W/\"a\", \"b\"";
        assert_eq!(asked(header::IF_MATCH, weak).if_match, Some(tags(&["b"])));
        assert_eq!(asked(header::IF_NONE_MATCH, weak).if_none_match, Some(tags(&["a", "b"])));
        assert_eq!(asked(header::IF_NONE_MATCH, "*").if_none_match, Some(ETagCondition::Any));
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let text = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(asked(header::IF_MODIFIED_SINCE, text).if_modified_since, Some(since));
        assert_eq!(asked(header::IF_UNMODIFIED_SINCE, text).if_unmodified_since, Some(since));
        assert_eq!(asked(header::IF_MODIFIED_SINCE, "soon"), Conditions::default());
    }
}
