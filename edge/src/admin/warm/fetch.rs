//! One object: brought by the node's own fill engine, as a client's request would bring it, and
//! onto the disks without having been asked for twice.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::{StreamExt, pin_mut};
use http::{HeaderMap, header};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use weir_edge_cache::{CHUNK_SIZE, Pin, StoredObject, chunks_of};
use weir_edge_fill::{Answer, Ask, Found, How, Passed, Place, upstream::UpstreamError};
use weir_edge_freshness::{PassReason, RequestControl};
use weir_edge_playlist::{ByteRange, Format, Ladder, PLAYLIST_MAX, format_of};

use super::{job::Job, pace::Pace};
use crate::{
    admit::Admitted,
    lookup,
    node::Node,
    traces::{Behalf, on_behalf},
};

/// How often an object that changes while it is brought is asked for anew.
const ANEW: usize = 3;
/// Rounds in which what is still missing is asked for.
const ROUNDS: usize = 3;
/// Between two looks whether a fill has put down its last chunk.
const LOOK: Duration = Duration::from_millis(5);
/// What is read to tell a playlist by its beginning.
const BEGINNING: u64 = 4096;

/// What the objects of a job share.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) node: Arc<Node>,
    pub(super) job: Arc<Job>,
    pub(super) pace: Option<Mutex<Pace>>,
    pub(super) ladder: Ladder,
}

/// An object that is here now.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// Whether anything of it had to come.
    pub(super) came: bool,
    pub(super) fetched_bytes: u64,
    pub(super) had_bytes: u64,
    pub(super) pinned: bool,
    /// The playlist that it is, where it may be one.
    pub(super) playlist: Option<(Format, Vec<u8>)>,
}

impl Fetched {
    fn is_others(&mut self, others: bool) {
        if others {
            self.had_bytes += std::mem::take(&mut self.fetched_bytes);
            self.came = false;
        }
    }
}

impl Fetcher {
    /// Brings an object, or a range of it. With `list` it is looked whether it is a playlist;
    /// one that may be `large` is asked for in parts from the beginning where there is a pace.
    pub(super) async fn fetch(
        &self,
        admitted: &Admitted,
        range: Option<ByteRange>,
        list: bool,
        large: bool,
    ) -> Result<Fetched, String> {
        let mut ask = lookup::ask(admitted, Place::of(lookup::key(admitted)), &HeaderMap::new());
        let behalf = Behalf { object: ask.id, request: None, trail: None };
        ask.upstream = on_behalf(ask.upstream, behalf);
        // What is stale is not good enough, also where others are served it meanwhile.
        ask.control = RequestControl { min_fresh: Some(0), ..ask.control };
        let window = self.pace.as_ref().filter(|_| large && range.is_none());
        let window = window.map(|pace| (0, Some(pace.lock().window(CHUNK_SIZE as u64) - 1)));
        ask.range = range.map(|range| (range.first, Some(range.last))).or(window);
        let pin = self.job.request.pin.then_some(Pin::FOR_GOOD);
        // Held until every chunk was put down.
        let _wanted = self.node.engine.cache().want(&ask.id, pin);
        let mut anew = ANEW;
        loop {
            self.turn().await;
            let due = Instant::now() + ask.policy.deadline;
            let found = match self.node.engine.resolve_by(&ask, due).await {
                Ok(Answer::Object(found)) => found,
                Ok(Answer::Passed(passed)) => return Err(not_kept(&passed)),
                Err(error) => return Err(error.to_string()),
            };
            if !found.object().status.is_success() {
                return Err(format!("the upstream answered {}", found.object().status));
            }
            match self.bring(&ask, &found, range, list).await {
                Err(UpstreamError::Contradiction { .. }) if anew > 0 => anew -= 1,
                Err(error) => return Err(error.to_string()),
                Ok((fetched, missing)) if missing > 0 => {
                    let kept = fetched.fetched_bytes + fetched.had_bytes;
                    return Err(format!("{missing} chunks of it are on no disk ({kept} B came)"));
                }
                Ok((fetched, _)) => return Ok(fetched),
            }
        }
    }

