//! Rules that every adapter of the port shares, as pure functions: names, ranges, conditions.

use std::{ops::Range, time::SystemTime};

use crate::port::{Conditions, ETag, ETagCondition, RangeSpec, StoreError};

/// Longest key in bytes, as S3 has it.
pub const MAX_KEY_BYTES: usize = 1024;

impl RangeSpec {
    /// The bytes this range means in an object of `size` bytes; none where it holds not one
    /// of them (RFC 9110 §14.1.2).
    pub fn resolve(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::Closed { first, last } if first <= last && first < size => {
                Some(first..last.saturating_add(1).min(size))
            }
            Self::From { first } if first < size => Some(first..size),
            Self::Suffix { length } if length > 0 && size > 0 => {
                Some(size.saturating_sub(length)..size)
            }
            _ => None,
        }
    }
}

impl ETagCondition {
    /// Reads the value of a field (RFC 9110 §8.8.3, §13.1). With `strong` comparison weak
    /// tags never match, so they are left out. Unquoted tags pass: S3 clients send them.
    pub fn parse(value: &str, strong: bool) -> Self {
        if value.trim() == "*" {
            return Self::Any;
        }
        let tags = value.split(',').filter_map(|tag| {
            let tag = tag.trim();
            let (weak, tag) = tag.strip_prefix("W/").map_or((false, tag), |tag| (true, tag));
            let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
            (!(tag.is_empty() || weak && strong)).then(|| ETag(tag.to_owned()))
        });
        Self::OneOf(tags.collect())
    }

    /// Whether an existing object with `etag` meets it.
    pub fn matches(&self, etag: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.contains(etag),
        }
    }
}

impl Conditions {
    /// Whether an existing object may be read, in the order of RFC 9110 §13.2.2.
    pub fn check(&self, key: &str, etag: &ETag, modified: SystemTime) -> Result<(), StoreError> {
        let failed = || Err(StoreError::PreconditionFailed { key: key.to_owned() });
        let unchanged =
            || Err(StoreError::NotModified { key: key.to_owned(), etag: Some(etag.clone()) });
        match (&self.if_match, self.if_unmodified_since) {
            (Some(condition), _) if !condition.matches(etag) => return failed(),
            (None, Some(since)) if modified > since => return failed(),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(condition), _) if condition.matches(etag) => unchanged(),
            (None, Some(since)) if modified <= since => unchanged(),
            _ => Ok(()),
        }
    }
}

/// Whether `key` can name an object, for reading as for writing.
///
/// S3 itself takes `.` and `..` between slashes as names like any others. Here they are refused:
/// whatever stands between a client and a store (URL libraries, proxies, caches) may take such
/// segments out (RFC 3986 §5.2.4), and then two parties speak of two objects (decision 0017).
pub fn check_key(key: &str) -> Result<(), StoreError> {
    let problem = if key.is_empty() {
        "a key has at least one byte"
    } else if key.len() > MAX_KEY_BYTES {
        "a key has at most 1024 bytes"
    } else if key.split('/').any(|segment| matches!(segment, "." | "..")) {
        "no segment of a key is '.' or '..', because paths that climb mean other objects to others"
    } else {
        return Ok(());
    };
    Err(StoreError::BadName(abridged(key), problem))
}

/// Whether `bucket` can name a bucket: 3 to 63 of `a-z`, `0-9`, `-` and `.`, with a letter or
/// digit at both ends and no two dots in a row.
pub fn check_bucket(bucket: &str) -> Result<(), StoreError> {
    let problem = if !(3..=63).contains(&bucket.len()) {
        "a bucket's name has 3 to 63 characters"
    } else if !bucket
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    {
        "a bucket's name is made of a-z, 0-9, '-' and '.'"
    } else if bucket.starts_with(['-', '.']) || bucket.ends_with(['-', '.']) {
        "a bucket's name begins and ends with a letter or digit"
    } else if bucket.contains("..") {
        "a bucket's name has no two dots in a row"
    } else {
        return Ok(());
    };
    Err(StoreError::BadName(abridged(bucket), problem))
}

