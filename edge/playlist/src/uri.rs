//! References and what they mean beside a base: RFC 3986 §5.2. By the letter: nothing is
//! decoded, encoded or put into another case, so that a URL means to the cache what a player
//! would ask for.

use crate::listing::{Why, is_sound};

/// The parts of RFC 3986 §3, each as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

/// RFC 3986 appendix B, without the fragment, which is the client's own.
fn split(text: &str) -> Parts<'_> {
    let text = text.split('#').next().unwrap_or_default();
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, text),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority), path)
        }
        None => (None, rest),
    };
    Parts { scheme, authority, path, query }
}

fn is_scheme(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(rest)
}

/// The reference as an absolute URL (RFC 3986 §5.2.2), without its fragment.
pub fn resolve(base: &str, reference: &str) -> String {
    let (base, reference) = (split(base), split(reference));
    let Parts { scheme, authority, path, query } = reference;
    let target = if scheme.is_some() {
        Parts { scheme, authority, path, query }
    } else if authority.is_some() {
        Parts { scheme: base.scheme, ..reference }
    } else if path.is_empty() {
        Parts { query: query.or(base.query), ..base }
    } else {
        Parts { scheme: base.scheme, authority: base.authority, path, query }
    };
    let inherits = scheme.is_none() && authority.is_none();
    let path = match path {
        "" if inherits => base.path.to_owned(),
        _ if inherits && !path.starts_with('/') => without_dots(&merged(&base, path)),
        _ => without_dots(path),
    };
    let mut out = String::with_capacity(path.len() + 64);
    if let Some(scheme) = target.scheme {
        out.push_str(scheme);
        out.push(':');
    }
    if let Some(authority) = target.authority {
        out.push_str("//");
        out.push_str(authority);
    }
    out.push_str(&path);
    if let Some(query) = target.query {
        out.push('?');
        out.push_str(query);
    }
    out
}

/// The same where a cache can fetch it.
pub(crate) fn absolute(base: &str, reference: &str) -> Result<String, Why> {
    let reference = reference.trim_matches([' ', '\t']);
    if let Some(scheme) = split(reference).scheme
        && !is_http(scheme)
    {
        return Err(Why::Scheme);
    }
    let reference = reference.split('#').next().unwrap_or_default();
    if !is_sound(reference) {
        return Err(Why::NoUrl);
    }
    let url = resolve(base, reference);
    let parts = split(&url);
    let http = parts.scheme.is_some_and(is_http);
    let host = parts.authority.is_some_and(|authority| !authority.is_empty());
    match is_sound(&url) && host {
        true if http => Ok(url),
        true => Err(Why::Scheme),
        false => Err(Why::NoUrl),
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// RFC 3986 §5.2.3.
fn merged(base: &Parts<'_>, path: &str) -> String {
    if base.authority.is_some() && base.path.is_empty() {
        return format!("/{path}");
    }
    let folder = base.path.rfind('/').map_or("", |at| &base.path[..=at]);
    format!("{folder}{path}")
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    let mut segments = path.split('/').skip(usize::from(absolute)).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.pop();
                }
                if last {
                    out.push("");
                }
            }
            _ => out.push(segment),
        }
    }
    format!("{}{}", if absolute { "/" } else { "" }, out.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3986 §5.4.
    #[test]
    fn references() {
        let check = |reference: &str, expected: &str| {
            assert_eq!(resolve("http://a/b/c/d;p?q", reference), expected, "{reference}");
        };
        check("g:h", "g:h");
        check("g", "http://a/b/c/g");
        check("./g", "http://a/b/c/g");
        check("g/", "http://a/b/c/g/");
        check("/g", "http://a/g");
        check("//g", "http://g");
        check("?y", "http://a/b/c/d;p?y");
        check("g?y", "http://a/b/c/g?y");
        check("#s", "http://a/b/c/d;p?q");
        check("g#s", "http://a/b/c/g");
        check(";x", "http://a/b/c/;x");
        check("g;x?y#s", "http://a/b/c/g;x?y");
        check("", "http://a/b/c/d;p?q");
        check(".", "http://a/b/c/");
        check("./", "http://a/b/c/");
        check("..", "http://a/b/");
        check("../", "http://a/b/");
        check("../g", "http://a/b/g");
        check("../..", "http://a/");
        check("../../", "http://a/");
        check("../../g", "http://a/g");
        check("../../../g", "http://a/g");
        check("../../../../g", "http://a/g");
        check("/./g", "http://a/g");
        check("/../g", "http://a/g");
        check("g.", "http://a/b/c/g.");
        check(".g", "http://a/b/c/.g");
        check("g..", "http://a/b/c/g..");
        check("./../g", "http://a/b/g");
        check("./g/.", "http://a/b/c/g/");
        check("g/./h", "http://a/b/c/g/h");
        check("g/../h", "http://a/b/c/h");
        check("g;x=1/../y", "http://a/b/c/y");
        check("g?y/../x", "http://a/b/c/g?y/../x");
        check("http:g", "http:g");
    }

    #[test]
    fn what_a_cache_can_fetch() {
        let check = |reference: &str, expected: Result<&str, Why>| {
            let found = absolute("https://h/t/tok/vod/a/master.m3u8", reference);
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{reference}");
        };
        check("v1/seg.m4s", Ok("https://h/t/tok/vod/a/v1/seg.m4s"));
        check(" v1/seg.m4s\t", Ok("https://h/t/tok/vod/a/v1/seg.m4s"));
        check("//o/x", Ok("https://o/x"));
        check("HTTP://o/x#t=1", Ok("HTTP://o/x"));
        check("a%2fb?c=d", Ok("https://h/t/tok/vod/a/a%2fb?c=d"));
        check("data:text/plain,a", Err(Why::Scheme));
        check("skd://key", Err(Why::Scheme));
        check("a b", Err(Why::NoUrl));
        check("a\u{1b}[2J", Err(Why::NoUrl));
        check("ä", Err(Why::NoUrl));
        check("", Err(Why::NoUrl));
        check("#only", Err(Why::NoUrl));
        check("https:///x", Err(Why::NoUrl));
        check("http:g", Err(Why::NoUrl));
        check(&"a".repeat(9000), Err(Why::NoUrl));
    }
}
