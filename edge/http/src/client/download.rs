//! The body of an answer on its way down: counted against what was declared, watched for
//! silence, and holding its connection until it is sure that nothing follows.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::{
    connection::H1,
    error::{ClientError, ClientPhase},
    pool::Host,
    upload::Progress,
};

/// The body of an answer: a stream of non-empty pieces, without trailers. Once the declared
/// length has come, the last piece is held back until the connection shows whether more
/// follows, so that an answer that is too long never looks whole.
pub struct Download {
    incoming: Incoming,
    stage: Stage,
    gap: Duration,
    /// Runs only while a piece is awaited.
    timer: Option<Pin<Box<Sleep>>>,
    got: u64,
    expected: Option<u64>,
    held: Option<Bytes>,
    hold: Option<Hold>,
}

enum Stage {
    Reading,
    Finishing,
    Done,
}

/// An HTTP/1.1 connection that is busy with this answer.
pub(super) struct Hold {
    pub(super) h1: H1,
    pub(super) host: Arc<Host>,
    pub(super) upload: Arc<Progress>,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("got", &self.got)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl Download {
    pub(super) fn new(
        incoming: Incoming,
        expected: Option<u64>,
        gap: Duration,
        hold: Option<Hold>,
    ) -> Self {
        let empty = incoming.is_end_stream() && expected.is_none_or(|expected| expected == 0);
        let stage = if empty { Stage::Finishing } else { Stage::Reading };
        Self { incoming, stage, gap, timer: None, got: 0, expected, held: None, hold }
    }

    /// Bytes the whole body has, where declared.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Gives the connection of an answer back that has no body, without waiting for anybody
    /// to read it.
    pub(super) async fn settle(&mut self) -> Result<(), ClientError> {
        if matches!(self.stage, Stage::Finishing) {
            self.stage = Stage::Done;
            std::future::poll_fn(|cx| self.poll_finish(cx)).await?;
        }
        Ok(())
    }

    /// Whether the exchange is over cleanly: what waits in the connection decides.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        let Some(hold) = self.hold.as_mut() else { return Poll::Ready(Ok(())) };
        if !hold.upload.is_done() {
            // Answered before the request was whole (RFC 9112 §9.5): the rest of the request
            // stays unsent and the connection ends.
            self.hold = None;
            return Poll::Ready(Ok(()));
        }
        // hyper takes the next request only after it saw the connection empty.
        match ready!(hold.h1.sender.poll_ready(cx)) {
            Ok(()) => {
                if let Some(Hold { h1, host, .. }) = self.hold.take() {
                    host.give_back(h1);
                }
                Poll::Ready(Ok(()))
            }
            Err(_) => {
                let leftover = ready!(Pin::new(&mut hold.h1.ended).poll(cx)).unwrap_or(false);
                self.hold = None;
                if leftover {
                    Poll::Ready(Err(ClientError::Overlong { got: self.got }))
                } else {
                    Poll::Ready(Ok(()))
                }
            }
        }
    }

    /// Ready when nothing came for the whole gap.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<ClientError> {
        let gap = self.gap;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(gap)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(ClientError::Silent { phase: ClientPhase::Body, after: gap })
    }

    fn fail(&mut self, error: ClientError) -> Poll<Option<Result<Bytes, ClientError>>> {
        self.stage = Stage::Done;
        self.held = None;
        self.timer = None;
        self.hold = None;
        Poll::Ready(Some(Err(error)))
    }

    /// Takes one frame in; `Some` when there is something to hand out.
    fn take(&mut self, frame: Frame<Bytes>) -> Option<Result<Bytes, ClientError>> {
        // RFC 9111 §3.1 [fields.trailers]: they are dropped, as RFC 9110 §6.5.1 allows; nothing
        // here knows any of them.
        let piece = frame.into_data().ok().filter(|piece| !piece.is_empty())?;
        if self.held.is_some() {
            return Some(Err(ClientError::Overlong { got: self.got }));
        }
        self.got += piece.len() as u64;
        match self.expected {
            Some(expected) if self.got > expected => {
                Some(Err(ClientError::Overlong { got: expected }))
            }
            Some(expected) if self.got == expected => {
                self.held = Some(piece);
                None
            }
            _ => Some(Ok(piece)),
        }
    }
}

impl Stream for Download {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ClientError>>> {
        let this = &mut *self;
        loop {
            match this.stage {
                Stage::Done => return Poll::Ready(None),
                Stage::Reading => match Pin::new(&mut this.incoming).poll_frame(cx) {
                    Poll::Pending => {
                        let error = ready!(this.poll_silence(cx));
                        return this.fail(error);
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        this.timer = None;
                        match this.take(frame) {
                            Some(Ok(piece)) => return Poll::Ready(Some(Ok(piece))),
                            Some(Err(error)) => return this.fail(error),
                            None => {}
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        let error = ClientError::in_body(&error, this.got, this.expected);
                        return this.fail(error);
                    }
                    Poll::Ready(None) => {
                        this.timer = None;
                        if let Some(expected) = this.expected
                            && this.got < expected
                        {
                            let reason = "the answer ended".to_owned();
                            let (got, expected) = (this.got, Some(expected));
                            return this.fail(ClientError::Truncated { got, expected, reason });
                        }
                        this.stage = Stage::Finishing;
                    }
                },
                Stage::Finishing => match this.poll_finish(cx) {
                    Poll::Pending => {
                        let error = ready!(this.poll_silence(cx));
                        return this.fail(error);
                    }
                    Poll::Ready(Err(error)) => return this.fail(error),
                    Poll::Ready(Ok(())) => {
                        this.stage = Stage::Done;
                        this.timer = None;
                        if let Some(piece) = this.held.take() {
                            return Poll::Ready(Some(Ok(piece)));
                        }
                    }
                },
            }
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        self.poll_next(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |piece| piece.len() as u64);
        self.expected.map_or_else(SizeHint::new, |expected| {
            SizeHint::with_exact(expected.saturating_sub(self.got - held))
        })
    }
}
