//! Finds out what an object is now: from the cache, by joining a request under way, or by
//! asking upstream, with one request for all who ask.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};
use weir_edge_cache::{StoredObject, Subject, primary_key};
use weir_edge_freshness::{Forward, PassReason, Trouble};

use crate::{
    answer::{Answer, Found, How, Passed},
    ask::Ask,
    drive,
    engine::{Engine, late},
    judge,
    reader::place,
    table::{Head, Resolved, Resolving, Role},
    upstream::{UpBody, UpstreamError, UpstreamResponse},
    variant::{self, Placed},
};

/// How often a request finds out that it joined one for another variant before it asks for
/// itself: once for the URL, and once for each time the upstream varies on more.
const TURNS: usize = 4;

/// An ask at its place, and what is known of it.
struct Turn<'a> {
    ask: Cow<'a, Ask>,
    stored: Option<Arc<StoredObject>>,
    /// Why the cache does not answer by itself.
    fwd: Forward,
    due: Instant,
    /// Purge epoch when the request came.
    since: u64,
}

impl Engine {
    /// Finds out what the object is now. The answer and its first byte are there within the
    /// deadline.
    pub async fn resolve(self: &Arc<Self>, ask: &Ask) -> Result<Answer, UpstreamError> {
        self.resolve_by(ask, Instant::now() + ask.policy.deadline).await
    }

    /// As [`Engine::resolve`], for a request that began earlier.
    pub async fn resolve_by(
        self: &Arc<Self>,
        ask: &Ask,
        due: Instant,
    ) -> Result<Answer, UpstreamError> {
        let mut fwd = Forward::UriMiss;
        let since = self.cache.purge_epoch();
        for _ in 0..TURNS {
            // RFC 9111 §4: what answers GET answers HEAD.
            if let Some(object) = ask.get().and_then(|get| self.fresh_for(&get)) {
                return Ok(Answer::Object(Found::stored(object, How::Hit, due)));
            }
            let Some(Placed { mut ask, stored, varies }) = variant::place(self, ask) else {
                return self.alone(ask, due, Forward::VaryMiss, Some(PassReason::Vary)).await;
            };
            let now = self.clock.unix_millis();
            if let Some(object) = &stored
                && judge::usable(object, &ask.control, now)
            {
                if self.completes(&ask, object) {
                    return Ok(Answer::Object(Found::stored(Arc::clone(object), How::Hit, due)));
                }
                // What is left of it is of no use to anybody who wants all of it.
                self.cache.discard_generation(&object.id, object.generation, object.chunks());
                continue;
            }
            fwd = match &stored {
                None if varies => Forward::VaryMiss,
                None => Forward::UriMiss,
                Some(object) if judge::fresh(object, now) => Forward::Request,
                Some(_) => Forward::Stale,
            };
            // RFC 9111 §5.2.1.5 [request.no-store-disk, request.no-store-memory]: what such a
            // request brings goes to it alone, and by no tier.
            if ask.control.no_store {
                return self.alone(&ask, due, fwd, Some(PassReason::RequestNoStore)).await;
            }
            if stored.is_none() {
                let Some(afforded) = self.affords(&ask) else {
                    return self.exactly(&ask, due).await.map(Answer::Passed);
                };
                ask = Cow::Owned(afforded);
            }
            if let Some(answer) = self.turn(Turn { ask, stored, fwd, due, since }).await? {
                return Ok(answer);
            }
        }
        self.alone(ask, due, fwd, Some(PassReason::Vary)).await
    }

    /// Whether all that is asked for of an object is here, is on its way, or can be asked for
    /// again: told before the first byte leaves, as far as memory knows.
    fn completes(&self, ask: &Ask, object: &StoredObject) -> bool {
        if object.size == 0 || judge::strong_etag(&object.headers()).is_some() {
            return true;
        }
        let (first, last) = ask.range.unwrap_or((0, None));
        let last = last.unwrap_or(u64::MAX).min(object.size - 1);
        let (first, last) = (place(first.min(last)).0, place(last).0);
        (first..=last).all(|index| {
            let coming = || self.table.body(object.id, object.generation, index, false);
            self.cache.has_chunk(&object.chunk_key(index)).is_some() || coming().is_some()
        })
    }

