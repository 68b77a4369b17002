//! What a client asks for, as it is, and nothing of it kept: for who has nothing left and wants a
//! part of a chunk. A part that is more than a window comes in windows, as far ahead of its client
//! as that has come; what is not asked for is not on its way when it leaves.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderValue, StatusCode, header};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use weir_edge_freshness::{ByteRange, ContentRange, Forward, PassReason};

use crate::{
    answer::Passed,
    ask::Ask,
    body::goes_on,
    combine::Whole,
    demand::{Demand, OPENING, Stand},
    drive::{is_short, with_range},
    engine::Engine,
    judge,
    reader::place,
    resume::{Resumable, resuming},
    table::BodyFill,
    taker::Taker,
    upstream::{DownBody, UpstreamError, UpstreamResponse},
};

/// How long it rests where a client has taken nothing for long.
const PAUSE: Duration = Duration::from_millis(250);
/// Pieces between the task that fetches and the client's connection.
const PIECES: usize = 4;

impl Engine {
    /// The client's own request as it is, whose bytes are fetched as it takes them.
    pub async fn exactly(
        self: &Arc<Self>,
        ask: &Ask,
        due: Instant,
    ) -> Result<Passed, UpstreamError> {
        self.counters.exact.fetch_add(1, Ordering::Relaxed);
        let passed = |response| {
            let reason = Some(PassReason::ClientBudget);
            Passed { response, fwd: Forward::UriMiss, reason }
        };
        if let Some(response) = self.in_windows(ask, due).await? {
            return Ok(passed(response));
        }
        let mut response = self.pass_by(ask, ask.method(), None, Some(due)).await?;
        response.body = counted(ask, response.body);
        Ok(passed(response))
    }

    /// The same for one range of more than a window, of which the upstream sends one. None where
    /// it does not.
    async fn in_windows(
        self: &Arc<Self>,
        ask: &Ask,
        due: Instant,
    ) -> Result<Option<UpstreamResponse>, UpstreamError> {
        let Some((first, last)) = ask.range else { return Ok(None) };
        let upto = first.saturating_add(OPENING - 1);
        if last.is_some_and(|last| last <= upto) {
            return Ok(None);
        }
        let mut fields = (*ask.alone_headers).clone();
        with_range(&mut fields, first, Some(upto));
        let window = Ask { alone_headers: Arc::new(fields), ..ask.clone() };
        let mut response = self.pass_by(&window, ask.method(), None, Some(due)).await?;
        if response.status != StatusCode::PARTIAL_CONTENT {
            response.body = counted(ask, response.body);
            return Ok(Some(response));
        }
        let (Some(ContentRange::Bytes { range, size: Some(size) }), Some(etag)) =
            (ContentRange::of(&response.headers), judge::strong_etag(&response.headers))
        else {
            return Ok(None);
        };
        let as_asked = range.first == first && range.last == upto.min(size - 1);
        if !as_asked || size > judge::OBJECT_MAX {
            return Ok(None);
        }
        let last = last.unwrap_or(u64::MAX).min(size - 1);
        let place = ContentRange::Bytes { range: ByteRange { first, last }, size: Some(size) };
        response.headers.insert(header::CONTENT_RANGE, place.value());
        response.headers.insert(header::CONTENT_LENGTH, (last + 1 - first).into());
        response.content_length = Some(last + 1 - first);
        let whole = ByteRange { first, last };
        response.body = self.windows(ask, response.body, (range.end(), size), whole, etag);
        Ok(Some(response))
    }