    /// Brings what is missing, and says how many chunks no disk has afterwards.
    async fn bring(
        &self,
        ask: &Ask,
        found: &Found,
        range: Option<ByteRange>,
        list: bool,
    ) -> Result<(Fetched, u32), UpstreamError> {
        let mut fetched = Fetched::default();
        // Of a fill that began just now chunks may be here before we look.
        let stayed = matches!(
            found.how,
            How::Hit | How::Revalidated | How::StaleOnError | How::StaleWhileRevalidate
        );
        // What somebody else had begun to fetch came once, and is told as theirs.
        let others = matches!(found.how, How::Collapsed { .. });
        let Some(size) = found.size() else {
            // Until it ends nobody knows where.
            let mut body = Vec::new();
            fetched.fetched_bytes =
                self.drain(ask, found, None, &mut Keep::whole(&mut body, list)).await?;
            let missing = match self.settled(found.object(), ask.policy.deadline).await {
                Some(object) => self.put_down(&object, range).await,
                None => 0,
            };
            fetched.came = true;
            fetched.is_others(others);
            fetched.pinned = self.pin(found.object());
            fetched.playlist = playlist(found.object(), body);
            return Ok((fetched, missing));
        };
        let object = found.object();
        let whole = range
            .map_or(0..size, |range| range.first.min(size)..range.last.saturating_add(1).min(size));
        let length = whole.end - whole.start;
        if stayed {
            let missing = self.missing(object, &whole).await;
            fetched.had_bytes = length - missing.iter().map(|run| run.end - run.start).sum::<u64>();
        }
        let mut left = 0;
        for _ in 0..ROUNDS {
            for run in self.missing(object, &whole).await {
                for window in self.windows(run) {
                    fetched.fetched_bytes +=
                        self.drain(ask, found, Some(window), &mut Keep::Nothing).await?;
                }
            }
            self.settle(object, &whole, ask.policy.deadline).await;
            left = self.put_down(object, range).await;
            if left == 0 {
                break;
            }
        }
        if !stayed {
            self.took(length.saturating_sub(fetched.fetched_bytes));
            fetched.fetched_bytes = fetched.fetched_bytes.max(length);
        }
        fetched.came = !stayed || fetched.fetched_bytes > 0;
        fetched.is_others(others);
        fetched.pinned = self.pin(object);
        if list && self.may_be_playlist(ask, found, size).await? {
            let mut body = Vec::new();
            // One that is too long is found so by one byte more.
            let most = PLAYLIST_MAX as u64 + 1;
            let part = (size > most).then_some(0..most);
            self.drain(ask, found, part, &mut Keep::whole(&mut body, true)).await?;
            fetched.playlist = playlist(object, body);
        }
        Ok((fetched, left))
    }

    async fn may_be_playlist(
        &self,
        ask: &Ask,
        found: &Found,
        size: u64,
    ) -> Result<bool, UpstreamError> {
        let mut body = Vec::new();
        let beginning = Some(0..size.min(BEGINNING));
        self.drain(ask, found, beginning, &mut Keep::whole(&mut body, true)).await?;
        Ok(format_of(content_type(found.object()).as_deref(), &body).is_some())
    }

