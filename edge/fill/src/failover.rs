//! Several upstreams as one: they are asked in order, and the next one is asked when one
//! cannot be reached, says nothing or answers with a server error; where it shall be hedged, also
//! when one takes long. What it leaves to others: breaking circuits (`guard.rs`), and when long
//! is too long (`hedge.rs`).

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use http::{Method, StatusCode};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::hedge::{Hedge, Winner};
use crate::upstream::{Filling, Phase, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};

/// Upstreams of one service, best first. At least one.
#[derive(Debug)]
pub struct Failover {
    id: String,
    upstreams: Vec<Arc<dyn Upstream>>,
    hedge: Option<Arc<Hedge>>,
}

impl Failover {
    /// `None` when the list is empty.
    pub fn new(upstreams: Vec<Arc<dyn Upstream>>) -> Option<Self> {
        let id = upstreams.iter().map(|u| u.id()).collect::<Vec<_>>().join(",");
        (!upstreams.is_empty()).then_some(Self { id, upstreams, hedge: None })
    }

    /// The same, and the second is asked too where the first takes long.
    #[must_use]
    pub fn hedged(self, hedge: Arc<Hedge>) -> Self {
        Self { hedge: Some(hedge), ..self }
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
            // What broke off before is asked of one after the other.
            let fresh = index == 0 && which.is_none_or(|filling| filling.failures == 0);
            let answer = match &self.hedge {
                Some(hedge) if fresh => {
                    let both = [again(&request, share), again(&request, share)];
                    self.race(hedge, which, until, both).await
                }
                _ => self.timely(index, which, until, again(&request, share)).await,
            };
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

    /// Asks one of them, which is silent when it has not answered by then.
    async fn timely(
        &self,
        index: usize,
        filling: Option<Filling>,
        until: Instant,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let after = request.deadline;
        let sent = self.one(index, filling, until, request);
        timeout_at(until, sent).await.unwrap_or_else(|_| {
            let upstream = self.upstreams[index].id().into();
            Err(UpstreamError::Silent { upstream, phase: Phase::Headers, after })
        })
    }

    /// Asks the first, and the second beside it when the first takes long: the first head that is
    /// of use wins, and the other request is dropped. What the first said comes back where
    /// neither is.
    async fn race(
        &self,
        hedge: &Hedge,
        filling: Option<Filling>,
        until: Instant,
        [one, other]: [UpstreamRequest; 2],
    ) -> Result<UpstreamResponse, UpstreamError> {
        let began = Instant::now();
        let long = hedge.ask();
        let mut first = pin!(self.timely(0, filling, until, one));
        let early = match long {
            Some(long) => timeout_at(began + long, &mut first).await.ok(),
            None => Some((&mut first).await),
        };
        if early.is_none() && !hedge.spend() {
            let answer = first.await;
            hedge.took(began.elapsed());
            return answer;
        }
        if let Some(answer) = early {
            // What was no head says nothing of how long one takes.
            if useful(&answer) {
                hedge.took(began.elapsed());
            }
            return answer;
        }
        let mut second = pin!(self.timely(1, filling, until, other));
        let (answer, winner) = tokio::select! {
            answer = &mut first => {
                if useful(&answer) {
                    (answer, Winner::First)
                } else {
                    let other = second.await;
                    if useful(&other) { (other, Winner::Second) } else { (answer, Winner::Neither) }
                }
            }
            other = &mut second => {
                if useful(&other) {
                    (other, Winner::Second)
                } else {
                    let answer = first.await;
                    let winner = if useful(&answer) { Winner::First } else { Winner::Neither };
                    (answer, winner)
                }
            }
        };
        // The first took as long at least.
        hedge.took(began.elapsed());
        hedge.won(winner);
        answer
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

/// Whether nobody else has to be asked.
fn useful(answer: &Result<UpstreamResponse, UpstreamError>) -> bool {
    answer.as_ref().is_ok_and(|response| !elsewhere(response.status))
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
