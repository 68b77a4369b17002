//! The body of a request on its way up, and whose turn it is: a peer is silent only while it
//! has something to read or to answer, not while we wait for the body's own source.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::BodyError;

/// What goes up with a request.
pub struct Upload {
    source: Option<BoxStream<'static, Result<Bytes, BodyError>>>,
    /// Bytes still to come where the length was declared.
    left: Option<u64>,
    progress: Arc<Progress>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Upload {
    /// No body.
    pub fn empty() -> Self {
        Self { source: None, left: Some(0), progress: Progress::new(true) }
    }

    /// Pieces as they come. `length` is exact where given: a source that yields less or more
    /// breaks the request off.
    pub fn stream(
        source: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self { source: Some(Box::pin(source)), left: length, progress: Progress::new(false) }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.source.is_none()
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(source) = this.source.as_mut() else { return Poll::Ready(None) };
        this.progress.turn(Turn::Source);
        let piece = ready!(source.as_mut().poll_next(cx));
        this.progress.turn(if piece.is_some() { Turn::Peer } else { Turn::Done });
        let result = match (piece, this.left) {
            (Some(Ok(piece)), Some(left)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => {
                    this.left = Some(left);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                None => Some(Err(BodyError("more bytes than declared".into()))),
            },
            (Some(Ok(piece)), None) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
            (Some(Err(error)), _) => Some(Err(error)),
            (None, Some(left)) if left > 0 => {
                Some(Err(BodyError(format!("{left} of the declared bytes are missing"))))
            }
            (None, _) => None,
        };
        this.source = None;
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// Whose turn it is to move an upload on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The body's source has been asked for more.
    Source,
    /// The peer has bytes to take.
    Peer,
    /// The whole body is handed over.
    Done,
}

/// Shared by an upload and the task that waits for the answer.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<(Turn, Instant)>,
    moved: Notify,
}

impl Progress {
    fn new(done: bool) -> Arc<Self> {
        let turn = if done { Turn::Done } else { Turn::Peer };
        Arc::new(Self { state: Mutex::new((turn, Instant::now())), moved: Notify::new() })
    }

    fn turn(&self, turn: Turn) {
        *self.state.lock() = (turn, Instant::now());
        self.moved.notify_one();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.lock().0 == Turn::Done
    }

    /// Since when the peer is to move; none while the source is.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let (turn, since) = *self.state.lock();
        (turn != Turn::Source).then_some(since)
    }

    /// Resolves when the turn changed since the last call.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }
}
