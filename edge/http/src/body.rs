//! Bodies as they pass between the process and the wire: pieces of `Bytes`, no copy, no
//! channel.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use http_body::{Body, Frame, SizeHint};

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
    pub fn empty() -> Self {
        Self { pieces: None, length: Some(0) }
    }

    pub fn stream(
        pieces: BoxStream<'static, Result<Bytes, BodyError>>,
        length: Option<u64>,
    ) -> Self {
        Self { pieces: Some(pieces), length }
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_none()
    }

    /// Bytes the client declared; none when it declared nothing.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, BodyError>> {
        self.pieces.unwrap_or_else(|| Box::pin(futures::stream::empty()))
    }
}

/// What the process answers with.
pub struct ResponseBody {
    source: Source,
    /// Bytes still to come, where the total is known.
    remaining: Option<u64>,
}

enum Source {
    Empty,
    Full(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>),
}

impl ResponseBody {
    pub fn empty() -> Self {
        Self { source: Source::Empty, remaining: Some(0) }
    }

    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { remaining: Some(bytes.len() as u64), source: Source::Full(bytes) }
    }

    /// `length` is exact where given: a stream that ends early or late is an error.
    pub fn stream(
        pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self { source: Source::Stream(Box::pin(pieces)), remaining: length }
    }

    /// Bytes still to come, where known.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
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
            Source::Stream(stream) => match stream.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(piece) => piece,
            },
        };
        Poll::Ready(match (piece, this.remaining) {
            (Some(Ok(piece)), Some(left)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => {
                    this.remaining = Some(left);
                    Some(Ok(Frame::data(piece)))
                }
                None => Some(Err(BodyError("more bytes than declared".into()))),
            },
            (Some(Ok(piece)), None) => Some(Ok(Frame::data(piece))),
            (Some(Err(error)), _) => Some(Err(error)),
            (None, Some(left)) if left > 0 => {
                this.remaining = Some(0);
                Some(Err(BodyError(format!("{left} bytes missing"))))
            }
            (None, _) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => self.remaining.is_none_or(|left| left == 0),
            Source::Full(bytes) => bytes.is_empty(),
            Source::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
