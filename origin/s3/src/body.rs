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

/// An object on its way up.
pub(crate) fn up(body: ObjectBody, size: u64) -> (ByteStream, Cause) {
    let cause = Cause::default();
    let up = Up { body: Mutex::new(body), left: size, size, cause: cause.clone() };
    (ByteStream::new(SdkBody::from_body_1_x(up)), cause)
}

struct Up {
    /// Never locked: the lock makes the stream shareable, as the SDK wants it.
    body: Mutex<ObjectBody>,
    left: u64,
    size: u64,
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
                None => Poll::Ready(None),
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
