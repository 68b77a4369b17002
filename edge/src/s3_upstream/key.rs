//! Which object a path names.

use weir_origin_store::rules::check_key;

/// The key: what follows the first slash, decoded once. None where that can be no key.
pub(super) fn of_path(path: &str) -> Option<String> {
    let key = decoded(path.strip_prefix('/')?)?;
    // A server between us and the objects may resolve such segments, and then the key would
    // lead out of the bucket; nor does any object of ours have such a name.
    let walks = key.split('/').any(|segment| matches!(segment, "." | ".."));
    let control = key.bytes().any(|byte| byte.is_ascii_control());
    (!walks && !control && check_key(&key).is_ok()).then_some(key)
}

/// RFC 3986 §2.1. None where a `%` begins no escape, or the bytes are no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        bytes.push(digit(high)? << 4 | digit(low)?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let check = |path: &str, key: Option<&str>| {
            assert_eq!(of_path(path).as_deref(), key, "{path}");
        };
        check("/film/v1/seg-1.m4s", Some("film/v1/seg-1.m4s"));
        check("/a%20b/%C3%A9+c", Some("a b/é+c"));
        check("/a%2Fb%25", Some("a/b%"));
        check("/a//b/", Some("a//b/"));
        check("/...", Some("..."));
        // Decoded once, not again.
        check("/%252e%252e/x", Some("%2e%2e/x"));
        check("/", None);
        check("", None);
        check("film", None);
        check("/%ff", None);
        check("/%f", None);
        check("/%", None);
        check("/%zz", None);
        check("/%+1", None);
        check("/a%00b", None);
        check("/a%0d%0ab", None);
        check("/../other-bucket/x", None);
        check("/a/%2e%2E/x", None);
        check("/a%2f..%2fx", None);
        check("/./x", None);
        check(&format!("/{}", "k".repeat(1025)), None);
    }
}
