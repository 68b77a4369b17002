//! The body of one request, held to what its headers say.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::stream;
use h3::server::RequestStream;
use http::{HeaderMap, header};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::receive::{Recv, Verdict};
use crate::{
    body::{BodyError, RequestBody},
    handler::Protocol,
    message::length,
    pace::{Pace, Waited},
    serve::{passage::Slow, state::State},
};

/// RFC 9114 §4.1.2: the length does not agree with itself or with the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What Content-Length declares.
pub(super) fn declared(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut declared = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let number = length(value.as_bytes()).ok_or(Malformed)?;
        if declared.is_some_and(|other| other != number) {
            return Err(Malformed);
        }
        declared = Some(number);
    }
    Ok(declared)
}

/// What the response's side must know of the request's body.
pub(super) struct Upload {
    malformed: AtomicBool,
    /// What was found below h3.
    verdict: Verdict,
    /// The stream, once the handler has let go of it.
    left: Mutex<Option<RequestStream<Recv, Bytes>>>,
}

impl Upload {
    pub(super) fn new(verdict: Verdict) -> Self {
        Self { malformed: AtomicBool::new(false), verdict, left: Mutex::default() }
    }

    /// The body has broken its length, or the message is wrong in another way.
    pub(super) fn is_malformed(&self) -> bool {
        self.malformed.load(Relaxed) || self.verdict.get().is_some()
    }

    /// The response is complete: a client that still sends may stop (RFC 9114 §4.1). One whose
    /// end is there already, or whose request had no body, is not told anything.
    pub(super) fn settle(&self) {
        let Some(mut stream) = self.left.lock().take() else { return };
        let _ = poll(&mut stream, &mut Context::from_waker(Waker::noop()));
    }
}

/// The rest of a body.
pub(super) struct Input {
    /// Only taken when dropped.
    stream: Option<RequestStream<Recv, Bytes>>,
    /// Read ahead, to learn whether there is a body at all.
    first: Option<Bytes>,
    declared: Option<u64>,
    seen: u64,
    limit: u64,
    /// Between two pieces that somebody waits for, and how little they may be.
    stall: Duration,
    pace: Pace,
    waited: Waited,
    upload: Arc<Upload>,
    state: Arc<State>,
}

impl Drop for Input {
    fn drop(&mut self) {
        *self.upload.left.lock() = self.stream.take();
    }
}

impl Input {
    /// The body of a request, as far as `limit`.
    pub(super) async fn body(
        mut stream: RequestStream<Recv, Bytes>,
        declared: Option<u64>,
        (limit, stall, pace): (u64, Duration, Pace),
        upload: Arc<Upload>,
        state: Arc<State>,
    ) -> Result<RequestBody, Malformed> {
        // The end comes with the headers nearly always.
        let ahead = poll_fn(|cx| Poll::Ready(poll(&mut stream, cx))).await;
        let first = match ahead {
            Poll::Ready(Ok(None)) if declared.unwrap_or(0) == 0 => {
                return Ok(RequestBody::empty());
            }
            Poll::Ready(Ok(None)) => return Err(Malformed),
            Poll::Ready(Err(_)) if upload.is_malformed() => return Err(Malformed),
            Poll::Ready(Ok(first)) => first,
            // Comes up again when the handler reads.
            Poll::Ready(Err(_)) | Poll::Pending => None,
        };
        let stream = Some(stream);
        let (seen, waited) = (0, Waited::default());
        let input =
            Self { stream, first, declared, seen, limit, stall, pace, waited, upload, state };
        let pieces = stream::unfold(Some(input), |input| async {
            let mut input = input?;
            let piece = input.next().await?;
            let next = piece.is_ok().then_some(input);
            Some((piece, next))
        });
        Ok(RequestBody::stream(Box::pin(pieces), declared))
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let since = Instant::now();
        let piece = match self.first.take() {
            Some(piece) => Ok(Some(piece)),
            None => match timeout(self.stall, poll_fn(|cx| self.poll_next(cx))).await {
                Ok(piece) => piece,
                Err(_) => {
                    self.state.counters.timed_out.add(Protocol::H3);
                    Err(BodyError("the client sends nothing of what it announced".into()))
                }
            },
        };
        let piece = match piece {
            Ok(Some(piece)) => piece,
            Ok(None) if self.declared.is_none_or(|declared| declared == self.seen) => return None,
            Ok(None) => return Some(Err(self.breaks_its_length())),
            Err(error) => return Some(Err(error)),
        };
        self.seen += piece.len() as u64;
        if self.waited.is_too_slow(since.elapsed(), self.seen, self.pace) {
            self.state.counters.slow(Protocol::H3, Slow::Request);
            return Some(Err(BodyError("the client sends too slowly what it announced".into())));
        }
        Some(if self.declared.is_some_and(|declared| self.seen > declared) {
            Err(self.breaks_its_length())
        } else if self.seen > self.limit {
            Err(BodyError("larger than the server takes".into()))
        } else {
            Ok(piece)
        })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(None)) };
        let piece = poll(stream, cx);
        self.state.set_starved(piece.is_pending());
        piece
    }

    fn breaks_its_length(&self) -> BodyError {
        self.upload.malformed.store(true, Relaxed);
        BodyError("content-length and the body differ".into())
    }
}

fn poll(
    stream: &mut RequestStream<Recv, Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, BodyError>> {
    stream.poll_recv_data(cx).map(|piece| match piece {
        Ok(piece) => Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining()))),
        Err(error) => Err(BodyError(error.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let check = |values: &[&'static str], expected| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("content-length", http::HeaderValue::from_static(value));
            }
            assert_eq!(declared(&headers), expected, "{values:?}");
        };
        check(&[], Ok(None));
        check(&["0"], Ok(Some(0)));
        check(&["7", "7"], Ok(Some(7)));
        check(&["7", "8"], Err(Malformed));
        check(&["+7"], Err(Malformed));
        check(&["7, 7"], Err(Malformed));
        check(&[""], Err(Malformed));
        check(&["99999999999999999999"], Err(Malformed));
    }
}
