//! The frames of a client's control stream (RFC 9114 §6.2.1 and §7.2), behind its type.
//!
//! h3 reads it as well, and believes what it says. What h3 0.0.8 lets through is refused here: a
//! push ID that grows backwards, one that nobody promised, a frame that holds more than its
//! fields, a setting of HTTP/2 or one that comes twice.

use super::{Malformed, VarInt};

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const CANCEL_PUSH: u64 = 0x3;
const SETTINGS: u64 = 0x4;
const PUSH_PROMISE: u64 = 0x5;
const GOAWAY: u64 = 0x7;
const MAX_PUSH_ID: u64 = 0xd;
/// PRIORITY, PING, WINDOW_UPDATE and CONTINUATION of HTTP/2 (RFC 9114 §7.2.8), and the one of
/// WebTransport that has no length.
const NONE_OF_HTTP3: [u64; 5] = [0x2, 0x6, 0x8, 0x9, 0x41];

/// Five are in use today, and clients add some to be ignored.
const SETTINGS_MAX: usize = 64;

/// Where in a frame.
#[derive(Debug)]
enum At {
    Kind,
    Length { kind: u64 },
    Payload { kind: u64, left: usize },
}

/// One control stream as its bytes tell it. Holds a frame that comes in pieces and has a meaning,
/// at most `frame_max` bytes.
#[derive(Debug)]
pub struct Control {
    at: At,
    number: VarInt,
    frame_max: usize,
    payload: Vec<u8>,
    settled: bool,
    /// The push ID that the client takes pushes up to.
    push_max: Option<u64>,
    goaway: Option<u64>,
    frames: u64,
    verdict: Option<Malformed>,
}

impl Control {
    /// `frame_max`: bytes of any frame; h3 holds each until it is whole, whether or not anybody
    /// knows its type.
    pub fn new(frame_max: usize) -> Self {
        Self {
            at: At::Kind,
            number: VarInt::default(),
            frame_max,
            payload: Vec::new(),
            settled: false,
            push_max: None,
            goaway: None,
            frames: 0,
            verdict: None,
        }
    }

    /// Frames that have begun.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    /// The first thing that is wrong in the stream, and the same at every call after it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if let Some(verdict) = self.verdict {
            return Err(verdict);
        }
        let seen = self.walk(bytes);
        self.verdict = seen.err();
        seen
    }

    fn walk(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while let Some((first, rest)) = bytes.split_first() {
            match self.at {
                At::Kind => {
                    bytes = rest;
                    if let Some(kind) = self.number.take(*first) {
                        self.may_stand(kind)?;
                        self.at = At::Length { kind };
                    }
                }
                At::Length { kind } => {
                    bytes = rest;
                    let Some(length) = self.number.take(*first) else { continue };
                    let left = usize::try_from(length).ok().filter(|left| *left <= self.frame_max);
                    let left = left.ok_or(Malformed::TooLarge)?;
                    self.frames += 1;
                    self.at = At::Payload { kind, left };
                    if left == 0 {
                        self.frame(kind)?;
                    }
                }
                At::Payload { kind, left } => {
                    let (piece, rest) = bytes.split_at(left.min(bytes.len()));
                    bytes = rest;
                    if has_meaning(kind) {
                        self.payload.extend_from_slice(piece);
                    }
                    let left = left - piece.len();
                    self.at = At::Payload { kind, left };
                    if left == 0 {
                        self.frame(kind)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn may_stand(&self, kind: u64) -> Result<(), Malformed> {
        match kind {
            // RFC 9114 §6.2.1: SETTINGS first, §7.2.4: and once.
            _ if !self.settled && kind != SETTINGS => Err(Malformed::MissingSettings),
            SETTINGS if self.settled => Err(Malformed::FrameUnexpected),
            // §7.2.1, §7.2.2 and, of a client, §7.2.5.
            DATA | HEADERS | PUSH_PROMISE => Err(Malformed::FrameUnexpected),
            _ if NONE_OF_HTTP3.contains(&kind) => Err(Malformed::FrameUnexpected),
            _ => Ok(()),
        }
    }

    /// A whole frame.
    fn frame(&mut self, kind: u64) -> Result<(), Malformed> {
        self.at = At::Kind;
        let payload = std::mem::take(&mut self.payload);
        match kind {
            SETTINGS => {
                self.settled = true;
                settings(&payload)
            }
            // RFC 9114 §5.2: never a larger one than before.
            GOAWAY => {
                let id = only(&payload)?;
                if self.goaway.replace(id).is_some_and(|before| before < id) {
                    return Err(Malformed::Id);
                }
                Ok(())
            }
            // §7.2.7: never a smaller one than before.
            MAX_PUSH_ID => {
                let id = only(&payload)?;
                if self.push_max.replace(id).is_some_and(|before| before > id) {
                    return Err(Malformed::Id);
                }
                Ok(())
            }
            // §7.2.3: we promise nothing, so there is nothing to cancel.
            CANCEL_PUSH => only(&payload).and(Err(Malformed::Id)),
            // §9
            _ => Ok(()),
        }
    }
}

fn has_meaning(kind: u64) -> bool {
    matches!(kind, SETTINGS | GOAWAY | MAX_PUSH_ID | CANCEL_PUSH)
}

/// The one number that a frame holds (RFC 9114 §7.1: neither less nor more).
fn only(payload: &[u8]) -> Result<u64, Malformed> {
    let mut rest = payload.iter();
    let id = number(&mut rest)?.ok_or(Malformed::FrameLength)?;
    if rest.as_slice().is_empty() { Ok(id) } else { Err(Malformed::FrameLength) }
}

/// RFC 9114 §7.2.4.
fn settings(payload: &[u8]) -> Result<(), Malformed> {
    let (mut rest, mut seen) = (payload.iter(), Vec::new());
    while let Some(id) = number(&mut rest)? {
        number(&mut rest)?.ok_or(Malformed::FrameLength)?;
        // §7.2.4.1: what HTTP/2 calls so.
        if matches!(id, 0x0 | 0x2..=0x5) || seen.contains(&id) {
            return Err(Malformed::Settings);
        }
        seen.push(id);
        if seen.len() > SETTINGS_MAX {
            return Err(Malformed::TooLarge);
        }
    }
    Ok(())
}

/// The next number; none where nothing is left.
fn number(rest: &mut std::slice::Iter<'_, u8>) -> Result<Option<u64>, Malformed> {
    if rest.as_slice().is_empty() {
        return Ok(None);
    }
    let mut number = VarInt::default();
    rest.find_map(|byte| number.take(*byte)).map(Some).ok_or(Malformed::FrameLength)
}
