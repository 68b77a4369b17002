//! Bodies between the port and the SDK, in both directions, never collected.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use weir_origin_store::{ObjectBody, StoreError};

use crate::failure;

/// An object on its way down: exactly `expected` bytes, or an error.
pub(crate) fn down(body: ByteStream, expected: u64) -> ObjectBody {
    stream::unfold(Some((body, 0)), move |state| async move {
        let (mut body, got) = state?;
        match body.next().await {
            Some(Ok(piece)) => {
                let got = got + piece.len() as u64;
                if got > expected {
                    let reason = format!("more bytes than the {expected} declared");
                    return Some((Err(StoreError::Untrusted(reason)), None));
                }
                Some((Ok(piece), Some((body, got))))
            }
            Some(Err(error)) => Some((Err(failure::in_body(&error, got, expected)), None)),
            None if got < expected => {
                let reason = "the answer ended".to_owned();
                Some((Err(StoreError::Truncated { got, expected, reason }), None))
            }
            None => None,
        }
    })
    .boxed()
}

/// Why a body could not be sent, kept for the answer to the caller: the SDK would wrap it
/// beyond recognition.
pub(crate) type Cause = Arc<Mutex<Option<StoreError>>>;

/// An object on its way up: exactly `size` bytes, or none of it is written.
pub(crate) async fn up(mut body: ObjectBody, size: u64) -> Result<(ByteStream, Cause), StoreError> {
    if size == 0 {
        expect_nothing(&mut body).await?;
    }
    let cause = Cause::default();
    let up = Up { body: Mutex::new(body), left: size, size, held: None, cause: cause.clone() };
    Ok((ByteStream::new(SdkBody::from_body_1_x(up)), cause))
}

/// Nobody would ask for the pieces of an empty body.
async fn expect_nothing(body: &mut ObjectBody) -> Result<(), StoreError> {
    while let Some(piece) = body.next().await.transpose()? {
        if !piece.is_empty() {
            let got = piece.len() as u64;
            let reason = "there are more bytes than said".to_owned();
            return Err(StoreError::Truncated { got, expected: 0, reason });
        }
    }
    *body = stream::empty().boxed();
    Ok(())
}

struct Up {
    /// Never locked: the lock makes the stream shareable, as the SDK wants it.
    body: Mutex<ObjectBody>,
    left: u64,
    size: u64,
    /// The last piece, until it is sure that nothing follows: nobody asks once all is sent.
    held: Option<Bytes>,
    cause: Cause,
}

/// Stands for the error in [`Cause`].
#[derive(Debug, thiserror::Error)]
#[error("the object's bytes could not be read")]
struct Unreadable;

impl Up {
    fn fail(&mut self, error: StoreError) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        *self.cause.lock() = Some(error);
        self.left = 0;
        self.held = None;
        *self.body.get_mut() = stream::empty().boxed();
        Poll::Ready(Some(Err(Unreadable)))
    }

    fn wrong_length(&self, got: u64, reason: &str) -> StoreError {
        StoreError::Truncated { got, expected: self.size, reason: reason.to_owned() }
    }
}

impl Body for Up {
    type Data = Bytes;
    type Error = Unreadable;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        loop {
            let piece = match self.body.get_mut().poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(piece) => piece,
            };
            return match piece {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => match self.left.checked_sub(piece.len() as u64) {
                    Some(0) => {
                        self.left = 0;
                        self.held = Some(piece);
                        continue;
                    }
                    Some(left) => {
                        self.left = left;
                        Poll::Ready(Some(Ok(Frame::data(piece))))
                    }
                    None => {
                        let error = self.wrong_length(self.size, "there are more bytes than said");
                        self.fail(error)
                    }
                },
                Some(Err(error)) => self.fail(error),
                None if self.left > 0 => {
                    let got = self.size - self.left;
                    let error = self.wrong_length(got, "there are fewer bytes than said");
                    self.fail(error)
                }
                None => {
                    *self.body.get_mut() = stream::empty().boxed();
                    Poll::Ready(self.held.take().map(|piece| Ok(Frame::data(piece))))
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |piece| piece.len() as u64);
        SizeHint::with_exact(self.left + held)
    }
}