    /// Bytes of a range of which those before `upto` are on their way.
    fn windows(
        self: &Arc<Self>,
        ask: &Ask,
        body: DownBody,
        (upto, size): (u64, u64),
        ByteRange { first, last }: ByteRange,
        etag: HeaderValue,
    ) -> DownBody {
        let demand = Demand::of(ask.client.clone(), 0);
        demand.grant(upto);
        let mut taker = Taker::new(ask, first);
        taker.follow(&demand, first);
        // Nobody finds it: it is in no table.
        let (index, behind, end) = (place(first).0, place(last).0 + 1, last + 1);
        let generation = self.cache.next_generation();
        let fill = Arc::new(BodyFill::new(generation, index, Some(behind), demand));
        let (engine, whole) = (Arc::clone(self), Arc::clone(&fill));
        let rest = Resumable {
            upstream: Arc::clone(&ask.upstream),
            path_and_query: ask.path_and_query.to_string(),
            authority: ask.authority.as_deref().map(str::to_owned),
            headers: (*ask.headers).clone(),
            deadline: ask.policy.deadline,
            etag,
            at: first,
            end,
            size,
            attempts_left: ask.policy.resumes,
            failures: 0,
            whole: Whole { engine, ask: ask.clone(), fill: whole },
        };
        let (sender, receiver) = mpsc::channel(PIECES);
        let fetching = Fetching { engine: Arc::clone(self), ask: ask.clone(), fill, first, end };
        // On the fill runtime, so that pooled connections do not die with a worker.
        self.runtime.spawn(fetching.run(resuming(Some((body, upto)), rest), sender));
        taken(receiver, taker, end - first).boxed()
    }
}

/// Pieces that are paid for as they come, and earn as they are taken.
fn counted(ask: &Ask, body: DownBody) -> DownBody {
    let client = ask.client.clone();
    let count = move |piece: &Result<Bytes, UpstreamError>| {
        if let (Ok(piece), Some(client)) = (piece, &client) {
            let (bytes, now) = (piece.len() as u64, Instant::now());
            client.spend(bytes, now);
            client.earn(bytes, now);
        }
    };
    body.inspect(count).boxed()
}

type Piece = Result<Bytes, UpstreamError>;

/// What brings the windows.
struct Fetching {
    engine: Arc<Engine>,
    ask: Ask,
    fill: Arc<BodyFill>,
    first: u64,
    end: u64,
}

impl Fetching {
    /// Until all is there, or nobody takes any more.
    async fn run(self, mut body: DownBody, sender: mpsc::Sender<Piece>) {
        let Self { engine, ask, fill, first, end } = &self;
        let mut at = *first;
        while at < *end && !sender.is_closed() {
            let stand = || Stand {
                start: *first,
                at,
                end: Some(*end),
                whole: false,
                again: true,
                short: is_short(engine, ask),
            };
            // Who takes nothing for long holds no place among the fills, and may go on.
            if !goes_on(fill, stand).await {
                let _closed = timeout(PAUSE, sender.closed()).await;
                continue;
            }
            let piece = tokio::select! {
                piece = body.next() => piece,
                () = sender.closed() => break,
            };
            let Some(piece) = piece else { return };
            let (length, broken) = piece.as_ref().map_or((0, true), |piece| (piece.len(), false));
            at += length as u64;
            fill.demand.brought(length as u64);
            if sender.send(piece).await.is_err() || broken {
                break;
            }
        }
        if at < *end {
            fill.demand.left(at, Some(at));
        }
    }
}

/// What comes, as its client takes it.
fn taken(
    receiver: mpsc::Receiver<Piece>,
    taker: Taker,
    left: u64,
) -> impl Stream<Item = Piece> + Send {
    let state = (receiver, taker, left);
    futures::stream::unfold(state, |(mut receiver, mut taker, mut left)| async move {
        let piece = loop {
            let Some(look) = taker.looks() else { break receiver.recv().await? };
            match timeout(look, receiver.recv()).await {
                Ok(piece) => break piece?,
                Err(_) => taker.look(),
            }
        };
        if let Ok(piece) = &piece {
            left = left.saturating_sub(piece.len() as u64);
            taker.takes(piece.len() as u64, left == 0);
        }
        Some((piece, (receiver, taker, left)))
    })
}