/// A name as an error may show it.
fn abridged(name: &str) -> String {
    const SHOWN: usize = 64;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ranges_resolve_as_rfc_9110_14_1_2() {
        let check = |range: RangeSpec, size: u64, expected: Option<Range<u64>>| {
            assert_eq!(range.resolve(size), expected, "{range:?} of {size}");
        };
        check(RangeSpec::Closed { first: 0, last: 0 }, 10, Some(0..1));
        check(RangeSpec::Closed { first: 9, last: 99 }, 10, Some(9..10));
        check(RangeSpec::Closed { first: 10, last: 11 }, 10, None);
        check(RangeSpec::Closed { first: 3, last: 2 }, 10, None);
        check(RangeSpec::Closed { first: 0, last: u64::MAX }, 10, Some(0..10));
        check(RangeSpec::From { first: 4 }, 10, Some(4..10));
        check(RangeSpec::From { first: 10 }, 10, None);
        check(RangeSpec::Suffix { length: 3 }, 10, Some(7..10));
        check(RangeSpec::Suffix { length: 30 }, 10, Some(0..10));
        check(RangeSpec::Suffix { length: 0 }, 10, None);
        check(RangeSpec::Suffix { length: 1 }, 0, None);
        check(RangeSpec::From { first: 0 }, 0, None);
    }

    #[test]
    fn tags_parse_as_rfc_9110_13_1() {
        fn check(value: &str, strong: bool, expected: Option<&[&str]>) {
            let expected = expected.map_or(ETagCondition::Any, |tags| {
                ETagCondition::OneOf(tags.iter().map(|tag| ETag((*tag).to_owned())).collect())
            });
            assert_eq!(ETagCondition::parse(value, strong), expected, "{value}");
        }
        check("*", true, None);
        check(" * ", false, None);
        check("\"a\"", true, Some(&["a"]));
        check("a", true, Some(&["a"]));
        check("\"a\", W/\"b\"", false, Some(&["a", "b"]));
        check("\"a\", W/\"b\"", true, Some(&["a"]));
        check("", true, Some(&[]));
        check("\"", true, Some(&["\""]));
    }

    #[test]
    fn conditions_hold_in_the_order_of_rfc_9110_13_2_2() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let tag = |tag: &str| Some(ETagCondition::parse(tag, true));
        let check = |conditions: Conditions, expected: &str| {
            let outcome = match conditions.check("k", &ETag("e".into()), modified) {
                Ok(()) => "read",
                Err(StoreError::PreconditionFailed { .. }) => "412",
                Err(StoreError::NotModified { .. }) => "304",
                Err(_) => "else",
            };
            assert_eq!(outcome, expected, "{conditions:?}");
        };
        let none = Conditions::default();
        check(none.clone(), "read");
        check(Conditions { if_match: tag("\"e\""), ..none.clone() }, "read");
        check(Conditions { if_match: tag("\"x\""), ..none.clone() }, "412");
        check(Conditions { if_match: tag("*"), ..none.clone() }, "read");
        check(Conditions { if_none_match: tag("\"e\""), ..none.clone() }, "304");
        check(Conditions { if_none_match: tag("\"x\""), ..none.clone() }, "read");
        check(Conditions { if_none_match: tag("*"), ..none.clone() }, "304");
        check(Conditions { if_modified_since: at(100), ..none.clone() }, "304");
        check(Conditions { if_modified_since: at(99), ..none.clone() }, "read");
        check(Conditions { if_unmodified_since: at(100), ..none.clone() }, "read");
        check(Conditions { if_unmodified_since: at(99), ..none.clone() }, "412");
        // A tag that holds makes the time beside it void.
        check(
            Conditions { if_match: tag("\"e\""), if_unmodified_since: at(1), ..none.clone() },
            "read",
        );
        check(
            Conditions { if_none_match: tag("\"x\""), if_modified_since: at(200), ..none.clone() },
            "read",
        );
        check(Conditions { if_match: tag("\"x\""), if_none_match: tag("\"e\""), ..none }, "412");
    }

    #[test]
    fn names() {
        fn check(bucket: &str, good: bool) {
            assert_eq!(check_bucket(bucket).is_ok(), good, "{bucket}");
        }
        check("films", true);
        check("a.b-c", true);
        check("ab", false);
        check("..", false);
        check("a..b", false);
        check("-ab", false);
        check("abc.", false);
        check("Films", false);
        check("a/b", false);
        check(&"a".repeat(64), false);
    }

    #[test]
    fn keys() {
        fn check(key: &str, expected: Option<&str>) {
            let problem = match check_key(key) {
                Ok(()) => None,
                Err(StoreError::BadName(_, problem)) => Some(problem),
                Err(error) => panic!("{key}: {error}"),
            };
            let agree = match (problem, expected) {
                (Some(problem), Some(expected)) => problem.contains(expected),
                (problem, expected) => problem == expected,
            };
            assert!(agree, "{key}: {problem:?}, expected {expected:?}");
        }
        check("", Some("at least one byte"));
        check(&"k".repeat(1024), None);
        check(&"é".repeat(513), Some("at most 1024"));
        for climbs in [".", "..", "./", "../", "/..", "a/..", "a/./b", "a/../b", "../../etc/passwd"]
        {
            check(climbs, Some("'.' or '..'"));
        }
        // Dots that are part of a name, slashes that are doubled, and what only looks encoded.
        for plain in ["...", "a..b", ".hidden", "a/..b", "a/b..", "a//b", "/a", "%2e%2e/a", "..\\a"]
        {
            check(plain, None);
        }
    }
}