    /// One turn at one place. `None` where the answer turned out to be of another variant, or
    /// was purged before the request came.
    async fn turn(self: &Arc<Self>, turn: Turn<'_>) -> Result<Option<Answer>, UpstreamError> {
        let Turn { ask, stored, fwd, due, since } = &turn;
        let now = self.clock.unix_millis();
        if let Some(object) = stored
            && judge::may_serve_while_revalidating(object, &ask.control, now)
        {
            let began = self.cache.purge_epoch();
            if let Role::Leader(resolving, _) =
                self.table.resolve(ask.id, began, |_| true, |_| false)
            {
                self.spawn(ask, resolving);
            }
            self.counters.stale_while_revalidate.fetch_add(1, Ordering::Relaxed);
            let found = Found::stored(Arc::clone(object), How::StaleWhileRevalidate, *due);
            return Ok(Some(Answer::Object(found)));
        }
        let usable = |growing: &Resolved| {
            is_of(growing, ask)
                && judge::usable(&growing.object, &ask.control, now)
                && self.cache.answers(&(&*growing.object).into(), *since)
        };
        // Its tags are not known yet; when they are, they are looked at.
        let answers = |epoch| {
            let (key, id, service) = (&*ask.key, ask.id, &*ask.service);
            self.cache.answers(&Subject { key, id, service, tags: &[], epoch }, *since)
        };
        match self.table.resolve(ask.id, *since, answers, usable) {
            Role::Alone(reason) => self.alone(ask, *due, *fwd, reason).await.map(Some),
            Role::Growing(resolved) => Ok(Some(Answer::Object(self.joined(resolved, &turn)))),
            Role::Leader(resolving, response) => {
                // Between our look into the cache and now another one may have ended.
                if let Some(object) = self.fresh(&ask.id, &ask.key, &ask.control) {
                    let found = Found::stored(object, How::Hit, *due);
                    let head = Head::Object(found.resolved.clone());
                    self.table.resolved(ask.id, &resolving, head);
                    return Ok(Some(Answer::Object(found)));
                }
                self.lead(&turn, resolving, response).await.map(Some)
            }
            // What comes will be for who asked, too.
            Role::Follower(_) if stored.as_deref().is_some_and(|old| asked_each_time(ask, old)) => {
                self.alone(ask, *due, *fwd, None).await.map(Some)
            }
            Role::Follower(head) => match self.wait(ask, *due, head).await {
                Ok(Head::Object(resolved))
                    if !self.cache.answers(&(&*resolved.object).into(), *since) =>
                {
                    Ok(None)
                }
                // RFC 9111 §4 [reuse.fresh]: to have waited for a response gives no more right
                // to it than to have found it.
                Ok(Head::Object(resolved))
                    if is_of(&resolved, ask)
                        && (ask.policy.anonymous
                            || judge::usable(
                                &resolved.object,
                                &ask.control,
                                self.clock.unix_millis(),
                            )) =>
                {
                    Ok(Some(Answer::Object(self.joined(resolved, &turn))))
                }
                // A variant, of which only its own place says whether it is ours.
                Ok(Head::Object(resolved)) if is_near(&resolved, ask) => Ok(None),
                Ok(Head::Object(_)) => self.alone(ask, *due, *fwd, None).await.map(Some),
                Ok(Head::Alone(reason)) => self.alone(ask, *due, *fwd, reason).await.map(Some),
                Ok(Head::Failed(error)) | Err(error) => self.instead(&turn, error).map(Some),
                Ok(Head::Waiting) => unreachable!("wait() returns when there is an answer"),
            },
        }
    }

    fn joined(&self, resolved: Resolved, turn: &Turn<'_>) -> Found {
        self.counters.collapsed.fetch_add(1, Ordering::Relaxed);
        let how = How::Collapsed { status: resolved.upstream_status };
        Found { resolved, how, fwd: turn.fwd, due: turn.due }
    }

    async fn alone(
        self: &Arc<Self>,
        ask: &Ask,
        due: Instant,
        fwd: Forward,
        reason: Option<PassReason>,
    ) -> Result<Answer, UpstreamError> {
        let response = self.pass_by(ask, ask.method(), None, Some(due)).await?;
        Ok(Answer::Passed(Passed { response, fwd, reason }))
    }

    fn spawn(self: &Arc<Self>, ask: &Ask, resolving: Arc<Resolving>) {
        let engine = Arc::clone(self);
        self.runtime.spawn(drive::resolve(engine, ask.clone(), resolving));
    }

