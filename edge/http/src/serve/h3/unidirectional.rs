//! A client's streams of one direction (RFC 9114 §6.2), below h3: h3 gets the control stream and
//! no other. Those of QPACK are read here, because h3 0.0.8 takes them and never looks at them;
//! what nobody knows is told so, and a push stream ends the connection.

use std::{
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{
    future::{BoxFuture, FutureExt},
    stream::{self, BoxStream, FuturesUnordered, StreamExt},
};
use h3::error::Code;
use quinn::{ConnectionError, StoppedError, VarInt as VarCode};

use super::{
    adapter::var_int,
    patience::Patience,
    receive::{Recv, Rules},
};
use crate::message::{Excess, Instructions, Malformed, VarInt};

/// RFC 9114 §6.2 and RFC 9204 §4.2.
const CONTROL_STREAM: u64 = 0x0;
const PUSH_STREAM: u64 = 0x1;
const ENCODER_STREAM: u64 = 0x2;
const DECODER_STREAM: u64 = 0x3;

/// Instructions come in few bytes.
const READ_BYTES: usize = 256;

/// All of one connection.
pub(super) struct Unidirectional {
    incoming: BoxStream<'static, Result<quinn::RecvStream, ConnectionError>>,
    /// Whose type is still to come. The transport bounds them.
    untyped: Vec<Untyped>,
    controlled: bool,
    encoder: Option<Read>,
    decoder: Option<Read>,
    /// Those of ours that the client may not have stopped.
    ours: FuturesUnordered<BoxFuture<'static, ()>>,
    rules: Arc<Rules>,
}

/// A stream of which some bytes of its type are here.
struct Untyped {
    stream: quinn::RecvStream,
    kind: VarInt,
    seen: Vec<u8>,
}

impl Untyped {
    /// The type; none where the stream ended before it. Reads nothing behind it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<u64>> {
        loop {
            let mut byte = [0];
            match Pin::new(&mut self.stream).poll_read(cx, &mut byte) {
                Poll::Pending => return Poll::Pending,
                // RFC 9114 §6.2: a stream may end before it has said what it is.
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                Poll::Ready(Ok(_)) => {
                    self.seen.extend_from_slice(&byte);
                    if let Some(kind) = self.kind.take(byte[0]) {
                        return Poll::Ready(Some(kind));
                    }
                }
            }
        }
    }
}

/// A stream of QPACK.
struct Read {
    stream: quinn::RecvStream,
    instructions: Instructions,
}

impl Read {
    /// Reads what is there. The stream never ends.
    fn poll(&mut self, cx: &mut Context<'_>, patience: &Patience) -> Result<(), Malformed> {
        loop {
            let mut bytes = [0; READ_BYTES];
            match Pin::new(&mut self.stream).poll_read(cx, &mut bytes) {
                Poll::Pending => return Ok(()),
                // RFC 9204 §4.2.
                Poll::Ready(Ok(0) | Err(quinn::ReadError::Reset(_))) => {
                    return Err(Malformed::CriticalClosed);
                }
                Poll::Ready(Ok(filled)) => {
                    let before = self.instructions.seen();
                    self.instructions.take(&bytes[..filled])?;
                    let seen = self.instructions.seen() - before;
                    if !patience.spend(Excess::Instructions, seen) {
                        return Ok(());
                    }
                }
                // The connection is over, and says so itself.
                Poll::Ready(Err(_)) => return Ok(()),
            }
        }
    }
}

impl Unidirectional {
    pub(super) fn new(connection: quinn::Connection, rules: Arc<Rules>) -> Self {
        let incoming = stream::unfold(connection, |connection| async {
            Some((connection.accept_uni().await, connection))
        });
        Self {
            incoming: incoming.boxed(),
            untyped: Vec::new(),
            controlled: false,
            encoder: None,
            decoder: None,
            ours: FuturesUnordered::new(),
            rules,
        }
    }

    /// A stream of ours that lives as long as the connection.
    pub(super) fn critical<S>(&mut self, stopped: S)
    where
        S: Future<Output = Result<Option<VarCode>, StoppedError>> + Send + 'static,
    {
        let told = async move {
            // All else ends with the connection, which says so itself.
            if !matches!(stopped.await, Ok(Some(_))) {
                pending::<()>().await;
            }
        };
        self.ours.push(told.boxed());
    }

    /// The control stream, for h3. Everything else is seen to meanwhile.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Recv, ConnectionError>> {
        while let Poll::Ready(next) = self.incoming.poll_next_unpin(cx) {
            match next.unwrap_or(Err(ConnectionError::LocallyClosed)) {
                Ok(stream) => {
                    let (kind, seen) = (VarInt::default(), Vec::new());
                    self.untyped.push(Untyped { stream, kind, seen });
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let control = self.sort(cx).unwrap_or_else(|why| {
            self.rules.refuse(why);
            None
        });
        match control {
            Some(control) => Poll::Ready(Ok(control)),
            None => Poll::Pending,
        }
    }

    fn sort(&mut self, cx: &mut Context<'_>) -> Result<Option<Recv>, Malformed> {
        let (mut at, mut control) = (0, None);
        while let Some(untyped) = self.untyped.get_mut(at) {
            let kind = match untyped.poll(cx) {
                Poll::Pending => {
                    at += 1;
                    continue;
                }
                Poll::Ready(kind) => kind,
            };
            let Untyped { mut stream, seen, .. } = self.untyped.swap_remove(at);
            match kind {
                None => {}
                // RFC 9114 §6.2.1.
                Some(CONTROL_STREAM) => {
                    if std::mem::replace(&mut self.controlled, true) {
                        return Err(Malformed::StreamTwice);
                    }
                    control = Some(Recv::control(stream, Bytes::from(seen), &self.rules));
                }
                // §6.2.2: only servers push.
                Some(PUSH_STREAM) => return Err(Malformed::PushStream),
                Some(ENCODER_STREAM) => {
                    read(&mut self.encoder, stream, Instructions::encoder())?;
                }
                Some(DECODER_STREAM) => {
                    read(&mut self.decoder, stream, Instructions::decoder())?;
                }
                // §6.2: what nobody knows is no error, and is not read.
                Some(_) => {
                    let _ = stream.stop(var_int(Code::H3_STREAM_CREATION_ERROR.value()));
                    self.rules.patience.spend(Excess::Streams, 1);
                }
            }
        }
        for stream in [&mut self.encoder, &mut self.decoder].into_iter().flatten() {
            stream.poll(cx, &self.rules.patience)?;
        }
        // RFC 9114 §6.2.1, RFC 9204 §4.2. A lost connection stops them as well, and is closed.
        if let Poll::Ready(Some(())) = self.ours.poll_next_unpin(cx) {
            return Err(Malformed::CriticalClosed);
        }
        Ok(control)
    }
}

fn read(
    place: &mut Option<Read>,
    stream: quinn::RecvStream,
    instructions: Instructions,
) -> Result<(), Malformed> {
    // RFC 9204 §4.2.
    match place.replace(Read { stream, instructions }) {
        Some(_) => Err(Malformed::StreamTwice),
        None => Ok(()),
    }
}
