//! The bytes of an HTTP/3 request stream, held to RFC 9114 §4 as they come in.
//!
//! h3 0.0.8 folds repeated and misplaced pseudo-header fields into one request, takes `:status`
//! in it, drops trailers unread and holds a frame of any length. So the adapter below it shows
//! every piece to a [`Message`] first, which knows the frames, their order and their field
//! sections, and refuses what RFC 9114 calls malformed; a [`Control`] does the same for the control
//! stream, and [`Instructions`] for the two of QPACK, which h3 does not read at all. h3 stays the one that reads the request;
//! fields' values are its business, and so are targets that of `serve/request.rs`.
//!
//! Pure: bytes in, verdict out, the same however the bytes are cut. The payload of DATA is
//! stepped over, not looked at. Public for the sake of `edge/fuzz`.

mod control;
pub(crate) mod huffman;
mod instructions;
mod malformed;
mod qpack;
mod section;

pub use control::Control;
pub use instructions::Instructions;
pub use malformed::{Excess, Malformed};
pub(crate) use section::length;

/// An integer of RFC 9000 §16 that may come in pieces.
#[derive(Debug, Default)]
pub(crate) struct VarInt {
    value: u64,
    seen: u8,
    length: u8,
}

impl VarInt {
    /// Takes the next byte; the number once it is whole.
    pub(crate) fn take(&mut self, byte: u8) -> Option<u64> {
        if self.seen == 0 {
            self.length = 1 << (byte >> 6);
            self.value = u64::from(byte & 0x3f);
        } else {
            self.value = self.value << 8 | u64::from(byte);
        }
        self.seen += 1;
        let whole = self.seen == self.length;
        whole.then(|| std::mem::take(self).value)
    }

    fn is_begun(&self) -> bool {
        self.seen != 0
    }
}

/// Frames that have a meaning in a request (RFC 9114 §7.2).
const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;

/// Frames of a request that may mean nothing: one that keeps servers tolerant (RFC 9114 §7.2.8),
/// which some clients add to every request, and an empty one at the end.
const IDLE_FREE: u64 = 2;

/// Where in a frame.
#[derive(Debug)]
enum At {
    Kind,
    Length {
        kind: u64,
    },
    /// Bytes to step over.
    Payload {
        left: u64,
    },
    /// Bytes of a field section that are still to come.
    Section {
        left: usize,
    },
}

/// Where in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Body,
    Over,
}

/// One request as its bytes tell it. Holds a field section that comes in pieces, at most
/// `section_max` bytes.
#[derive(Debug)]
pub struct Message {
    at: At,
    part: Part,
    number: VarInt,
    /// What has come of a section.
    section: Vec<u8>,
    section_max: usize,
    declared: Option<u64>,
    /// Bytes of DATA, by the frames' own word.
    body: u64,
    /// Frames that mean nothing.
    idle: u64,
    verdict: Option<Malformed>,
}

impl Message {
    /// `section_max`: bytes of a frame that is not DATA. h3 keeps such a frame until it is
    /// whole, whatever its length and whether or not anybody knows its type.
    pub fn new(section_max: usize) -> Self {
        Self {
            at: At::Kind,
            part: Part::Head,
            number: VarInt::default(),
            section: Vec::new(),
            section_max,
            declared: None,
            body: 0,
            idle: 0,
            verdict: None,
        }
    }

    /// Frames so far that mean nothing and are more than a client has reason for: of types that
    /// nobody knows, and DATA without data.
    pub fn idle(&self) -> u64 {
        self.idle.saturating_sub(IDLE_FREE)
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    /// The first thing that is wrong in the stream, and the same at every call after it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.judge(|message| message.walk(bytes))
    }

