//! Several upstreams as one: they are asked in order, and the next one is asked when one
//! cannot be reached, says nothing or answers with a server error. What it leaves to others:
//! breaking circuits (`guard.rs`) and hedging.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use http::{Method, StatusCode};
use tokio::{sync::Semaphore, time::Instant};

use crate::upstream::{Phase, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};

/// Upstreams of one service, best first. At least one.
#[derive(Debug)]
pub struct Failover {
    id: String,
    upstreams: Vec<Arc<dyn Upstream>>,
}

impl Failover {
    /// `None` when the list is empty.
    pub fn new(upstreams: Vec<Arc<dyn Upstream>>) -> Option<Self> {
        let id = upstreams.iter().map(|u| u.id()).collect::<Vec<_>>().join(",");
        (!upstreams.is_empty()).then_some(Self { id, upstreams })
    }

    /// Asks the upstreams in turn, from the one after `failures` that failed in mid-body.
    async fn ask(
        &self,
        failures: u32,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        if !repeatable(&request) {
            return self.upstreams[0].send(request).await;
        }
        let due = Instant::now() + request.deadline;
        let count = self.upstreams.len();
        let first = failures as usize % count;
        let mut failed = failures;
        let mut left = u32::try_from(count).unwrap_or(u32::MAX);
        for upstream in self.upstreams.iter().cycle().skip(first).take(count - 1) {
            // Each gets its share of what is left, so that one that says nothing does not use
            // up the time of all.
            let share = due.saturating_duration_since(Instant::now()) / left;
            left -= 1;
            // The first of a body that broke off is a repeat, the others are asked anew.
            let sent = upstream.send_after(std::mem::take(&mut failed), again(&request, share));
            let answer = tokio::time::timeout(share, sent).await.unwrap_or_else(|_| {
                Err(UpstreamError::Silent {
                    upstream: upstream.id().into(),
                    phase: Phase::Headers,
                    after: share,
                })
            });
            match answer {
                Ok(response) if !elsewhere(response.status) => return Ok(response),
                Ok(response) => {
                    tracing::warn!(upstream = upstream.id(), status = %response.status, "next upstream");
                }
                Err(error) if error.retryable() => {
                    tracing::warn!(upstream = upstream.id(), %error, "next upstream");
                }
                Err(error) => return Err(error),
            }
        }
        let deadline = due.saturating_duration_since(Instant::now());
        let last = &self.upstreams[(first + count - 1) % count];
        last.send_after(failed, UpstreamRequest { deadline, ..request }).await
    }
}

impl Upstream for Failover {
    fn id(&self) -> &str {
        &self.id
    }

    /// Those of the first, which brings what it can.
    fn slots(&self) -> Option<Arc<Semaphore>> {
        self.upstreams.first()?.slots()
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(0, request).boxed()
    }

    fn send_after(
        &self,
        failures: u32,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(failures, request).boxed()
    }
}

/// Statuses that say more about the server than about the object.
fn elsewhere(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// RFC 9110 §9.2.2: only what is idempotent, and here also bodiless, may be sent twice.
fn repeatable(request: &UpstreamRequest) -> bool {
    request.body.is_none() && matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn again(request: &UpstreamRequest, deadline: Duration) -> UpstreamRequest {
    UpstreamRequest {
        method: request.method.clone(),
        path_and_query: request.path_and_query.clone(),
        authority: request.authority.clone(),
        headers: request.headers.clone(),
        body: None,
        deadline,
    }
}
