//! Fifth phase: what of an object goes to the client, with which status and fields.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use weir_edge_cache::StoredObject;
use weir_edge_fill::{Found, How, Reader, Tier, upstream::UpstreamResponse};
use weir_edge_freshness::{
    self as freshness, ByteRange, CacheStatus, ContentRange, Forward, Multipart, Precondition,
    Selection,
};
use weir_edge_http::{BodyError, Response, ResponseBody};

use crate::{record::Outcome, refuse::Refusal, service::Service};

/// What a request gets of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Portion {
    /// The client's own copy still holds.
    NotModified,
    Whole,
    Part(ByteRange),
    Parts(Box<Several>),
}

impl Portion {
    /// What is asked for of its bytes, where that is not all.
    pub fn offsets(&self) -> Vec<std::ops::Range<u64>> {
        let ranges = match self {
            Self::NotModified | Self::Whole => &[][..],
            Self::Part(range) => std::slice::from_ref(range),
            Self::Parts(several) => &several.ranges,
        };
        ranges.iter().map(crate::parts::offsets).collect()
    }
}

/// Several ranges, none overlapping another, and what stands between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Several {
    pub ranges: Vec<ByteRange>,
    boundary: String,
    content_type: Option<HeaderValue>,
    size: u64,
}

impl Several {
    pub fn frame(&self) -> Multipart<'_> {
        Multipart {
            boundary: &self.boundary,
            content_type: self.content_type.as_ref(),
            size: self.size,
            ranges: &self.ranges,
        }
    }
}

/// Judges conditions and range (RFC 9110 §13.2.2, §14.2). `size` is none while it is unknown,
/// and then there are no ranges.
pub fn portion(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
    size: Option<u64>,
) -> Result<Portion, Refusal> {
    match freshness::evaluate(method, request, status, stored) {
        Precondition::NotModified => return Ok(Portion::NotModified),
        Precondition::PreconditionFailed => return Err(Refusal::PreconditionFailed),
        Precondition::Pass => {}
    }
    let Some(size) = size else { return Ok(Portion::Whole) };
    // RFC 9110 §14.2: Range means something for GET only.
    let ranged = method == Method::GET && status == StatusCode::OK;
    if !ranged || !freshness::if_range_holds(request, stored) {
        return Ok(Portion::Whole);
    }
    match freshness::select(request, size) {
        Selection::Unsatisfiable => Err(Refusal::Range { size }),
        Selection::Ranges(ranges) => match ranges.as_slice() {
            [range] => Ok(Portion::Part(*range)),
            _ => {
                let content_type = stored.get(header::CONTENT_TYPE).cloned();
                let boundary = boundary();
                Ok(Portion::Parts(Box::new(Several { ranges, boundary, content_type, size })))
            }
        },
        Selection::Whole => Ok(Portion::Whole),
    }
}

/// First and last byte of a `Range` whose ends do not depend on the size, for an object of
/// which nothing is known yet.
pub fn first_range(request: &HeaderMap) -> Option<(u64, Option<u64>)> {
    // No object is this large: offsets come back as they were asked.
    const ANY: u64 = u64::MAX;
    if request.contains_key(header::IF_RANGE) {
        return None;
    }
    let Selection::Ranges(ranges) = freshness::select(request, ANY) else { return None };
    let [range] = ranges.as_slice() else { return None };
    let asked = request.get(header::RANGE)?.as_bytes();
    let suffix = asked.split(|byte| *byte == b'=').nth(1)?.trim_ascii().starts_with(b"-");
    (!suffix).then(|| (range.first, (range.end() < ANY).then_some(range.last)))
}

/// Fields of an answer made of a stored object.
pub fn head(
    service: &Service,
    object: &StoredObject,
    mut stored: HeaderMap,
    portion: &Portion,
    size: Option<u64>,
    age_millis: u64,
) -> Response {
    let mut response = Response::new(ResponseBody::empty());
    let headers = &mut stored;
    // RFC 9111 §4 [reuse.age]
    headers.insert(header::AGE, freshness::age_value(age_millis));
    // RFC 9111 §5.2 [directives.pass]: the stored ones go out, but for what an operator sets.
    service.shape(headers);
    *response.status_mut() = match portion {
        Portion::NotModified => {
            not_modified(headers);
            StatusCode::NOT_MODIFIED
        }
        Portion::Whole => {
            if let Some(size) = size {
                // A 204 has no content, and no length of it (RFC 9110 §8.6).
                if object.status != StatusCode::NO_CONTENT {
                    headers.insert(header::CONTENT_LENGTH, size.into());
                }
                if object.status == StatusCode::OK {
                    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                }
            }
            object.status
        }
        // RFC 9111 §3.3 [partial.marked]
        Portion::Part(range) => {
            let place = ContentRange::Bytes { range: *range, size };
            headers.insert(header::CONTENT_RANGE, place.value());
            headers.insert(header::CONTENT_LENGTH, range.len().into());
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            StatusCode::PARTIAL_CONTENT
        }
        Portion::Parts(several) => {
            let frame = several.frame();
            // RFC 9110 §15.3.7.2: each part tells its own place.
            headers.remove(header::CONTENT_RANGE);
            headers.insert(header::CONTENT_TYPE, frame.content_type());
            headers.insert(header::CONTENT_LENGTH, frame.length().into());
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            StatusCode::PARTIAL_CONTENT
        }
    };
    *response.headers_mut() = stored;
    response
}

