//! Several upstreams as one: they are asked in order, and the next one is asked when one
//! cannot be reached, says nothing or answers with a server error. What it leaves to others:
//! breaking circuits (`guard.rs`) and hedging.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use http::{Method, StatusCode};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::upstream::{Filling, Phase, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};

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

    /// Asks the upstreams in turn, from the one after those that failed in mid-body.
    async fn ask(
        &self,
        mut filling: Option<Filling>,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        if !repeatable(&request) {
            return self.upstreams[0].send(request).await;
        }
        let due = Instant::now() + request.deadline;
        let count = self.upstreams.len();
        let first = filling.map_or(0, |filling| filling.failures) as usize % count;
        let mut soonest = None;
        let mut left = u32::try_from(count).unwrap_or(u32::MAX);
        for index in (first..first + count - 1).map(|index| index % count) {
            let upstream = &self.upstreams[index];
            // Each gets its share of what is left, so that one that says nothing does not use
            // up the time of all.
            let share = due.saturating_duration_since(Instant::now()) / left;
            left -= 1;
            let until = Instant::now() + share;
            // The first of a body that broke off is a repeat, the others are asked anew.
            let which = filling.as_mut().map(std::mem::take);
            let sent = self.one(index, which, until, again(&request, share));
            let answer = timeout_at(until, sent).await.unwrap_or_else(|_| {
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
                    soonest = sooner(soonest, error);
                }
                Err(error) => return Err(error),
            }
        }
        let deadline = due.saturating_duration_since(Instant::now());
        let request = UpstreamRequest { deadline, ..request };
        match self.one((first + count - 1) % count, filling, due, request).await {
            Err(error @ UpstreamError::Withheld { .. }) => {
                Err(sooner(soonest, error).expect("it is one"))
            }
            answer => answer,
        }
    }

    /// Asks one of them. A fill holds a place of the first for as long as it runs; bytes from
    /// another one hold a place there too.
    async fn one(
        &self,
        index: usize,
        filling: Option<Filling>,
        until: Instant,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let upstream = &self.upstreams[index];
        let Some(filling) = filling else { return upstream.send(request).await };
        let slots = if index == 0 { None } else { upstream.slots() };
        let Some(slots) = slots else { return upstream.fill(filling, request).await };
        let Ok(Ok(place)) = timeout_at(until, slots.acquire_owned()).await else {
            return Err(UpstreamError::NoSlot);
        };
        let deadline = until.saturating_duration_since(Instant::now());
        let request = UpstreamRequest { deadline, ..request };
        let mut response = upstream.fill(filling, request).await?;
        let held = move |piece| {
            let _until_its_end = &place;
            piece
        };
        response.body = response.body.map(held).boxed();
        Ok(response)
    }
}

impl Upstream for Failover {
    fn id(&self) -> &str {
        &self.id
    }

    /// Those of the first, which brings what it can. Another one's are taken when it is asked.
    fn slots(&self) -> Option<Arc<Semaphore>> {
        self.upstreams.first()?.slots()
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(None, request).boxed()
    }

    fn fill(
        &self,
        filling: Filling,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(Some(filling), request).boxed()
    }
}

/// Of those that are spared, the one that may be asked first.
fn sooner(one: Option<UpstreamError>, other: UpstreamError) -> Option<UpstreamError> {
    let UpstreamError::Withheld { after, .. } = &other else { return one };
    match &one {
        Some(UpstreamError::Withheld { after: first, .. }) if first <= after => one,
        _ => Some(other),
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
