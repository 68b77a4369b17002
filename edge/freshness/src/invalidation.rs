//! What an unsafe request makes invalid (RFC 9111 §4.4).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// Whether an answer to `method` makes the stored responses of its URI invalid. Methods that
/// nobody here knows are taken for unsafe; an error changed nothing.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    // RFC 9110 §9.2.1
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    // RFC 9111 §4.4 [unsafe.nonerror]: 2xx and 3xx.
    !safe && (status.is_success() || status.is_redirection())
}

/// RFC 9111 §4.4 [unsafe.location]: further paths with queries, on the same origin, that such an
/// answer makes invalid: those of
/// `Location` and `Content-Location`. `scheme`, `authority` and `path_and_query` are the
/// request's own. What leads to another origin is left out.
pub fn also_invalid(
    scheme: &str,
    authority: &str,
    path_and_query: &str,
    response: &HeaderMap,
) -> Vec<String> {
    let base = Base { scheme, authority, path_and_query };
    let mut paths: Vec<String> = Vec::new();
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let value = response.get(name).map(HeaderValue::as_bytes);
        let reference = value.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Some(path) = reference.and_then(|reference| base.resolve(reference.trim())) else {
            continue;
        };
        if path != path_and_query && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// Whether two authorities of a scheme are the same host and port.
fn same_authority(scheme: &str, one: &str, other: &str) -> bool {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |authority: &str| {
        let lower = authority.to_ascii_lowercase();
        lower.strip_suffix(port).map_or(lower.clone(), str::to_owned)
    };
    bare(one) == bare(other)
}

/// The URI that references are relative to.
struct Base<'a> {
    scheme: &'a str,
    authority: &'a str,
    path_and_query: &'a str,
}

impl Base<'_> {
    /// Path and query of a reference (RFC 3986 §5.2) on this origin; none on another one.
    fn resolve(&self, reference: &str) -> Option<String> {
        let reference = reference.split('#').next().unwrap_or_default();
        let (after_scheme, has_scheme) = match scheme(reference) {
            Some(scheme) if scheme.eq_ignore_ascii_case(self.scheme) => {
                (&reference[scheme.len() + 1..], true)
            }
            Some(_) => return None,
            None => (reference, false),
        };
        if let Some(rest) = after_scheme.strip_prefix("//") {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            // RFC 9111 §4.4 [unsafe.other-origin]: nobody empties another's cache.
            if !same_authority(self.scheme, authority, self.authority) {
                return None;
            }
            let (path, query) = split_query(path);
            return Some(format!("{}{query}", without_dots(path)));
        }
        if has_scheme {
            // `http:path` names no origin of its own; nobody means that.
            return None;
        }
        let (own_path, own_query) = split_query(self.path_and_query);
        let (path, query) = split_query(after_scheme);
        Some(match (path, query) {
            ("", "") => format!("{own_path}{own_query}"),
            ("", query) => format!("{own_path}{query}"),
            (path, query) if path.starts_with('/') => format!("{}{query}", without_dots(path)),
            (path, query) => {
                let directory = own_path.rfind('/').map_or("/", |slash| &own_path[..=slash]);
                format!("{}{query}", without_dots(&format!("{directory}{path}")))
            }
        })
    }
}

/// The scheme that a reference begins with (RFC 3986 §3.1).
fn scheme(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let begins = scheme.starts_with(|char: char| char.is_ascii_alphabetic());
    let rest = |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.');
    (begins && scheme.chars().all(rest)).then_some(scheme)
}

/// The path, and the query with its question mark.
fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

/// RFC 3986 §5.2.4, for a path that begins with a slash or is empty.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}