    /// Reads a range to its end, at the pace there is. Gives its bytes.
    async fn drain(
        &self,
        ask: &Ask,
        found: &Found,
        range: Option<Range<u64>>,
        keep: &mut Keep<'_>,
    ) -> Result<u64, UpstreamError> {
        self.turn().await;
        let found = found.anew(ask.policy.deadline);
        let pieces = self.node.engine.open(ask, &found, range).await?.into_stream();
        pin_mut!(pieces);
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            self.took(piece.len() as u64);
            keep.take(&piece);
        }
        Ok(bytes)
    }

    /// Waits until the pace allows more; a job that is cancelled takes this away as it waits.
    async fn turn(&self) {
        // Nobody waits for it, and others do.
        self.node.load.calm().await;
        let Some(pace) = &self.pace else { return };
        loop {
            let wait = pace.lock().wait(Instant::now());
            if wait.is_zero() {
                return;
            }
            sleep(wait).await;
        }
    }

    fn took(&self, bytes: u64) {
        if let Some(pace) = &self.pace {
            pace.lock().took(bytes, Instant::now());
        }
    }

    fn windows(&self, run: Range<u64>) -> Vec<Range<u64>> {
        let chunk = CHUNK_SIZE as u64;
        let Some(pace) = &self.pace else { return vec![run] };
        let window = pace.lock().window(chunk);
        let mut found = Vec::new();
        let mut at = run.start;
        while at < run.end {
            let end = ((at / window + 1) * window).min(run.end);
            found.push(at..end);
            at = end;
        }
        found
    }

    /// The parts of a range that no tier surely has: the disks are asked for the very chunks,
    /// since what they remember of them may be true of others.
    async fn missing(&self, object: &StoredObject, range: &Range<u64>) -> Vec<Range<u64>> {
        let chunk = CHUNK_SIZE as u64;
        let cache = self.node.engine.cache();
        let mut found: Vec<Range<u64>> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let index = u32::try_from(at / chunk).expect("objects are bounded when admitted");
            let end = ((at / chunk + 1) * chunk).min(range.end);
            if cache.holds(&object.chunk_key(index)).await != Some(true) {
                match found.last_mut() {
                    Some(last) if last.end == at => last.end = end,
                    _ => found.push(at..end),
                }
            }
            at = end;
        }
        found
    }

    /// A reader has the last bytes before their chunk is put down: waits for that.
    async fn settle(&self, object: &StoredObject, range: &Range<u64>, longest: Duration) {
        let until = Instant::now() + longest;
        let last = range.end.saturating_sub(1).max(range.start)..range.end;
        while !self.missing(object, &last).await.is_empty() && Instant::now() < until {
            if self.node.engine.under_way() == 0 {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// The same for an object whose size is known at its end only.
    async fn settled(&self, object: &StoredObject, longest: Duration) -> Option<Arc<StoredObject>> {
        let until = Instant::now() + longest;
        loop {
            let found = self.node.engine.cache().object(&object.id, &object.key);
            match found.filter(|found| found.generation == object.generation) {
                Some(found) => return Some(found),
                None if self.node.engine.under_way() == 0 || Instant::now() >= until => {
                    return None;
                }
                None => sleep(LOOK).await,
            }
        }
    }

    /// Gives the disks what RAM alone has; how many chunks of the range no disk has afterwards.
    async fn put_down(&self, object: &StoredObject, range: Option<ByteRange>) -> u32 {
        let Some(_disks) = &self.node.disks else { return 0 };
        let brought = self.node.engine.cache().bring_together(object).await;
        match range {
            None => brought.missing,
            // Of a part, the others may well be missing.
            Some(range) => {
                let end = range.last.saturating_add(1).min(object.size);
                let left = self.missing(object, &(range.first.min(end)..end)).await;
                left.iter().map(|run| chunks_of(run.end - run.start)).sum()
            }
        }
    }

    fn pin(&self, object: &StoredObject) -> bool {
        self.job.request.pin && self.node.engine.cache().pin(&object.id, Pin::FOR_GOOD).is_ok()
    }
}

/// What of a body is kept here: playlists are read.
enum Keep<'b> {
    Nothing,
    /// As much as a playlist may have, and one byte more.
    Beginning(&'b mut Vec<u8>),
}

impl<'b> Keep<'b> {
    fn whole(body: &'b mut Vec<u8>, list: bool) -> Self {
        if list { Self::Beginning(body) } else { Self::Nothing }
    }

    fn take(&mut self, piece: &[u8]) {
        if let Self::Beginning(body) = self {
            let room = (PLAYLIST_MAX + 1).saturating_sub(body.len());
            body.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    }
}

fn content_type(object: &StoredObject) -> Option<String> {
    let value = object.header(&header::CONTENT_TYPE)?;
    value.to_str().ok().map(str::to_owned)
}

fn playlist(object: &StoredObject, body: Vec<u8>) -> Option<(Format, Vec<u8>)> {
    let format = format_of(content_type(object).as_deref(), &body)?;
    Some((format, body))
}

fn not_kept(passed: &Passed) -> String {
    let status = passed.response.status;
    if status.is_client_error() || status.is_server_error() || status.is_redirection() {
        return format!("the upstream answered {status}");
    }
    let why = passed.reason.map_or("it is too large, or another asks for it", PassReason::as_str);
    format!("the answer may not be kept ({why})")
}
