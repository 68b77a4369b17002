//! Reads along with hyper, and ends what may not be read: HTTP/1.1 with a refusal (`refuse.rs`)
//! and a close, HTTP/2 with GOAWAY. Tells clients of HTTP/2 that wait for 100 to go on, which hyper
//! does for HTTP/1.1 alone.

use std::{io, pin::Pin, task::Context};

use tokio::{
    io::{AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{
    limits::Limits,
    serve::state::State,
    wire::{
        Verdict,
        h1::{Limits as HeadLimits, Requests},
        h2::{Frames, Limits as FrameLimits},
    },
};

/// In place of the byte that makes a fault in a body hyper reads this one. It stands in no line of
/// a chunk and no trailers, so that the body breaks off for its handler too, and hyper closes.
const POISON: u8 = 0;

/// A field block may be this long on the wire, even where fields may be less: Huffman's code is
/// shorter than what it stands for, but a table's updates are not.
const BLOCK_MIN: usize = 16 * 1024;

/// What reads along.
pub(crate) enum Tap {
    H1(Requests),
    /// No more of this is read.
    Over,
    H2(Box<Frames>, Instant),
}

impl Tap {
    pub(crate) fn h1(limits: &Limits) -> Self {
        let limits = HeadLimits { fields: limits.header_fields, bytes: limits.header_bytes };
        Self::H1(Requests::new(limits))
    }

    pub(crate) fn h2(limits: &Limits) -> Self {
        let limits = FrameLimits { block: limits.header_bytes.max(BLOCK_MIN) };
        Self::H2(Box::new(Frames::new(limits)), Instant::now())
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Looks at what came behind `before`. HTTP/2 that may not be read any further is an error;
    /// `whole` says that what we wrote ends with a frame.
    pub(crate) fn look<S: AsyncWrite + Unpin>(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        before: usize,
        (stream, whole): (&mut S, bool),
        state: &State,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        match self {
            Self::H1(requests) => {
                if let Err((at, fault)) = requests.take(&buffer.filled()[before..]) {
                    buffer.set_filled(before + at);
                    if requests.in_body() {
                        buffer.put_slice(&[POISON]);
                    } else {
                        state.refuse(fault);
                    }
                    *self = Self::Over;
                    tell(state, fault.into());
                }
                Ok(())
            }
            Self::H2(frames, begun) => {
                let seen = frames.take(&buffer.filled()[before..], begun.elapsed(), state.sent());
                let Err(verdict) = seen else {
                    let bytes: Vec<u8> = frames.expecting().iter().flat_map(go_on).collect();
                    // Where a frame of ours is half written there is no place for it: its client
                    // goes on by itself after a while (RFC 9110 §10.1.1).
                    if whole && !bytes.is_empty() {
                        let _ = Pin::new(stream).poll_write(cx, &bytes);
                    }
                    return Ok(());
                };
                let opened = frames.opened();
                *self = Self::Over;
                tell(state, verdict);
                if whole {
                    let bytes = go_away(opened, verdict.code());
                    // A socket that takes nothing ends without it.
                    let _ = Pin::new(stream).poll_write(cx, &bytes);
                }
                Err(io::Error::new(io::ErrorKind::InvalidData, "the frames end here"))
            }
            Self::Over => Ok(()),
        }
    }
}

fn tell(state: &State, verdict: Verdict) {
    state.counters.refused.add(state.protocol());
    let peer = state.info.peer;
    match verdict {
        Verdict::Fault(fault) => {
            state.counters.fault(fault);
            tracing::debug!(%peer, "not read any further: {fault}");
        }
        Verdict::Flood(flood) => {
            state.counters.flood(flood);
            tracing::debug!(%peer, "not read any further: a flood of {}", flood.as_str());
        }
    }
}

/// `:status: 100` as a literal that no table keeps (RFC 9113 §8.1, RFC 7541 §6.2.2).
fn go_on(stream: &u32) -> [u8; 14] {
    let mut frame = [0, 0, 5, 0x1, 0x4, 0, 0, 0, 0, 0x08, 3, b'1', b'0', b'0'];
    frame[5..9].copy_from_slice(&stream.to_be_bytes());
    frame
}

/// RFC 9113 §6.8.
fn go_away(opened: u32, code: u32) -> [u8; 17] {
    let mut frame = [0; 17];
    (frame[2], frame[3]) = (8, 0x7);
    frame[9..13].copy_from_slice(&opened.to_be_bytes());
    frame[13..].copy_from_slice(&code.to_be_bytes());
    frame
}