/// RFC 9110 §15.4.5: a 304 describes no content.
fn not_modified(headers: &mut HeaderMap) {
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_DISPOSITION,
    ] {
        headers.remove(name);
    }
}

/// What separates the parts of an answer; nobody who wrote the object could know it.
fn boundary() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The body of a reader. A failure in its middle resets the stream.
// RFC 9111 §5.2.2.6 [no-transform]: no byte is ever changed, whatever it says.
pub fn body(reader: Reader, length: Option<u64>) -> ResponseBody {
    use futures::TryStreamExt;
    match reader.into_single() {
        Ok(piece) => ResponseBody::full(piece),
        Err(reader) => {
            let pieces = reader.into_stream().map_err(|error| BodyError(error.to_string()));
            ResponseBody::stream(pieces, length)
        }
    }
}

/// A response that is for this request alone.
pub fn passed(service: &Service, method: &Method, response: UpstreamResponse) -> Response {
    use futures::TryStreamExt;
    let UpstreamResponse { status, mut headers, content_length, body } = response;
    service.shape(&mut headers);
    // Speaks of the origin's own authority (RFC 7838 §3).
    headers.remove(header::ALT_SVC);
    let bodiless = method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if bodiless {
        ResponseBody::empty()
    } else {
        if let Some(length) = content_length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        ResponseBody::stream(body.map_err(|error| BodyError(error.to_string())), content_length)
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// How an answer came to be, for the log, the metrics and `Cache-Status`.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    pub how: How,
    /// Why the upstream was asked, where it was.
    pub fwd: Forward,
    /// What the upstream answered; 0 where it was not asked.
    pub upstream_status: u16,
    /// Where the first byte came from; none for an answer without a body.
    pub tier: Option<Tier>,
    /// A chunk was missing and had to be asked for.
    pub refilled: bool,
}

impl Story {
    /// Of an answer that the cache had.
    pub fn hit() -> Self {
        let (how, fwd) = (How::Hit, Forward::Miss);
        Self { how, fwd, upstream_status: 0, tier: None, refilled: false }
    }

    pub fn of(found: &Found) -> Self {
        let (how, fwd, upstream_status) = (found.how, found.fwd, found.upstream_status());
        Self { how, fwd, upstream_status, tier: None, refilled: false }
    }

    pub fn outcome(&self) -> Outcome {
        match (self.how, self.tier) {
            (How::Hit, _) if self.refilled => Outcome::Miss,
            (How::Hit, Some(Tier::Upstream)) => Outcome::Collapsed,
            (How::Hit, Some(Tier::Disk)) => Outcome::HitDisk,
            (How::Hit, _) => Outcome::HitMem,
            (How::Revalidated, _) => Outcome::Revalidated,
            (How::StaleOnError | How::StaleWhileRevalidate, _) => Outcome::Stale,
            (How::Collapsed { .. }, _) => Outcome::Collapsed,
            (How::Miss { .. } | How::Replaced { .. }, _) => Outcome::Miss,
        }
    }

    /// The member of `Cache-Status` (RFC 9211) for this cache.
    pub fn status(&self, ttl_seconds: i64) -> CacheStatus<'static> {
        let ttl = Some(ttl_seconds);
        let fwd_status = StatusCode::from_u16(self.upstream_status).ok();
        let asked = CacheStatus { fwd: Some(self.fwd), fwd_status, ttl, ..CacheStatus::default() };
        match self.how {
            How::Hit if self.refilled => {
                let fwd = Some(Forward::Partial);
                CacheStatus { fwd, ttl, stored: true, ..CacheStatus::default() }
            }
            How::Hit => {
                let detail = match self.tier {
                    Some(Tier::Disk) => "disk",
                    Some(Tier::Upstream) => "filling",
                    _ => "mem",
                };
                CacheStatus { ttl, detail: Some(detail), ..CacheStatus::default() }
            }
            // Nobody waited for the upstream, so it is a hit, stale as its ttl says.
            How::StaleWhileRevalidate => {
                let detail = Some("stale-while-revalidate");
                CacheStatus { ttl, detail, ..CacheStatus::default() }
            }
            // RFC 9211 §2.1: what went upstream is no hit, whatever came of it.
            How::StaleOnError => CacheStatus { detail: Some("stale-if-error"), ..asked },
            How::Revalidated => asked,
            How::Replaced { .. } | How::Miss { .. } => CacheStatus { stored: true, ..asked },
            How::Collapsed { .. } => CacheStatus { collapsed: Some(true), ..asked },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::first_range;

    #[test]
    fn ranges_of_unknown_objects() {
        let check = |range: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(range));
            assert_eq!(first_range(&headers), expected, "{range}");
        };
        check("bytes=5-9", Some((5, Some(9))));
        check("bytes=5-", Some((5, None)));
        check("bytes=-9", None);
        check("bytes=1-2,4-5", None);
        check("lines=1-2", None);
        check("bytes=9-5", None);
        check("bytes=0-99999999999999999999999", Some((0, None)));
    }
}
