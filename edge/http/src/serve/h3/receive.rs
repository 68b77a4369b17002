//! What a client sends, below h3: each piece is held to RFC 9114 before h3 sees it.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use h3::{
    error::Code,
    quic::{RecvStream, StreamErrorIncoming, StreamId},
};
use quinn::ReadError;

use super::adapter::{Claim, read_error, stream_id, var_int};
use crate::{
    counters::Counters,
    message::{Malformed, Message, VarInt},
};

/// Read at once from a stream; requests rarely have a body, and their heads are smaller.
const READ_BYTES: usize = 8 * 1024;

/// RFC 9114 §6.2.
const CONTROL_STREAM: u64 = 0x0;
const PUSH_STREAM: u64 = 0x1;

/// What is wrong with a request, once something is.
pub(super) type Verdict = Arc<OnceLock<Malformed>>;

/// What the streams of one connection are held to.
pub(super) struct Rules {
    pub(super) connection: quinn::Connection,
    pub(super) counters: Arc<Counters>,
    pub(super) section_max: usize,
    /// Whether the client has opened its control stream.
    pub(super) controlled: AtomicBool,
}

/// What is still to be looked at.
enum Watch {
    Request {
        message: Message,
        claim: Claim,
    },
    /// The type of a stream of one direction.
    Kind(VarInt),
    Control(Message),
    Nothing,
}

/// The receiving half. Dropped before its end it tells the client that nobody reads on.
pub(super) struct Recv {
    id: StreamId,
    stream: quinn::RecvStream,
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
        Self::new(stream, Watch::Request { message, claim }, rules)
    }

    pub(super) fn unidirectional(stream: quinn::RecvStream, rules: &Arc<Rules>) -> Self {
        Self::new(stream, Watch::Kind(VarInt::default()), rules)
    }

    fn new(stream: quinn::RecvStream, watch: Watch, rules: &Arc<Rules>) -> Self {
        let (id, rules) = (stream_id(stream.id()), Arc::clone(rules));
        Self { id, stream, ended: false, broken: None, refused: None, watch, rules }
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
        match &mut self.watch {
            Watch::Request { message, .. } => {
                message.take(piece)?;
                if self.ended { message.end() } else { Ok(()) }
            }
            Watch::Kind(number) => {
                let mut rest = piece.iter();
                match rest.find_map(|byte| number.take(*byte)) {
                    // RFC 9114 §6.2.2: only servers push.
                    Some(PUSH_STREAM) => return Err(Malformed::PushStream),
                    Some(CONTROL_STREAM) => {
                        let second = self.rules.controlled.swap(true, Ordering::Relaxed);
                        let mut frames = Message::control(self.rules.section_max);
                        self.watch = match frames.take(rest.as_slice()) {
                            Ok(()) => Watch::Control(frames),
                            // h3 refuses a second one, whatever is on it; it only may not hold
                            // more of it than fits.
                            Err(why) if second && why != Malformed::TooLarge => Watch::Nothing,
                            Err(why) => return Err(why),
                        };
                    }
                    Some(_) => self.watch = Watch::Nothing,
                    None => {}
                }
                Ok(())
            }
            Watch::Control(frames) => frames.take(piece),
            Watch::Nothing => Ok(()),
        }
    }

    fn refuse(&mut self, why: Malformed) -> StreamErrorIncoming {
        self.rules.counters.malformed(why);
        let error_code = why.code();
        self.refused = Some(error_code);
        let of_the_connection = match &self.watch {
            Watch::Request { claim, .. } => {
                claim.refuse(why);
                why.is_of_the_connection()
            }
            // A connection without its control stream is none (RFC 9114 §6.2.1).
            _ => true,
        };
        if of_the_connection {
            self.rules.connection.close(var_int(error_code), why.to_string().as_bytes());
        }
        self.stop_sending(error_code);
        StreamErrorIncoming::StreamTerminated { error_code }
    }
}

impl Drop for Recv {
    fn drop(&mut self) {
        if !self.ended && self.broken.is_none() {
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
