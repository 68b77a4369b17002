//! What a successful unsafe request makes invalid besides its own URL (RFC 9111 §4.4).

use http::{HeaderMap, Uri, header, uri::Authority};

/// The URIs that `Location` and `Content-Location` of a response name, where they are of the
/// same origin as the request's: path and query. Others' must not be touched (§4.4), since
/// anybody could empty anybody's cache.
pub fn named(scheme: &str, authority: &str, base: &Uri, response: &HeaderMap) -> Vec<Uri> {
    let of = |name| response.get(name)?.to_str().ok();
    let texts = [of(header::LOCATION), of(header::CONTENT_LOCATION)];
    let targets = texts.into_iter().flatten();
    targets.filter_map(|text| resolve(scheme, authority, base, text.trim())).collect()
}

/// RFC 3986 §5.2, for references that stay with the origin. `None` for all others, and for what
/// is no reference.
fn resolve(scheme: &str, authority: &str, base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let rest = match reference.split_once("://") {
        Some((its, rest)) if !its.contains(['/', '?']) => {
            if !its.eq_ignore_ascii_case(scheme) {
                return None;
            }
            Some(rest)
        }
        _ => reference.strip_prefix("//"),
    };
    let path = match rest {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            if !same(scheme, authority, &rest[..end]) {
                return None;
            }
            match &rest[end..] {
                "" => "/".to_owned(),
                query if query.starts_with('?') => format!("/{query}"),
                path => path.to_owned(),
            }
        }
        None if reference.is_empty() => base.path_and_query()?.as_str().to_owned(),
        None if reference.starts_with('/') => reference.to_owned(),
        None if reference.starts_with('?') => format!("{}{reference}", base.path()),
        None => {
            // §4.2: a colon in the first segment makes it a scheme that is not ours.
            if reference.split(['/', '?']).next()?.contains(':') {
                return None;
            }
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{reference}")
        }
    };
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path.to_owned(), format!("?{query}")),
        None => (path, String::new()),
    };
    format!("{}{query}", without_dots(&path)).parse().ok()
}

/// Whether both name one server: the default port may be left out.
fn same(scheme: &str, ours: &str, theirs: &str) -> bool {
    let port = if scheme == "https" { 443 } else { 80 };
    let read = |text: &str| -> Option<(String, u16)> {
        let authority: Authority = text.parse().ok()?;
        Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(port)))
    };
    read(ours).is_some_and(|ours| read(theirs) == Some(ours))
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::named;

    /// RFC 9111 §4.4.
    #[test]
    fn only_the_same_origin() {
        let check = |reference: &str, expected: &[&str]| {
            let mut response = HeaderMap::new();
            response.insert(header::LOCATION, reference.parse().unwrap());
            let base = "/a/b?q".parse().unwrap();
            let found = named("https", "cdn.example:8443", &base, &response);
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{reference}");
        };
        check("/c", &["/c"]);
        check("c", &["/a/c"]);
        check("c?x=1#y", &["/a/c?x=1"]);
        check("?x", &["/a/b?x"]);
        check("", &["/a/b?q"]);
        check("#y", &["/a/b?q"]);
        check("../c/./d", &["/c/d"]);
        check("../../..", &["/"]);
        check("/x/..", &["/"]);
        check("/c?u=http://other.example/", &["/c?u=http://other.example/"]);
        check("https://cdn.example:8443/c", &["/c"]);
        check("HTTPS://CDN.example:8443", &["/"]);
        check("//cdn.example:8443?x", &["/?x"]);
        check("http://cdn.example:8443/c", &[]);
        check("https://cdn.example/c", &[]);
        check("https://other.example:8443/c", &[]);
        check("//other.example/c", &[]);
        check("mailto:a@b", &[]);
        check("data:text/plain,x", &[]);
    }

    #[test]
    fn both_fields_and_default_ports() {
        let mut response = HeaderMap::new();
        response.insert(header::LOCATION, "http://a.example:80/1".parse().unwrap());
        response.insert(header::CONTENT_LOCATION, "2".parse().unwrap());
        let found = named("http", "a.example", &"/".parse().unwrap(), &response);
        assert_eq!(found, ["/1", "/2"]);
    }
}
