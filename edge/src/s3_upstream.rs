//! An object store as an upstream: paths become keys, header fields become conditions, and
//! what the store says becomes HTTP. What a store says of an object is an answer; what it
//! says of itself is a failure, so that another upstream is asked.

mod fields;
mod key;

use std::{fmt, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::timeout;
use weir_edge_fill::upstream::{
    DownBody, Phase, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse,
};
use weir_edge_freshness::ContentRange;
use weir_origin_store::{Object, ObjectBody, ObjectStore, StoreError};

/// One bucket.
pub struct S3Upstream {
    id: Arc<str>,
    store: Arc<dyn ObjectStore>,
    bucket: String,
}

impl fmt::Debug for S3Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Upstream").field("id", &self.id).field("bucket", &self.bucket).finish()
    }
}

impl S3Upstream {
    /// The upstream `id` on one bucket of `store`.
    pub fn new(id: &str, store: Arc<dyn ObjectStore>, bucket: &str) -> Self {
        Self { id: id.into(), store, bucket: bucket.into() }
    }

    async fn ask(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let path = request.path_and_query.split('?').next().unwrap_or_default();
        let Some(key) = key::of_path(path) else {
            return Ok(bare(StatusCode::NOT_FOUND));
        };
        let after = request.deadline;
        let asked = async {
            match request.method {
                Method::GET => self.get(&key, &request.headers, after).await,
                Method::HEAD => self.head(&key, &request.headers).await,
                _ => {
                    // RFC 9110 §15.5.6.
                    let mut response = bare(StatusCode::METHOD_NOT_ALLOWED);
                    let allowed = HeaderValue::from_static("GET, HEAD");
                    response.headers.insert(header::ALLOW, allowed);
                    Ok(response)
                }
            }
        };
        match timeout(after, asked).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => self.about(error),
            Err(_) => Err(self.silent(Phase::Headers, after)),
        }
    }

    async fn get(
        &self,
        key: &str,
        asked: &HeaderMap,
        gap: Duration,
    ) -> Result<UpstreamResponse, StoreError> {
        let range = fields::range(asked);
        let conditions = fields::conditions(asked);
        let object = self.store.get(&self.bucket, key, range, conditions).await?;
        let Object { meta, range: held, body } = object;
        let length = held.end - held.start;
        let mut headers = fields::of_object(&meta, length);
        let mut status = StatusCode::OK;
        // A store that knows no ranges hands out everything, and then that is what it is.
        if range.and_then(|range| range.resolve(meta.size)).as_ref() == Some(&held) {
            let place = format!("bytes {}-{}/{}", held.start, held.end - 1, meta.size);
            let place = HeaderValue::from_str(&place).expect("digits, '-' and '/' are a value");
            headers.insert(header::CONTENT_RANGE, place);
            status = StatusCode::PARTIAL_CONTENT;
        }
        let body = self.down(body, gap);
        Ok(UpstreamResponse { status, headers, content_length: Some(length), body })
    }

    async fn head(&self, key: &str, asked: &HeaderMap) -> Result<UpstreamResponse, StoreError> {
        let meta = self.store.head(&self.bucket, key, fields::conditions(asked)).await?;
        let headers = fields::of_object(&meta, meta.size);
        Ok(UpstreamResponse { headers, ..bare(StatusCode::OK) })
    }

    /// The bytes, with `gap` as the longest wait for each piece.
    fn down(&self, body: ObjectBody, gap: Duration) -> DownBody {
        let id = self.id.clone();
        let begun: Option<BoxStream<'static, _>> = Some(body);
        stream::unfold(begun, move |body| {
            let id = id.clone();
            async move {
                let mut body = body?;
                match timeout(gap, body.next()).await {
                    Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
                    Ok(Some(Err(error))) => Some((Err(failure(&id, Phase::Body, &error)), None)),
                    Ok(None) => None,
                    Err(_) => {
                        let upstream = id.to_string();
                        let (phase, after) = (Phase::Body, gap);
                        Some((Err(UpstreamError::Silent { upstream, phase, after }), None))
                    }
                }
            }
        })
        .boxed()
    }

    fn silent(&self, phase: Phase, after: Duration) -> UpstreamError {
        UpstreamError::Silent { upstream: self.id.to_string(), phase, after }
    }

    fn about(&self, error: StoreError) -> Result<UpstreamResponse, UpstreamError> {
        let (status, told) = match error {
            StoreError::NotFound { .. } | StoreError::NoBucket(_) | StoreError::BadName(..) => {
                (StatusCode::NOT_FOUND, None)
            }
            StoreError::NotModified { etag, .. } => {
                let tag = etag.as_ref().and_then(fields::quoted);
                (StatusCode::NOT_MODIFIED, tag.map(|tag| (header::ETAG, tag)))
            }
            StoreError::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, None),
            StoreError::RangeNotSatisfiable { size, .. } => {
                let place = ContentRange::Unsatisfied { size }.value();
                (StatusCode::RANGE_NOT_SATISFIABLE, Some((header::CONTENT_RANGE, place)))
            }
            error => return Err(failure(&self.id, Phase::Headers, &error)),
        };
        let mut response = bare(status);
        response.headers.extend(told);
        Ok(response)
    }
}

impl Upstream for S3Upstream {
    fn id(&self) -> &str {
        &self.id
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(request).boxed()
    }
}

fn failure(id: &str, phase: Phase, error: &StoreError) -> UpstreamError {
    let upstream = id.to_owned();
    match error {
        StoreError::Silent(after) => UpstreamError::Silent { upstream, phase, after: *after },
        StoreError::Unreachable(reason) => {
            UpstreamError::Connect { upstream, reason: reason.clone() }
        }
        StoreError::Truncated { got, expected, reason } => UpstreamError::Truncated {
            upstream,
            got: *got,
            expected: Some(*expected),
            reason: reason.clone(),
        },
        // What came with it must not be kept.
        StoreError::Untrusted(reason) => {
            UpstreamError::Protocol { upstream, reason: reason.clone() }
        }
        StoreError::Corrupt { .. } => {
            UpstreamError::Protocol { upstream, reason: error.to_string() }
        }
        // Our credentials are wrong, its disk is broken, it is overloaded: another may do. A
        // refusal is not passed on as 403: it is about the edge, not about its client.
        error => UpstreamError::Refused { upstream, reason: error.to_string() },
    }
}

/// An answer without a body.
fn bare(status: StatusCode) -> UpstreamResponse {
    UpstreamResponse {
        status,
        headers: HeaderMap::new(),
        content_length: Some(0),
        body: stream::empty().boxed(),
    }
}

#[cfg(test)]
mod tests;
