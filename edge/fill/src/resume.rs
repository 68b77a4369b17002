//! A body that survives a broken connection: when it breaks off, the rest is asked for by
//! Range and If-Match, on a strong validator only, and taken only from the very same
//! representation (RFC 9110 §13.1.1, §14.3).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use weir_edge_freshness::ContentRange;

use crate::{
    combine::Whole,
    upstream::{
        DownBody, Filling, Phase, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse,
    },
};

/// Before a broken body is asked for again: a server that just closed its connections is
/// often back at once, and followers are waiting.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two looks whether an upstream may be asked again.
const LOOK: Duration = Duration::from_millis(250);
/// Bytes before the rest of a body that are fetched once more where a server sends everything.
const SKIPPED_MAX: u64 = 16 << 20;
/// Bytes of a body that are worth a request: it may be asked for again out of its own.
const WORTH: u64 = 16 << 10;

/// What it takes to ask for the rest of a body.
pub(crate) struct Resumable {
    pub upstream: Arc<dyn Upstream>,
    pub path_and_query: String,
    pub authority: Option<String>,
    pub headers: HeaderMap,
    pub deadline: Duration,
    /// Strong validator of the representation, as sent in its `ETag`.
    pub etag: HeaderValue,
    /// Offset of the next byte in the representation, and of the byte after the last one.
    pub at: u64,
    pub end: u64,
    /// Size of the whole representation.
    pub size: u64,
    pub attempts_left: u32,
    /// Bodies that broke off or never came.
    pub failures: u32,
    /// What the rest is joined to.
    pub whole: Whole,
}

struct Resuming {
    /// None when the rest has still to be asked for.
    body: Option<DownBody>,
    /// Offset behind the last byte of that body.
    upto: u64,
    rest: Resumable,
    over: bool,
    /// Where the last one that was asked for began.
    from: u64,
    /// Since when the upstream may not be asked.
    withheld: Option<Instant>,
}

/// Pieces of `body`, which ends at that offset, continued over at most `rest.attempts_left`
/// further requests where it breaks off, and over one for each window of what is wanted of the
/// rest. With no body yet, the first of these asks for it.
pub(crate) fn resuming(
    body: Option<(DownBody, u64)>,
    rest: Resumable,
) -> BoxStream<'static, Result<Bytes, UpstreamError>> {
    let from = rest.at;
    let (body, upto) = body.map_or((None, from), |(body, upto)| (Some(body), upto));
    let state = Resuming { body, upto, rest, over: false, from, withheld: None };
    futures::stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    })
    .boxed()
}

impl Resuming {
    async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        if self.over {
            return None;
        }
        loop {
            let step = match &mut self.body {
                Some(body) => body.next().await.transpose(),
                None => match self.rest.ask_in_time(self.rest.at - self.from >= WORTH).await {
                    Err(UpstreamError::Withheld { after, .. }) if self.may_wait(after) => {
                        tokio::time::sleep(after.clamp(PAUSE, LOOK)).await;
                        continue;
                    }
                    asked => {
                        (self.from, self.withheld) = (self.rest.at, None);
                        match asked {
                            Ok((body, upto)) => {
                                (self.body, self.upto) = (Some(body), upto);
                                continue;
                            }
                            Err(error) => Err(error),
                        }
                    }
                },
            };
            let error = match step {
                Ok(Some(piece)) => {
                    self.rest.at += piece.len() as u64;
                    if self.rest.at > self.upto {
                        self.over = true;
                        return Some(Err(self.rest.overlong()));
                    }
                    return Some(Ok(piece));
                }
                Ok(None) if self.rest.at == self.rest.end => return None,
                // The end of a window: what comes next was not asked for.
                Ok(None) if self.rest.at == self.upto => {
                    self.body = None;
                    continue;
                }
                Ok(None) => self.rest.short(),
                Err(error) => error,
            };
            let waited = matches!(error, UpstreamError::Withheld { .. });
            if waited || self.rest.attempts_left == 0 || !error.retryable() {
                self.over = true;
                return Some(Err(error));
            }
            self.rest.attempts_left -= 1;
            self.rest.failures += 1;
            tracing::info!(upstream = self.rest.upstream.id(), at = self.rest.at, %error, "resume");
            tokio::time::sleep(PAUSE).await;
            self.body = None;
        }
    }
}

