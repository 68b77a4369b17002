//! What a well-behaved origin answers: validators, conditions and ranges (RFC 9110 §13, §14).

use std::{
    ops::Range,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use weir_benches_content::Content;

use super::{act::Act, request::Request};

/// What is published under one path.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) body: Body,
    pub(super) version: u64,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Content(Content),
    Literal(Bytes),
    Nothing,
}

impl Object {
    /// What the path's name says, if it names content. Fresh for an hour unless told otherwise.
    pub(super) fn of(path: &str) -> Self {
        let body = Content::from_path(path).map_or(Body::Nothing, Body::Content);
        let headers = vec![("cache-control".to_owned(), "public, max-age=3600".to_owned())];
        Self { body, version: 1, headers }
    }
}

/// Status, fields and the place of the body, before anything goes wrong with them.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Source,
    pub(super) range: Range<u64>,
    pub(super) size: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    Content(Content),
    Literal(Bytes),
}

impl Source {
    pub(super) fn bytes(&self, range: Range<u64>) -> Bytes {
        match self {
            Self::Content(content) => content.bytes(range),
            Self::Literal(bytes) => {
                let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
                bytes.slice(start..end)
            }
        }
    }
}

/// The right answer to `request`, but for what `act` ignores or leaves out.
pub(super) fn answer(object: &Object, request: &Request, act: &Act) -> Answer {
    let version = act.version.unwrap_or(object.version);
    let (source, size) = match &object.body {
        Body::Content(content) => (Source::Content(content.at_version(version)), content.size),
        Body::Literal(bytes) => (Source::Literal(bytes.clone()), bytes.len() as u64),
        Body::Nothing => return text(404, "nothing is published here\n"),
    };
    if let Some(status) = act.status {
        let mut plain = text(status, "as the script says\n");
        plain.headers.extend(act.headers.iter().cloned());
        return plain;
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return text(200, &format!("{} of {} bytes\n", request.method, request.body.len()));
    }
    let etag = format!(
        "\"{:x}-v{version}\"",
        match &source {
            Source::Content(content) => content.object,
            Source::Literal(bytes) => bytes.len() as u64,
        }
    );
    // One hour a version, so that dates tell versions apart too.
    let modified = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 3600 * version);
    let modified = httpdate::fmt_http_date(modified);
    let mut headers = object.headers.clone();
    headers.extend(act.headers.iter().cloned());
    if !act.no_validators {
        headers.push(("etag".into(), etag.clone()));
        headers.push(("last-modified".into(), modified.clone()));
    }
    headers.push(("accept-ranges".into(), "bytes".into()));
    let whole = Answer { status: 200, headers, body: source, range: 0..size, size };
    let conditions = if act.ignore_conditions {
        Conditions::Hold
    } else {
        conditions(request, &etag, &modified)
    };
    match conditions {
        Conditions::Status(status) => Answer { status, range: 0..0, ..whole },
        Conditions::WithoutRange => whole,
        Conditions::Hold if act.ignore_range => whole,
        Conditions::Hold => match request.header("range").map(|field| range(field, size)) {
            None | Some(Asked::Ignore) => whole,
            Some(Asked::Unsatisfiable) => {
                let mut answer = text(416, "");
                answer.headers.push(("content-range".into(), format!("bytes */{size}")));
                answer
            }
            Some(Asked::Part(part)) => {
                let field = format!("bytes {}-{}/{size}", part.start, part.end - 1);
                let mut answer = Answer { status: 206, range: part, ..whole };
                answer.headers.push(("content-range".into(), field));
                answer
            }
        },
    }
}

fn text(status: u16, text: &str) -> Answer {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let headers = vec![("content-type".into(), "text/plain".into())];
    let size = body.len() as u64;
    Answer { status, headers, body: Source::Literal(body), range: 0..size, size }
}

enum Conditions {
    Hold,
    Status(u16),
    WithoutRange,
}

