//! What a client sends, below h3: each piece is held to RFC 9114 before h3 sees it.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use h3::{
    error::Code,
    quic::{RecvStream, StreamErrorIncoming, StreamId},
};
use quinn::ReadError;

use super::{
    adapter::{Claim, read_error, stream_id, var_int},
    patience::Patience,
};
use crate::{
    counters::Counters,
    message::{Control, Excess, Malformed, Message},
};

/// Read at once from a stream; requests rarely have a body, and their heads are smaller.
const READ_BYTES: usize = 8 * 1024;

/// What is wrong with a request, once something is.
pub(super) type Verdict = Arc<OnceLock<Malformed>>;

/// What the streams of one connection are held to.
pub(super) struct Rules {
    pub(super) connection: quinn::Connection,
    pub(super) counters: Arc<Counters>,
    pub(super) section_max: usize,
    pub(super) patience: Arc<Patience>,
}

impl Rules {
    /// The whole connection is refused.
    pub(super) fn refuse(&self, why: Malformed) {
        self.counters.malformed(why);
        self.close(why);
    }

    fn close(&self, why: Malformed) {
        self.connection.close(var_int(why.code()), why.to_string().as_bytes());
    }
}

/// What is still to be looked at.
enum Watch {
    Request { message: Message, claim: Claim },
    Control(Control),
}

/// The receiving half. Dropped before its end it tells the client that nobody reads on.
pub(super) struct Recv {
    id: StreamId,
    stream: quinn::RecvStream,
    /// What was read before this was made; h3 reads it again.
    ahead: Bytes,
    ended: bool,
    /// What came behind the bytes that h3 has got.
    broken: Option<ReadError>,
    /// The code it was refused with.
    refused: Option<u64>,
    watch: Watch,
    rules: Arc<Rules>,
}

impl Recv {
    pub(super) fn request(stream: quinn::RecvStream, claim: Claim, rules: &Arc<Rules>) -> Self {
        let message = Message::new(rules.section_max);
        Self::new(stream, Bytes::new(), Watch::Request { message, claim }, rules)
    }

    /// `ahead`: the stream's type, which h3 reads for itself.
    pub(super) fn control(stream: quinn::RecvStream, ahead: Bytes, rules: &Arc<Rules>) -> Self {
        let watch = Watch::Control(Control::new(rules.section_max));
        Self::new(stream, ahead, watch, rules)
    }

    fn new(stream: quinn::RecvStream, ahead: Bytes, watch: Watch, rules: &Arc<Rules>) -> Self {
        let (id, rules) = (stream_id(stream.id()), Arc::clone(rules));
        Self { id, stream, ahead, ended: false, broken: None, refused: None, watch, rules }
    }

    /// As much as is there, and whether the end is: a body that is too short is seen together
    /// with its headers that way, and before anybody answers them.
    fn fill(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended && self.broken.is_none() {
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer[filled..]) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(bytes)) => filled += bytes,
                Poll::Ready(Err(error)) => self.broken = Some(error),
                Poll::Pending if filled == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(filled)
    }

    fn look(&mut self, piece: &[u8]) -> Result<(), Malformed> {
        let patience = &self.rules.patience;
        match &mut self.watch {
            Watch::Request { message, .. } => {
                let before = message.idle();
                message.take(piece)?;
                if !patience.spend(Excess::Frames, message.idle() - before) {
                    return Ok(());
                }
                if self.ended { message.end() } else { Ok(()) }
            }
            Watch::Control(frames) => {
                let before = frames.frames();
                frames.take(piece)?;
                patience.spend(Excess::Control, frames.frames() - before);
                Ok(())
            }
        }
    }

    fn refuse(&mut self, why: Malformed) -> StreamErrorIncoming {
        let error_code = why.code();
        self.refused = Some(error_code);
        match &self.watch {
            Watch::Request { claim, .. } => {
                self.rules.counters.malformed(why);
                claim.refuse(why);
                self.rules.patience.spend(Excess::Malformed, 1);
                if why.is_of_the_connection() {
                    self.rules.close(why);
                }
            }
            // A connection without its control stream is none (RFC 9114 §6.2.1).
            Watch::Control(_) => self.rules.refuse(why),
        }
        self.stop_sending(error_code);
        StreamErrorIncoming::StreamTerminated { error_code }
    }
}

impl Drop for Recv {
    fn drop(&mut self) {
        // RFC 9114 §6.2.1: nobody asks for the end of a control stream.
        let of_a_request = matches!(self.watch, Watch::Request { .. });
        if of_a_request && !self.ended && self.broken.is_none() {
            // RFC 9114 §4.1: a server that needs no more of a request says so without an error.
            let _ = self.stream.stop(var_int(Code::H3_NO_ERROR.value()));
        }
    }
}

impl RecvStream for Recv {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if let Some(error_code) = self.refused {
            return Poll::Ready(Err(StreamErrorIncoming::StreamTerminated { error_code }));
        }
        if !self.ahead.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.ahead))));
        }
        let mut buffer = [0; READ_BYTES];
        let piece = match self.fill(cx, &mut buffer) {
            Poll::Ready(filled) => &buffer[..filled],
            Poll::Pending => return Poll::Pending,
        };
        if let Err(why) = self.look(piece) {
            return Poll::Ready(Err(self.refuse(why)));
        }
        Poll::Ready(match &self.broken {
            Some(error) if piece.is_empty() => Err(read_error(error.clone())),
            _ if piece.is_empty() => Ok(None),
            _ => Ok(Some(Bytes::copy_from_slice(piece))),
        })
    }

    fn stop_sending(&mut self, code: u64) {
        self.ended = true;
        // Fails only where the end has been read already.
        let _ = self.stream.stop(var_int(code));
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}