    async fn lead(
        self: &Arc<Self>,
        turn: &Turn<'_>,
        resolving: Arc<Resolving>,
        mut response: oneshot::Receiver<UpstreamResponse>,
    ) -> Result<Answer, UpstreamError> {
        let Turn { ask, stored, fwd, due, .. } = turn;
        let head = resolving.head.subscribe();
        let had = match ask.get() {
            Some(get) => variant::place(self, &get).and_then(|placed| placed.stored),
            None => stored.clone(),
        };
        self.spawn(ask, resolving);
        let passed = |response, reason| Answer::Passed(Passed { response, fwd: *fwd, reason });
        match self.wait(ask, *due, head).await {
            Ok(Head::Object(resolved)) => {
                let how = led(&resolved, had.as_deref());
                // A HEAD that finds nothing of its own may have asked about a stale answer to GET.
                let fwd = match (how, *fwd) {
                    (How::Revalidated, Forward::UriMiss | Forward::VaryMiss) => Forward::Stale,
                    (_, fwd) => fwd,
                };
                Ok(Answer::Object(Found { resolved, how, fwd, due: *due }))
            }
            Ok(Head::Alone(reason)) => match response.try_recv() {
                Ok(response) => Ok(passed(response, reason)),
                Err(_) => self.alone(ask, *due, *fwd, reason).await,
            },
            Ok(Head::Failed(error)) | Err(error) => match self.instead(turn, error) {
                Err(error) => {
                    response.try_recv().map(|answer| passed(answer, None)).map_err(|_| error)
                }
                answer => answer,
            },
            Ok(Head::Waiting) => unreachable!("wait() returns when there is an answer"),
        }
    }

    /// Sends the client's own request upstream; nothing of the answer is kept. `due` is when
    /// its head must be there, where anything says so.
    pub async fn pass_by(
        self: &Arc<Self>,
        ask: &Ask,
        method: http::Method,
        body: Option<UpBody>,
        due: Option<Instant>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let Some(due) = due else { return self.pass(ask, method, body).await };
        let sent = timeout_at(due, self.pass(ask, method, body)).await;
        sent.unwrap_or_else(|_| Err(late(ask)))
    }

    async fn pass(
        self: &Arc<Self>,
        ask: &Ask,
        method: http::Method,
        body: Option<UpBody>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let request = ask.alone(method, body);
        let upstream = Arc::clone(&ask.upstream);
        // On the fill runtime, so that pooled connections do not die with a worker.
        let sent = self.runtime.spawn(async move { upstream.send(request).await }).await;
        sent.unwrap_or_else(|gone| Err(lost(ask, &gone.to_string())))
    }

    /// Stale content rather than an error, where origin or service allow it.
    // RFC 9111 §5.2.2.2 [must-revalidate.disconnected]: where they do not, the error.
    fn instead(&self, turn: &Turn<'_>, error: UpstreamError) -> Result<Answer, UpstreamError> {
        let trouble = match &error {
            UpstreamError::Status { .. } => Trouble::ServerError,
            _ => Trouble::Unreachable,
        };
        let now = self.clock.unix_millis();
        match &turn.stored {
            Some(object) if judge::may_serve_on_error(object, &turn.ask, trouble, now) => {
                self.counters.stale_if_error.fetch_add(1, Ordering::Relaxed);
                let how = How::StaleOnError;
                let mut found = Found::stored(Arc::clone(object), how, turn.due);
                if let UpstreamError::Status { status, .. } = &error {
                    found.resolved.upstream_status = status.as_u16();
                }
                found.fwd = turn.fwd;
                Ok(Answer::Object(found))
            }
            _ => Err(error),
        }
    }

    async fn wait(
        &self,
        ask: &Ask,
        due: Instant,
        mut head: watch::Receiver<Head>,
    ) -> Result<Head, UpstreamError> {
        let known = head.wait_for(|head| !matches!(head, Head::Waiting));
        match timeout_at(due, known).await {
            Ok(Ok(head)) => Ok(head.clone()),
            // The task that resolves is gone without a word; its panic is in the log.
            Ok(Err(_)) => Err(lost(ask, "the fill was broken off")),
            Err(_) => Err(late(ask)),
        }
    }
}

/// Whether it is what was asked for: two keys may have one hash.
fn is_of(resolved: &Resolved, ask: &Ask) -> bool {
    *resolved.object.key == *ask.key
}

/// Whether a stored response answers nobody without a word from upstream, which may depend on
/// who asks.
fn asked_each_time(ask: &Ask, stored: &StoredObject) -> bool {
    !ask.policy.anonymous && judge::lifetime_millis(stored) == 0
}

/// Whether it is another response of the same URL.
fn is_near(resolved: &Resolved, ask: &Ask) -> bool {
    primary_key(&resolved.object.key) == primary_key(&ask.key)
}

fn led(resolved: &Resolved, had: Option<&StoredObject>) -> How {
    let status = resolved.upstream_status;
    match had {
        Some(had) if had.generation == resolved.object.generation => How::Revalidated,
        // The response to HEAD beside an old one to GET replaces nothing.
        Some(had) if had.key == resolved.object.key => How::Replaced { status },
        _ => How::Miss { status },
    }
}

fn lost(ask: &Ask, reason: &str) -> UpstreamError {
    UpstreamError::Refused { upstream: ask.upstream.id().into(), reason: reason.into() }
}
