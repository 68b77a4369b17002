//! Requests and answers between the words of the port and those of S3; pure.

use std::{collections::HashMap, ops::Range, time::SystemTime};

use aws_sdk_s3::{
    operation::{get_object::GetObjectOutput, head_object::HeadObjectOutput},
    primitives::DateTime,
};
use weir_origin_store::{Conditions, ETag, ETagCondition, ObjectMeta, RangeSpec, StoreError};

use crate::failure::etag;

/// Names of a user's own fields begin with this.
pub(crate) const META: &str = "x-amz-meta-";

/// Conditions as the SDK takes them.
pub(crate) struct Sent {
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<DateTime>,
    pub(crate) if_unmodified_since: Option<DateTime>,
}

impl From<&Conditions> for Sent {
    fn from(conditions: &Conditions) -> Self {
        Self {
            if_match: conditions.if_match.as_ref().map(condition),
            if_none_match: conditions.if_none_match.as_ref().map(condition),
            if_modified_since: conditions.if_modified_since.map(DateTime::from),
            if_unmodified_since: conditions.if_unmodified_since.map(DateTime::from),
        }
    }
}

fn condition(condition: &ETagCondition) -> String {
    match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::OneOf(tags) => tags.iter().map(quoted).collect::<Vec<_>>().join(", "),
    }
}

/// As a field writes it.
pub(crate) fn quoted(tag: &ETag) -> String {
    format!("\"{}\"", tag.0)
}

/// The value of `range` (RFC 9110 §14.2).
pub(crate) fn range_field(range: RangeSpec) -> String {
    match range {
        RangeSpec::Closed { first, last } => format!("bytes={first}-{last}"),
        RangeSpec::From { first } => format!("bytes={first}-"),
        RangeSpec::Suffix { length } => format!("bytes=-{length}"),
    }
}

/// Which bytes of how many an answer holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) range: Range<u64>,
    pub(crate) size: u64,
}

/// Reads it from the fields of an answer, and refuses what was not asked for.
pub(crate) fn extent(
    length: Option<i64>,
    content_range: Option<&str>,
    asked: Option<RangeSpec>,
) -> Result<Extent, StoreError> {
    let length = size(length)?;
    let untrusted = |reason: String| Err(StoreError::Untrusted(reason));
    let Some(text) = content_range else {
        // The whole object: either asked for, or the server does not know ranges.
        return Ok(Extent { range: 0..length, size: length });
    };
    let Some(extent) = parse_content_range(text) else {
        return untrusted(format!("content-range is {text:?}"));
    };
    let Some(asked) = asked else {
        return untrusted(format!("content-range {text:?} without a range asked for"));
    };
    if asked.resolve(extent.size) != Some(extent.range.clone()) {
        return untrusted(format!("content-range is {text:?}, asked for was {asked:?}"));
    }
    if extent.range.end - extent.range.start != length {
        return untrusted(format!("content-range is {text:?}, content-length {length}"));
    }
    Ok(extent)
}

/// RFC 9110 §14.4: `bytes FIRST-LAST/SIZE`.
fn parse_content_range(text: &str) -> Option<Extent> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
    };
    let (first, last, size) = (number(first)?, number(last)?, number(size)?);
    (first <= last && last < size).then(|| Extent { range: first..last + 1, size })
}

/// A number of bytes that an answer states.
pub(crate) fn size(stated: Option<i64>) -> Result<u64, StoreError> {
    let stated = stated.ok_or_else(|| StoreError::Untrusted("it states no length".into()))?;
    u64::try_from(stated)
        .map_err(|_| StoreError::Untrusted(format!("it states a length of {stated}")))
}