impl Resuming {
    /// Whether an upstream that may not be asked may be within the deadline. What was not sent is
    /// no attempt.
    fn may_wait(&mut self, after: Duration) -> bool {
        let since = *self.withheld.get_or_insert_with(Instant::now);
        since.elapsed() + after.max(PAUSE) <= self.rest.deadline
    }
}

/// Least bytes a second of a body, over [`RATE_OVER`]: less than any sound or picture needs, and
/// more than what is sent to hold a place.
const RATE_LEAST: u64 = 1024;
/// Only time in which the upstream was waited for counts.
const RATE_OVER: Duration = Duration::from_secs(30);

struct Watched {
    body: DownBody,
    upstream: String,
    waited: Duration,
    got: u64,
}

/// A body that is silent for at most `gap`, and no slower than [`RATE_LEAST`], whatever its
/// adapter does.
pub(crate) fn watched(body: DownBody, upstream: String, gap: Duration) -> DownBody {
    let state = Watched { body, upstream, waited: Duration::ZERO, got: 0 };
    futures::stream::unfold(Some(state), move |state| async move {
        let mut state = state?;
        let began = Instant::now();
        let next = tokio::time::timeout(gap, state.body.next()).await;
        state.waited += began.elapsed();
        match next {
            Ok(Some(Ok(piece))) => {
                state.got += piece.len() as u64;
                if state.waited >= RATE_OVER {
                    if state.got < RATE_LEAST * state.waited.as_secs() {
                        return Some((Err(state.dripping()), None));
                    }
                    (state.waited, state.got) = (Duration::ZERO, 0);
                }
                Some((Ok(piece), Some(state)))
            }
            Ok(Some(Err(error))) => Some((Err(error), Some(state))),
            Ok(None) => None,
            Err(_) => {
                let (phase, after, upstream) = (Phase::Body, gap, state.upstream);
                Some((Err(UpstreamError::Silent { upstream, phase, after }), None))
            }
        }
    })
    .boxed()
}

impl Watched {
    fn dripping(self) -> UpstreamError {
        let Self { upstream, waited, got, .. } = self;
        UpstreamError::Dripping { upstream, got, waited, least: RATE_LEAST }
    }
}

/// Where the rest of a body is in an answer.
#[derive(Debug, Clone, Copy)]
enum Rest {
    /// It is what the answer carries.
    Alone,
    /// After what is known of it.
    InAll,
}

/// The bytes from `at` to `end` of a body; a body that ends before that ends here, too. What comes
/// before them is told, since it was fetched.
fn part(body: DownBody, at: u64, end: u64, skipped: impl Fn(u64) + Send + 'static) -> DownBody {
    let state = Some((body, at, end - at, skipped));
    futures::stream::unfold(state, |state| async move {
        let (mut body, mut skip, mut left, skipped) = state?;
        while left > 0 {
            let mut piece = match body.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some((Err(error), None)),
            };
            let before = skip.min(piece.len() as u64);
            skip -= before;
            skipped(before);
            // Within the piece's length, which fits.
            piece = piece.slice(before as usize..);
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                left -= piece.len() as u64;
                return Some((Ok(piece), Some((body, skip, left, skipped))));
            }
        }
        None
    })
    .boxed()
}

impl Resumable {
    async fn ask_in_time(&mut self, earned: bool) -> Result<(DownBody, u64), UpstreamError> {
        let (phase, after) = (Phase::Headers, self.deadline);
        let upstream = self.upstream.id().to_owned();
        tokio::time::timeout(after, self.ask(earned))
            .await
            .unwrap_or_else(|_| Err(UpstreamError::Silent { upstream, phase, after }))
    }

