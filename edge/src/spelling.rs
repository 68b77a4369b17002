//! One spelling for URIs that are equivalent (RFC 9110 §4.2.3), for the keys of proxies: what is
//! purged under one of them is gone under all. The upstream is asked in the client's own words.

use std::borrow::Cow;

/// A lower-case authority without the ports that http and https have anyhow, and without the dot
/// that ends a full host name.
pub(crate) fn authority(text: &str) -> Cow<'_, str> {
    let port = text.rfind(':').filter(|at| !text[*at..].contains(']'));
    let (host, port) = port.map_or((text, ""), |at| text.split_at(at));
    let port = if matches!(port, ":80" | ":443" | ":") { "" } else { port };
    let host = host.strip_suffix('.').unwrap_or(host);
    match port {
        "" => Cow::Borrowed(host),
        _ if host.len() + port.len() == text.len() => Cow::Borrowed(text),
        _ => Cow::Owned(format!("{host}{port}")),
    }
}

/// A path or query in which nothing is encoded that need not be, and the rest in capitals
/// (RFC 3986 §6.2.2). Dots stay as they are: a segment of dots is one that means something.
pub(crate) fn encoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, code) = rest.split_at(at);
        spelled.push_str(before);
        let hex = code.get(1..3).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(hex) = hex else {
            spelled.push('%');
            rest = &code[1..];
            continue;
        };
        match u8::from_str_radix(hex, 16) {
            Ok(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') => {
                spelled.push(char::from(byte));
            }
            _ => {
                spelled.push('%');
                spelled.push_str(&hex.to_ascii_uppercase());
            }
        }
        rest = &code[3..];
    }
    spelled.push_str(rest);
    Cow::Owned(spelled)
}

#[cfg(test)]
mod tests {
    #[test]
    fn authorities() {
        let check = |text: &str, expected: &str| assert_eq!(super::authority(text), expected);
        check("t", "t");
        check("t:80", "t");
        check("t:443", "t");
        check("t:", "t");
        check("t.", "t");
        check("t.:80", "t");
        check("t.:8080", "t:8080");
        check("t:8080", "t:8080");
        check("[::1]", "[::1]");
        check("[::1]:80", "[::1]");
        check("[::1]:8080", "[::1]:8080");
        check("", "");
    }

    #[test]
    fn encodings() {
        let check = |text: &str, expected: &str| assert_eq!(super::encoded(text), expected);
        check("/a/b", "/a/b");
        check("/%61/%7Eb", "/a/~b");
        check("/%2f%3a", "/%2F%3A");
        check("/%2e%2e/a", "/%2E%2E/a");
        check("/%2561", "/%2561");
        check("/%", "/%");
        check("/%4", "/%4");
        check("/%zz%41", "/%zzA");
        check("/%é%41", "/%éA");
        check("%", "%");
    }
}