/// When an object was written; the epoch where the store does not say.
pub(crate) fn moment(stated: Option<&DateTime>) -> SystemTime {
    stated.and_then(|time| SystemTime::try_from(*time).ok()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Stands for a tag that the store does not give, or only a weak one.
pub(crate) fn tag(stated: Option<&str>) -> ETag {
    etag(stated).unwrap_or(ETag(String::new()))
}

pub(crate) fn meta_of_get(output: &GetObjectOutput, key: &str, size: u64) -> ObjectMeta {
    ObjectMeta {
        key: key.to_owned(),
        size,
        etag: tag(output.e_tag()),
        modified: moment(output.last_modified()),
        content_type: output.content_type().map(str::to_owned),
        cache_control: output.cache_control().map(str::to_owned),
        fields: fields(
            [
                ("content-encoding", output.content_encoding()),
                ("content-disposition", output.content_disposition()),
                ("content-language", output.content_language()),
                ("expires", output.expires_string()),
            ],
            output.metadata(),
        ),
    }
}

pub(crate) fn meta_of_head(output: &HeadObjectOutput, key: &str, size: u64) -> ObjectMeta {
    ObjectMeta {
        key: key.to_owned(),
        size,
        etag: tag(output.e_tag()),
        modified: moment(output.last_modified()),
        content_type: output.content_type().map(str::to_owned),
        cache_control: output.cache_control().map(str::to_owned),
        fields: fields(
            [
                ("content-encoding", output.content_encoding()),
                ("content-disposition", output.content_disposition()),
                ("content-language", output.content_language()),
                ("expires", output.expires_string()),
            ],
            output.metadata(),
        ),
    }
}

fn fields(
    known: [(&str, Option<&str>); 4],
    own: Option<&HashMap<String, String>>,
) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = known
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let mut own: Vec<(String, String)> = own
        .into_iter()
        .flatten()
        .map(|(name, value)| (format!("{META}{}", name.to_ascii_lowercase()), value.clone()))
        .collect();
    own.sort();
    fields.append(&mut own);
    fields
}

/// Not every server that speaks S3 knows every condition; one it passed over must not turn
/// another version of an object into the continuation of this one.
pub(crate) fn verify(conditions: &Conditions, meta: &ObjectMeta) -> Result<(), StoreError> {
    match &conditions.if_match {
        Some(condition) if !condition.matches(&meta.etag) => {
            Err(StoreError::PreconditionFailed { key: meta.key.clone() })
        }
        _ => Ok(()),
    }
}

/// Where a listing goes on. S3 would give a folded prefix again, since what lies below it
/// comes after it; the highest character there is puts us behind all of that.
pub(crate) fn passed(after: &str, delimiter: Option<&str>) -> String {
    match delimiter {
        Some(delimiter) if !delimiter.is_empty() && after.ends_with(delimiter) => {
            format!("{after}\u{10ffff}")
        }
        _ => after.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents() {
        let check = |length: Option<i64>, text: Option<&str>, asked, expected: Option<Extent>| {
            assert_eq!(extent(length, text, asked).ok(), expected, "{length:?} {text:?} {asked:?}");
        };
        let closed = |first, last| Some(RangeSpec::Closed { first, last });
        let extent = |range, size| Some(Extent { range, size });
        check(Some(10), None, None, extent(0..10, 10));
        check(Some(0), None, None, extent(0..0, 0));
        check(None, None, None, None);
        check(Some(-1), None, None, None);
        // The server answered a range with the whole object.
        check(Some(10), None, closed(2, 3), extent(0..10, 10));
        check(Some(2), Some("bytes 2-3/10"), closed(2, 3), extent(2..4, 10));
        check(Some(8), Some("bytes 2-9/10"), closed(2, 99), extent(2..10, 10));
        check(Some(8), Some("bytes 2-9/10"), Some(RangeSpec::From { first: 2 }), extent(2..10, 10));
        check(
            Some(3),
            Some("bytes 7-9/10"),
            Some(RangeSpec::Suffix { length: 3 }),
            extent(7..10, 10),
        );
        // Something else than was asked for, or nothing that makes sense.
        check(Some(2), Some("bytes 3-4/10"), closed(2, 3), None);
        check(Some(1), Some("bytes 2-2/10"), closed(2, 3), None);
        check(Some(3), Some("bytes 2-3/10"), closed(2, 3), None);
        check(Some(2), Some("bytes 2-3/10"), None, None);
        check(Some(2), Some("bytes 3-2/10"), closed(2, 3), None);
        check(Some(2), Some("bytes 2-3/*"), closed(2, 3), None);
        check(Some(2), Some("bytes +2-3/10"), closed(2, 3), None);
        check(Some(2), Some("2-3/10"), closed(2, 3), None);
        check(Some(2), Some("bytes 18446744073709551616-3/10"), closed(2, 3), None);
    }

    #[test]
    fn listings_go_on_behind_folded_prefixes() {
        let check = |after: &str, delimiter: Option<&str>, expected: &str| {
            assert_eq!(passed(after, delimiter), expected);
        };
        check("a/b", Some("/"), "a/b");
        check("a/", Some("/"), "a/\u{10ffff}");
        check("a/", None, "a/");
        check("a/", Some(""), "a/");
    }

    #[test]
    fn conditions_as_fields() {
        let tags = ETagCondition::OneOf(vec![ETag("a".into()), ETag("b-2".into())]);
        assert_eq!(condition(&tags), "\"a\", \"b-2\"");
        assert_eq!(condition(&ETagCondition::Any), "*");
        assert_eq!(range_field(RangeSpec::Closed { first: 1, last: 2 }), "bytes=1-2");
        assert_eq!(range_field(RangeSpec::From { first: 1 }), "bytes=1-");
        assert_eq!(range_field(RangeSpec::Suffix { length: 9 }), "bytes=-9");
    }
}
