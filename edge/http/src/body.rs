//! Bodies as they pass between the process and the wire: pieces of `Bytes`, no copy, no
//! channel.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use http_body::{Body, Frame, SizeHint};

use crate::wire::Fault;

/// A body ended before it was whole. On the way out the server resets the stream (HTTP/2,
/// HTTP/3) or closes the connection (HTTP/1.1); it never pads and never ends it cleanly.
#[derive(Debug, Clone, thiserror::Error)]
#[error("body broke off: {0}")]
pub struct BodyError(pub String);

/// What a client sends. Empty for nearly all requests an edge sees.
pub struct RequestBody {
    pieces: Option<BoxStream<'static, Result<Bytes, BodyError>>>,
    length: Option<u64>,
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self { pieces: None, length: Some(0) }
    }

    /// Pieces as they arrive; `length` is what the client declared.
    pub fn stream(
        pieces: BoxStream<'static, Result<Bytes, BodyError>>,
        length: Option<u64>,
    ) -> Self {
        Self { pieces: Some(pieces), length }
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_none()
    }

    /// Bytes the client declared; none when it declared nothing.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Waits until it is sure that nothing comes.
    pub(crate) async fn expect_none(&mut self) -> Result<(), Fault> {
        let Some(pieces) = &mut self.pieces else { return Ok(()) };
        if self.length.is_some_and(|length| length > 0) {
            return Err(Fault::BodyOfGet);
        }
        // Some clients end a request that has no body with a frame of its own.
        while let Some(piece) = pieces.next().await {
            if !piece.is_ok_and(|piece| piece.is_empty()) {
                return Err(Fault::BodyOfGet);
            }
        }
        *self = Self::empty();
        Ok(())
    }

    /// The pieces, in order.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, BodyError>> {
        self.pieces.unwrap_or_else(|| Box::pin(futures::stream::empty()))
    }
}

/// Told once how a response's body ended: when the server let go of it.
pub trait Observer: Send {
    /// `bytes` were handed to the wire; `whole` says whether that was all of them.
    fn ended(self: Box<Self>, bytes: u64, whole: bool);
}

/// What the process answers with.
pub struct ResponseBody {
    source: Source,
    /// Bytes still to come, where the total is known.
    remaining: Option<u64>,
    sent: u64,
    observer: Option<Box<dyn Observer>>,
}

enum Source {
    Empty,
    Full(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>),
    /// The last piece is out, and asking for more gave this.
    Over(Option<BodyError>),
}

impl ResponseBody {
    /// No body.
    pub fn empty() -> Self {
        Self { source: Source::Empty, remaining: Some(0), sent: 0, observer: None }
    }

    /// A body that is already there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let remaining = Some(bytes.len() as u64);
        Self { remaining, source: Source::Full(bytes), sent: 0, observer: None }
    }

    /// `length` is exact where given: a stream that ends early or late is an error.
    pub fn stream(
        pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        let source = Source::Stream(Box::pin(pieces));
        Self { source, remaining: length, sent: 0, observer: None }
    }

    /// Has `observer` told when the server is done with this body, or gave it up.
    #[must_use]
    pub fn observed(mut self, observer: Box<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Bytes still to come, where known.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// Holds a stream of unknown length to the length its headers have announced.
    pub(crate) fn declare(&mut self, length: u64) {
        self.remaining.get_or_insert(length);
    }

    /// After the last declared byte: the stream is asked once more, at once, so that the last
    /// frame can carry the end, and what comes too much is still an error.
    fn look_behind_the_end(&mut self, cx: &mut Context<'_>) {
        let Source::Stream(stream) = &mut self.source else { return };
        let error = match stream.as_mut().poll_next(cx) {
            Poll::Pending => return,
            Poll::Ready(None) => None,
            Poll::Ready(Some(Ok(piece))) if piece.is_empty() => return,
            Poll::Ready(Some(Ok(_))) => Some(BodyError("more bytes than declared".into())),
            Poll::Ready(Some(Err(error))) => Some(error),
        };
        self.source = Source::Over(error);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let piece = match &mut this.source {
            Source::Empty => None,
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::Empty;
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Source::Over(error) => error.take().map(Err),
            Source::Stream(stream) => match stream.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(piece) => piece,
            },
        };
        Poll::Ready(match (piece, this.remaining) {
            (Some(Ok(piece)), Some(left)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => {
                    this.sent += piece.len() as u64;
                    this.remaining = Some(left);
                    if left == 0 {
                        this.look_behind_the_end(cx);
                    }
                    Some(Ok(Frame::data(piece)))
                }
                None => Some(Err(BodyError("more bytes than declared".into()))),
            },
            (Some(Ok(piece)), None) => {
                this.sent += piece.len() as u64;
                Some(Ok(Frame::data(piece)))
            }
            (Some(Err(error)), _) => Some(Err(error)),
            (None, Some(left)) if left > 0 => Some(Err(BodyError(format!("{left} bytes missing")))),
            (None, _) => {
                this.remaining = Some(0);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => self.remaining.is_none_or(|left| left == 0),
            Source::Full(bytes) => bytes.is_empty(),
            Source::Over(error) => error.is_none(),
            Source::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            observer.ended(self.sent, self.remaining == Some(0));
        }
    }
}
