//! Several ranges of an object in one answer (RFC 9110 §14.6, §15.3.7.2).

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use weir_edge_fill::{Ask, Engine, Found, Reader, Tier, upstream::UpstreamError};
use weir_edge_freshness::{ByteRange, Multipart};
use weir_edge_http::{BodyError, ResponseBody};

/// The offsets of a range.
pub(crate) fn offsets(range: &ByteRange) -> Range<u64> {
    range.first..range.end()
}

/// A body whose parts are all at hand: `pieces` of each range.
pub(crate) fn at_hand(frame: &Multipart<'_>, pieces: Vec<Vec<Bytes>>) -> ResponseBody {
    let mut all: Vec<Bytes> = Vec::new();
    for (range, pieces) in frame.ranges.iter().zip(pieces) {
        all.push(frame.head(*range).into());
        all.extend(pieces);
    }
    all.push(frame.tail().into());
    ResponseBody::stream(futures::stream::iter(all.into_iter().map(Ok)), Some(frame.length()))
}

/// What it takes to go on to the next part.
struct Parts {
    engine: Arc<Engine>,
    ask: Ask,
    found: Found,
    /// Frames and ranges still to come.
    rest: VecDeque<Step>,
    now: Option<BoxStream<'static, Result<Bytes, UpstreamError>>>,
}

enum Step {
    Frame(Bytes),
    Range(Range<u64>),
}

/// A body whose parts are read one after the other. The first one is open when this returns, so
/// that a failure up to there can still be answered with a status.
pub(crate) async fn open(
    engine: &Arc<Engine>,
    ask: &Ask,
    found: &Found,
    frame: &Multipart<'_>,
) -> Result<(ResponseBody, Option<Tier>, bool), UpstreamError> {
    let mut ranges = frame.ranges.iter();
    let first = ranges.next().expect("several ranges are at least one");
    let reader = engine.open(ask, found, Some(offsets(first))).await?;
    let (tier, refilled) = (reader.tier(), reader.refilled());
    let mut rest = VecDeque::new();
    for range in ranges {
        rest.push_back(Step::Frame(frame.head(*range).into()));
        rest.push_back(Step::Range(offsets(range)));
    }
    rest.push_back(Step::Frame(frame.tail().into()));
    let head = futures::stream::once(std::future::ready(Ok(Bytes::from(frame.head(*first)))));
    let now = Some(head.chain(reader.into_stream()).boxed());
    let parts =
        Parts { engine: Arc::clone(engine), ask: ask.clone(), found: found.clone(), rest, now };
    let body = ResponseBody::stream(parts.into_stream(), Some(frame.length()));
    Ok((body, tier, refilled))
}

impl Parts {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        futures::stream::unfold(Some(self), |parts| async move {
            let mut parts = parts?;
            match parts.next().await? {
                Ok(piece) => Some((Ok(piece), Some(parts))),
                // Bytes that do not come end the answer; the wire shows it as cut.
                Err(error) => Some((Err(BodyError(error.to_string())), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        loop {
            if let Some(now) = &mut self.now {
                match now.next().await {
                    Some(piece) => return Some(piece),
                    None => self.now = None,
                }
            }
            match self.rest.pop_front()? {
                Step::Frame(frame) => return Some(Ok(frame)),
                Step::Range(range) => {
                    // Each part has a deadline of its own: the parts before it took their time.
                    let found = self.found.anew(self.ask.policy.deadline);
                    match self.engine.open(&self.ask, &found, Some(range)).await {
                        Ok(reader) => self.now = Some(Reader::into_stream(reader).boxed()),
                        Err(error) => return Some(Err(error)),
                    }
                }
            }
        }
    }
}