/// RFC 9110 §13.2.2, in its order.
fn conditions(request: &Request, etag: &str, modified: &str) -> Conditions {
    let date = |name: &str| request.header(name).and_then(|at| httpdate::parse_http_date(at).ok());
    let last = httpdate::parse_http_date(modified).ok();
    if let Some(list) = request.header("if-match") {
        if !lists(list, etag, false) {
            return Conditions::Status(412);
        }
    } else if let (Some(at), Some(last)) = (date("if-unmodified-since"), last)
        && last > at
    {
        return Conditions::Status(412);
    }
    if let Some(list) = request.header("if-none-match") {
        if lists(list, etag, true) {
            return Conditions::Status(304);
        }
    } else if let (Some(at), Some(last)) = (date("if-modified-since"), last)
        && last <= at
    {
        return Conditions::Status(304);
    }
    match request.header("if-range") {
        Some(validator) if validator != etag && validator != modified => Conditions::WithoutRange,
        _ => Conditions::Hold,
    }
}

fn lists(list: &str, etag: &str, weak: bool) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one == etag || (weak && one.strip_prefix("W/") == Some(etag)))
}

enum Asked {
    Ignore,
    Unsatisfiable,
    Part(Range<u64>),
}

/// A single byte range; anything else is answered with the whole (RFC 9110 §14.2).
fn range(field: &str, size: u64) -> Asked {
    let Some((first, last)) = field.strip_prefix("bytes=").and_then(|spec| spec.split_once('-'))
    else {
        return Asked::Ignore;
    };
    let part = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => return Asked::Ignore,
        (Ok(first), Ok(last)) => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(suffix)) if first.is_empty() => size.saturating_sub(suffix)..size,
        _ => return Asked::Ignore,
    };
    if part.start < part.end { Asked::Part(part) } else { Asked::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(headers: &[(&str, &str)]) -> (u16, Range<u64>) {
        let headers =
            headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let request = Request {
            method: "GET".into(),
            target: "/a-1000.bin".into(),
            headers,
            body: Vec::new(),
        };
        let answer = answer(&Object::of(request.path()), &request, &Act::well());
        (answer.status, answer.range)
    }

    #[test]
    fn conditions_and_ranges_as_rfc_9110() {
        assert_eq!(ask(&[]), (200, 0..1000));
        assert_eq!(ask(&[("range", "bytes=10-19")]), (206, 10..20));
        assert_eq!(ask(&[("Range", "bytes=10-")]), (206, 10..1000));
        assert_eq!(ask(&[("range", "bytes=-10")]), (206, 990..1000));
        assert_eq!(ask(&[("range", "bytes=1000-")]).0, 416);
        assert_eq!(ask(&[("range", "bytes=5-4")]), (200, 0..1000));
        assert_eq!(ask(&[("range", "bytes=0-1,5-6")]), (200, 0..1000));
        assert_eq!(ask(&[("if-none-match", "W/\"a-v1\"")]), (304, 0..0));
        assert_eq!(ask(&[("if-none-match", "\"a-v2\"")]), (200, 0..1000));
        assert_eq!(ask(&[("if-match", "\"a-v2\"")]), (412, 0..0));
        assert_eq!(ask(&[("if-match", "W/\"a-v1\"")]), (412, 0..0), "§13.1.1: strong");
        assert_eq!(ask(&[("if-match", "\"a-v1\""), ("range", "bytes=1-1")]), (206, 1..2));
        assert_eq!(ask(&[("if-range", "\"a-v1\""), ("range", "bytes=1-1")]), (206, 1..2));
        assert_eq!(ask(&[("if-range", "\"a-v9\""), ("range", "bytes=1-1")]), (200, 0..1000));
        assert_eq!(ask(&[("if-modified-since", "Fri, 01 Jan 2027 00:00:00 GMT")]), (304, 0..0));
    }

    #[test]
    fn an_unknown_path_is_not_found() {
        let request = Request {
            method: "GET".into(),
            target: "/film.mpd".into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        assert_eq!(answer(&Object::of("/film.mpd"), &request, &Act::well()).status, 404);
    }
}
