//! The port through which the fill engine reaches an origin, a shield or a peer.
//! It speaks HTTP semantics; adapters translate (S3 errors become statuses).
//! What it leaves to others: retries across upstreams, resume and caching.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::Semaphore;

/// A body on its way up (proxy preset only). Unbounded bodies are limited by the sender.
pub type UpBody = BoxStream<'static, Result<Bytes, UpstreamError>>;
/// A body on its way down: pieces as the upstream sent them, in order, never empty.
pub type DownBody = BoxStream<'static, Result<Bytes, UpstreamError>>;

/// One request to an upstream. `path_and_query` starts with `/` and is what the service's
/// path mapping left of the client's; headers are those the service lets through, plus the
/// engine's own (`range`, `if-match`, `if-none-match`, `if-modified-since`).
pub struct UpstreamRequest {
    pub method: Method,
    pub path_and_query: String,
    /// Authority the client named; only an upstream configured to pass it on looks at it.
    pub authority: Option<String>,
    pub headers: HeaderMap,
    pub body: Option<UpBody>,
    /// Time until the response's headers must be there; afterwards the same bound holds for
    /// each gap between two pieces of the body.
    pub deadline: Duration,
}

/// The head and body of an upstream's answer. Hop-by-hop fields are gone; `content_length`
/// is what the body must sum to where the upstream declared it, and the adapter reports
/// [`UpstreamError::Truncated`] or [`UpstreamError::Overlong`] when it does not.
pub struct UpstreamResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub content_length: Option<u64>,
    pub body: DownBody,
}

impl fmt::Debug for UpstreamResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamResponse")
            .field("status", &self.status)
            .field("content_length", &self.content_length)
            .finish_non_exhaustive()
    }
}

/// What is asked for a fill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filling {
    /// How often its body broke off so far, or never came.
    pub failures: u32,
    /// What came before it broke off was worth as much as a request: such a repeat adds little
    /// to the load, and is no part of what an upstream's repeats are bounded by.
    pub earned: bool,
}

/// Where an upstream let a request hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Connect,
    Headers,
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "while it was being connected to",
            Self::Headers => "when it was asked",
            Self::Body => "in the middle of its answer",
        })
    }
}

fn of(expected: Option<u64>) -> String {
    expected.map(|expected| format!(" of {expected}")).unwrap_or_default()
}

/// Why an upstream gave no (whole) answer. Cloneable, since many waiters share one failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    #[error("cannot connect to upstream {upstream}: {reason}")]
    Connect { upstream: String, reason: String },
    #[error("upstream {upstream} said nothing for {after:?} {phase}")]
    Silent { upstream: String, phase: Phase, after: Duration },
    #[error("upstream {upstream} broke off after {got}{} bytes: {reason}", of(*expected))]
    Truncated { upstream: String, got: u64, expected: Option<u64>, reason: String },
    #[error("upstream {upstream} sent {got} bytes in {waited:?}, less than {least} a second")]
    Dripping { upstream: String, got: u64, waited: Duration, least: u64 },
    #[error("upstream {upstream} sent more than the {expected} bytes it declared")]
    Overlong { upstream: String, expected: u64 },
    #[error("upstream {upstream} answered with something that contradicts itself: {reason}")]
    Contradiction { upstream: String, reason: String },
    #[error("upstream {upstream} broke the protocol: {reason}")]
    Protocol { upstream: String, reason: String },
    #[error("upstream {upstream} takes no requests now: {reason}")]
    Refused { upstream: String, reason: String },
    /// Not asked, to spare it. It may be after that time.
    #[error("upstream {upstream} takes no requests now: {reason}")]
    Withheld { upstream: String, reason: String, after: Duration },
    #[error("upstream {upstream} answered {status}")]
    Status { upstream: String, status: StatusCode },
    /// The body that was to be sent on; says nothing of the upstream.
    #[error("the client's body broke off: {reason}")]
    ClientBody { reason: String },
    /// As many fills are under way as may be; says nothing of the upstream.
    #[error("every fill slot is taken")]
    NoSlot,
}

impl UpstreamError {
    /// Whether another upstream, or the same one later, may well succeed.
    pub fn retryable(&self) -> bool {
        !matches!(
            self,
            Self::Contradiction { .. } | Self::Overlong { .. } | Self::ClientBody { .. }
        )
    }

    /// Whether bytes of the same response that already arrived are now in doubt: such a
    /// response must leave nothing in the cache. A body that ends short contradicts the
    /// length it declared; silence contradicts nothing.
    pub fn taints(&self) -> bool {
        matches!(
            self,
            Self::Overlong { .. }
                | Self::Contradiction { .. }
                | Self::Protocol { .. }
                | Self::Truncated { .. }
        )
    }
}

/// An origin, shield or peer by its configured id.
pub trait Upstream: Send + Sync + fmt::Debug + 'static {
    /// The id in the configuration; used in logs, metrics and errors.
    fn id(&self) -> &str;
    /// Sends one request. Resolves at the response's headers.
    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>>;

    /// One permit for each fill that may have its bytes from here at once; none where only the
    /// fills of all upstreams together are bounded.
    fn slots(&self) -> Option<Arc<Semaphore>> {
        None
    }

    /// The same for a fill, which holds one of the [`Upstream::slots`]. Where there are several
    /// upstreams and its body broke off, another one is asked first.
    fn fill(
        &self,
        filling: Filling,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        let _one_upstream = filling;
        self.send(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_words() {
        let check = |error: UpstreamError, expected: &str| assert_eq!(error.to_string(), expected);
        let upstream = || "web".to_owned();
        for (phase, expected) in [
            (Phase::Connect, "upstream web said nothing for 2s while it was being connected to"),
            (Phase::Headers, "upstream web said nothing for 2s when it was asked"),
            (Phase::Body, "upstream web said nothing for 2s in the middle of its answer"),
        ] {
            let after = Duration::from_secs(2);
            check(UpstreamError::Silent { upstream: upstream(), phase, after }, expected);
        }
        for (expected, told) in [
            (Some(2_000_000), "upstream web broke off after 1500000 of 2000000 bytes: reset"),
            (None, "upstream web broke off after 1500000 bytes: reset"),
        ] {
            let (upstream, reason) = (upstream(), "reset".into());
            check(UpstreamError::Truncated { upstream, got: 1_500_000, expected, reason }, told);
        }
    }
}