    /// The rest, or the next window of it, and where what comes ends.
    async fn ask(&mut self, earned: bool) -> Result<(DownBody, u64), UpstreamError> {
        let mut headers = self.headers.clone();
        let window = self.whole.fill.demand.window(self.at);
        let upto = window.map_or(self.end, |window| window.min(self.end));
        let range = format!("bytes={}-{}", self.at, upto - 1);
        headers.insert(header::RANGE, range.parse().expect("digits are a header value"));
        headers.insert(header::IF_MATCH, self.etag.clone());
        let begun = self.whole.begin();
        let response = self
            .upstream
            .fill(
                Filling { failures: self.failures, earned },
                UpstreamRequest {
                    method: Method::GET,
                    path_and_query: self.path_and_query.clone(),
                    authority: self.authority.clone(),
                    headers,
                    body: None,
                    deadline: self.deadline,
                },
            )
            .await?;
        let (rest, upto) = self.same(&response, upto)?;
        self.whole.join(&self.headers, begun, &response)?;
        // What is skipped comes, too: an upstream that sends it is not silent.
        let body = watched(response.body, self.upstream.id().to_owned(), self.deadline);
        Ok(match rest {
            Rest::Alone => (body, upto),
            Rest::InAll => {
                let (engine, fill) = (Arc::clone(&self.whole.engine), Arc::clone(&self.whole.fill));
                let skipped = move |bytes| {
                    engine.counters.upstream_bytes.fetch_add(bytes, Ordering::Relaxed);
                    fill.demand.brought(bytes);
                };
                (part(body, self.at, upto, skipped), upto)
            }
        })
    }

    /// RFC 9111 §3.4 [combine.validator]: how the answer continues what was sent so far, and up
    /// to where.
    fn same(
        &mut self,
        response: &UpstreamResponse,
        upto: u64,
    ) -> Result<(Rest, u64), UpstreamError> {
        let tagged = response.headers.get(header::ETAG) == Some(&self.etag);
        let got = match ContentRange::of(&response.headers) {
            Some(ContentRange::Bytes { range, size }) => Some(range).filter(|range| {
                tagged && size == Some(self.size) && range.first == self.at && range.end() <= upto
            }),
            _ => None,
        };
        match (response.status, got) {
            (StatusCode::PARTIAL_CONTENT, Some(got)) => {
                // RFC 9110 §15.3.7: a server may send fewer than it was asked for.
                if got.end() < upto {
                    self.crumbs(got.len())?;
                }
                Ok((Rest::Alone, got.end()))
            }
            // RFC 9110 §14.2: a server may ignore Range. All of the same representation has the
            // rest in it. Far into it that is dear: who fetches it anew keeps what comes before.
            (StatusCode::OK, _)
                if tagged
                    && self.at <= SKIPPED_MAX
                    && response.content_length == Some(self.size) =>
            {
                // More than was asked for, and it would come again with each window.
                Ok((Rest::InAll, self.end))
            }
            (status, _) if status.is_server_error() => Err(UpstreamError::Refused {
                upstream: self.upstream.id().into(),
                reason: format!("{status} when asked for the rest of a body"),
            }),
            (status, _) => Err(UpstreamError::Contradiction {
                upstream: self.upstream.id().into(),
                reason: format!(
                    "{status} where bytes {}-{}/{} of the same entity tag were due",
                    self.at,
                    upto - 1,
                    self.size
                ),
            }),
        }
    }

    /// A server that sends so few of the bytes it was asked for is asked for the rest as it is
    /// when a body breaks off: not endlessly.
    fn crumbs(&mut self, bytes: u64) -> Result<(), UpstreamError> {
        if bytes >= WORTH {
            return Ok(());
        }
        let Some(left) = self.attempts_left.checked_sub(1) else {
            return Err(UpstreamError::Refused {
                upstream: self.upstream.id().into(),
                reason: format!("it sends {bytes} bytes of a body at a time"),
            });
        };
        self.attempts_left = left;
        Ok(())
    }

    fn short(&self) -> UpstreamError {
        UpstreamError::Truncated {
            upstream: self.upstream.id().into(),
            got: self.at,
            expected: Some(self.end),
            reason: "the body ended".into(),
        }
    }

    fn overlong(&self) -> UpstreamError {
        UpstreamError::Overlong { upstream: self.upstream.id().into(), expected: self.end }
    }
}