    /// The client has sent all of it.
    ///
    /// # Errors
    /// A body shorter than it was announced, or a frame that is not whole. A stream without
    /// headers is left to h3, which has a code of its own for it.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.judge(|message| {
            // RFC 9114 §7.1.
            if !matches!(message.at, At::Kind) || message.number.is_begun() {
                return Err(Malformed::FrameCut);
            }
            message.body_is_whole()
        })
    }

    fn judge(
        &mut self,
        look: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if let Some(verdict) = self.verdict {
            return Err(verdict);
        }
        let seen = look(self);
        self.verdict = seen.err();
        seen
    }

    fn walk(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while let Some((first, rest)) = bytes.split_first() {
            match self.at {
                At::Kind => {
                    bytes = rest;
                    if let Some(kind) = self.number.take(*first) {
                        self.at = At::Length { kind };
                        self.may_stand(kind)?;
                    }
                }
                At::Length { kind } => {
                    bytes = rest;
                    if let Some(length) = self.number.take(*first) {
                        self.at = self.begin(kind, length)?;
                    }
                }
                At::Payload { left } => {
                    let step = left.min(bytes.len() as u64);
                    bytes = &bytes[step as usize..];
                    self.at = payload(left - step);
                }
                At::Section { left } => {
                    let (piece, rest) = bytes.split_at(left.min(bytes.len()));
                    bytes = rest;
                    self.at = At::Section { left: left - piece.len() };
                    if piece.len() < left {
                        self.section.extend_from_slice(piece);
                    } else if self.section.is_empty() {
                        self.field_section(piece)?;
                    } else {
                        let mut section = std::mem::take(&mut self.section);
                        section.extend_from_slice(piece);
                        self.field_section(&section)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// RFC 9114 §4.1 and §7.2: which frames may come now.
    fn may_stand(&self, kind: u64) -> Result<(), Malformed> {
        let allowed = match kind {
            DATA => self.part == Part::Body,
            HEADERS => matches!(self.part, Part::Head | Part::Body),
            // CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID: of the control stream, or
            // of a server. Types of HTTP/2 (§7.2.8). And WebTransport's, which has no length and
            // which we have not offered.
            0x3 | 0x4 | 0x5 | 0x7 | 0xd | 0x2 | 0x6 | 0x8 | 0x9 | 0x41 => false,
            // §9: what nobody knows is ignored.
            _ => true,
        };
        if allowed { Ok(()) } else { Err(Malformed::FrameUnexpected) }
    }

    fn begin(&mut self, kind: u64, length: u64) -> Result<At, Malformed> {
        self.idle += u64::from(kind != HEADERS && (kind != DATA || length == 0));
        if kind == DATA {
            // 62 bits each: the sum of what is announced may leave 64.
            self.body = self.body.saturating_add(length);
            // RFC 9114 §4.1.2: no need to wait for the bytes.
            if self.declared.is_some_and(|declared| self.body > declared) {
                return Err(Malformed::ContentLength);
            }
            return Ok(payload(length));
        }
        let held = usize::try_from(length).ok().filter(|length| *length <= self.section_max);
        let Some(held) = held else { return Err(Malformed::TooLarge) };
        if kind != HEADERS {
            return Ok(payload(length));
        }
        if held == 0 {
            // Not even the two numbers before the first line.
            return Err(Malformed::Qpack);
        }
        Ok(At::Section { left: held })
    }

    fn field_section(&mut self, section: &[u8]) -> Result<(), Malformed> {
        if self.part == Part::Head {
            self.declared = section::head(section)?;
            self.part = Part::Body;
        } else {
            section::trailers(section)?;
            self.part = Part::Over;
            self.body_is_whole()?;
        }
        self.at = At::Kind;
        Ok(())
    }

    fn body_is_whole(&self) -> Result<(), Malformed> {
        match self.declared {
            Some(declared) if declared != self.body => Err(Malformed::ContentLength),
            _ => Ok(()),
        }
    }
}

fn payload(left: u64) -> At {
    if left == 0 { At::Kind } else { At::Payload { left } }
}

#[cfg(test)]
mod tests;
