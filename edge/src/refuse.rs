//! Answers that are not an object: what was wrong, whose fault it is and what to do, with
//! the cross-origin fields a browser needs to show it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use weir_edge_fill::upstream::UpstreamError;
use weir_edge_freshness::{CacheStatus, Forward};
use weir_edge_http::{Response, ResponseBody};
use weir_edge_token::{PathError, Reject};

use crate::load::Shed;

/// Why a request gets no object.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    #[error("no service here answers for host {host:?} and this path")]
    NoService { host: String },
    #[error("not a path of this service: {0}")]
    BadPath(PathError),
    #[error(
        "the path can be read in more than one way; write it without needless encodings and doubled slashes"
    )]
    Ambiguous,
    #[error("this service does not offer that method")]
    Method,
    #[error("a token is needed: ask the service that gave you this link for a new one")]
    TokenMissing,
    #[error("the token is not good here: {0}")]
    Token(Reject),
    #[error("a condition of the request does not hold")]
    PreconditionFailed,
    #[error("the range lies outside the {size} bytes of this object")]
    Range { size: u64 },
    #[error("it is not in the cache, and only-if-cached forbids to fetch it")]
    OnlyIfCached,
    #[error("the body of the request broke off or cannot be read: {0}")]
    Body(String),
    #[error("this server fetches as much at once as it may; ask again in a moment")]
    Busy,
    #[error("this server has more to do than it can; ask again in {} s", .0.after().as_secs())]
    Shed(Shed),
    #[error("{}", in_words(.0))]
    Upstream(#[source] UpstreamError),
}

fn in_words(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Withheld { .. } => {
            "the origin was in trouble and was not asked now, so that it may recover; ask again in \
             a moment"
        }
        _ => "the origin gave no usable answer",
    }
}

/// Whose fault a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Client,
    Upstream,
    /// Ours: too much to do.
    Server,
}

impl Fault {
    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Server => "server",
        }
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::ClientBody { reason } => Self::Body(reason),
            UpstreamError::NoSlot => Self::Busy,
            error => Self::Upstream(error),
        }
    }
}

impl Refusal {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Upstream(_) => Fault::Upstream,
            Self::Busy | Self::Shed(_) => Fault::Server,
            _ => Fault::Client,
        }
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoService { .. } => StatusCode::NOT_FOUND,
            Self::BadPath(_) | Self::Ambiguous | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::Shed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TokenMissing | Self::Token(_) => StatusCode::FORBIDDEN,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::OnlyIfCached => StatusCode::GATEWAY_TIMEOUT,
            // RFC 9111 §5.2.2.2 [must-revalidate.status]: 504, unless another fits better.
            Self::Upstream(UpstreamError::Silent { .. }) => StatusCode::GATEWAY_TIMEOUT,
            Self::Upstream(UpstreamError::Refused { .. } | UpstreamError::Withheld { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Upstream(UpstreamError::Status { status, .. }) => *status,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// For `Cache-Status`: one word for each kind.
    fn detail(&self) -> &'static str {
        match self {
            Self::NoService { .. } => "no-service",
            Self::BadPath(_) | Self::Ambiguous => "path",
            Self::Method => "method",
            Self::TokenMissing | Self::Token(_) => "token",
            Self::PreconditionFailed => "precondition",
            Self::Range { .. } => "range",
            Self::OnlyIfCached => "only-if-cached",
            Self::Body(_) => "request-body",
            Self::Busy => "fill-slots",
            Self::Shed(_) => "overload",
            Self::Upstream(_) => "no-answer",
        }
    }

    /// The answer of the cache of that name, without cross-origin fields.
    pub fn response(&self, cache: &str) -> Response {
        let mut response = Response::new(ResponseBody::full(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Range { size } => {
                let value = format!("bytes */{size}").parse().expect("digits are a value");
                headers.insert(header::CONTENT_RANGE, value);
            }
            Self::Method => {
                let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
                headers.insert(header::ALLOW, methods);
            }
            Self::Busy
            | Self::Upstream(UpstreamError::Refused { .. } | UpstreamError::Status { .. }) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Upstream(UpstreamError::Withheld { after, .. }) => retry(headers, *after),
            Self::Shed(why) => retry(headers, why.after()),
            _ => {}
        }
        match self {
            Self::Upstream(error) => {
                let fwd_status = match error {
                    UpstreamError::Status { status, .. } => Some(*status),
                    _ => None,
                };
                let (fwd, detail) = (Some(Forward::Miss), Some(self.detail()));
                let status = CacheStatus { fwd, fwd_status, detail, ..CacheStatus::default() };
                status.append(cache, headers);
            }
            _ => CacheStatus::append_own(cache, self.detail(), headers),
        }
        response
    }
}

/// RFC 9110 §10.2.3: whole seconds; earlier would be in vain.
fn retry(headers: &mut HeaderMap, after: Duration) {
    let seconds = after.as_millis().div_ceil(1000).max(1);
    let value = seconds.to_string().parse().expect("digits are a value");
    headers.insert(header::RETRY_AFTER, value);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_cache_says_that_it_was_its_doing() {
        let check = |refusal: Refusal, expected: &str| {
            let response = refusal.response("e1");
            assert_eq!(response.headers()["cache-status"], expected, "{refusal}");
        };
        check(Refusal::TokenMissing, "e1; detail=token");
        check(Refusal::NoService { host: "a".into() }, "e1; detail=no-service");
        check(Refusal::Range { size: 7 }, "e1; detail=range");
        check(Refusal::OnlyIfCached, "e1; detail=only-if-cached");
        let (upstream, reason) = ("web".into(), "its circuit is open".into());
        let withheld = UpstreamError::Withheld { upstream, reason, after: Duration::ZERO };
        check(Refusal::from(withheld), "e1; fwd=miss; detail=no-answer");
    }

    #[test]
    fn when_to_come_again() {
        let check = |after: Duration, expected: &str| {
            let (upstream, reason) = ("web".into(), "its circuit is open".into());
            let refusal = Refusal::from(UpstreamError::Withheld { upstream, reason, after });
            let response = refusal.response("e1");
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(refusal.to_string().contains("was not asked"), "{refusal}");
            assert_eq!(response.headers()[header::RETRY_AFTER], expected, "{after:?}");
        };
        check(Duration::ZERO, "1");
        check(Duration::from_millis(1000), "1");
        check(Duration::from_millis(7001), "8");
        check(Duration::from_secs(30), "30");
    }
}
