//! The frames of an HTTP/2 connection, held to RFC 9113 and counted as they come in.
//!
//! h2 0.4.20 holds most rules itself and answers errors of a stream with a reset of that stream;
//! those are left to it. Here is the rest: frames of a size or in a place that is none with the
//! code RFC 9113 names for it, pseudo-header fields in trailers (h2 drops them unread), and frames
//! that are each allowed and only cost. The payload of DATA is stepped over.
//!
//! Pure: bytes and the time go in, a verdict comes out, the same however the bytes are cut. Holds
//! a field block that comes in pieces, at most [`Limits::block`] bytes, and a table of 128 sizes.

mod budget;

use std::time::Duration;

use super::{Fault, Flood, Verdict, hpack::Table};
use budget::Budgets;

/// RFC 9113 §6.5.2: the largest frame there is where nobody says otherwise, and we do not.
const FRAME_MAX: u32 = 16_384;

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const HEAD: usize = 9;

/// CONTINUATION frames of one field block. A block of the size we take needs three.
pub const CONTINUATIONS: u8 = 5;

/// Streams of a connection that we reset because of the client's mistakes (CVE-2025-8671). h2
/// counts them.
pub const LOCAL_RESETS: usize = 100;

/// How many frames of a kind a connection may send at once, and how many more in each second.
/// None for what is not counted by frames.
pub fn allowance(of: Flood) -> Option<(u64, u64)> {
    budget::allowance(of)
}

/// DATA with less than this is small.
const SMALL_DATA: u32 = 64;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a field block as it is on the wire.
    pub block: usize,
}

/// RFC 9113 §6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// RFC 9218 §7.1.
    PriorityUpdate,
    Unknown,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::Reset,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            0x10 => Self::PriorityUpdate,
            _ => Self::Unknown,
        }
    }
}

/// The frame whose payload comes.
#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: Kind,
    flags: u8,
    stream: u32,
    length: u32,
}

/// A field block that is not whole.
#[derive(Debug, Clone, Copy)]
struct Block {
    stream: u32,
    trailers: bool,
    /// No body follows.
    ended: bool,
    continuations: u8,
    /// No frame of it follows the one at hand.
    last: bool,
}

/// Where in a connection.
#[derive(Debug, Clone, Copy)]
enum At {
    Preface(usize),
    Head,
    /// Bytes to step over.
    Skip(u32),
    /// Bytes to look at, all of them together.
    Hold(Frame),
}

/// What a client has sent of one connection.
#[derive(Debug)]
pub struct Frames {
    at: At,
    head: [u8; HEAD],
    have: usize,
    /// A payload, or the field block of several, that comes in pieces.
    held: Vec<u8>,
    /// Bytes of `held` that are a block's from earlier frames.
    kept: usize,
    block: Option<Block>,
    table: Table,
    settings: bool,
    /// The highest stream that was opened.
    opened: u32,
    /// Those whose client waits for 100 before it sends a body, since somebody asked.
    expecting: Vec<u32>,
    limits: Limits,
    budgets: Budgets,
}

impl Frames {
    /// A connection from its first byte.
    pub fn new(limits: Limits) -> Self {
        Self {
            at: At::Preface(0),
            head: [0; HEAD],
            have: 0,
            held: Vec::new(),
            kept: 0,
            block: None,
            table: Table::default(),
            settings: false,
            opened: 0,
            expecting: Vec::new(),
            limits,
            budgets: Budgets::default(),
        }
    }

    /// The last stream that may have been worked on, for GOAWAY.
    pub fn opened(&self) -> u32 {
        self.opened
    }

    /// Streams whose request expects 100 before its body (RFC 9110 §10.1.1), since the last call.
    pub fn expecting(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.expecting)
    }

    /// Looks at the next bytes. `now` is counted from the connection's beginning, `sent` is what
    /// we have sent on it in bytes.
    ///
    /// # Errors
    /// The first thing that ends the connection.
    pub fn take(&mut self, mut bytes: &[u8], now: Duration, sent: u64) -> Result<(), Verdict> {
        self.budgets.at(now, sent);
        while !bytes.is_empty() {
            match self.at {
                // Whether it is one is seen by h2, which reads nothing else before it.
                At::Preface(have) => {
                    let step = (PREFACE - have).min(bytes.len());
                    bytes = &bytes[step..];
                    let have = have + step;
                    self.at = if have == PREFACE { At::Head } else { At::Preface(have) };
                }
                At::Head => {
                    let step = (HEAD - self.have).min(bytes.len());
                    self.head[self.have..self.have + step].copy_from_slice(&bytes[..step]);
                    self.have += step;
                    bytes = &bytes[step..];
                    if self.have == HEAD {
                        self.have = 0;
                        self.at = self.begin()?;
                        // Nothing comes that could end it.
                        if let At::Hold(frame) = self.at
                            && frame.length == 0
                        {
                            self.whole(frame, &[])?;
                        }
                    }
                }
                At::Skip(left) => {
                    let step = left.min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    bytes = &bytes[step as usize..];
                    self.at = skip(left - step);
                }
                At::Hold(frame) => {
                    let left = self.kept + frame.length as usize - self.held.len();
                    let (piece, rest) = bytes.split_at(left.min(bytes.len()));
                    bytes = rest;
                    if piece.len() < left {
                        self.held.extend_from_slice(piece);
                    } else if self.held.len() == self.kept {
                        self.whole(frame, piece)?;
                    } else {
                        self.held.extend_from_slice(piece);
                        let payload = self.held.split_off(self.kept);
                        self.whole(frame, &payload)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The head of a frame is there.
    fn begin(&mut self) -> Result<At, Verdict> {
        let [a, b, c, kind, flags, d, e, f, g] = self.head;
        let frame = Frame {
            kind: Kind::of(kind),
            flags,
            // RFC 9113 §4.1: the bit before it is ignored.
            stream: u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff,
            length: u32::from_be_bytes([0, a, b, c]),
        };
        // §4.2.
        if frame.length > FRAME_MAX {
            return Err(Fault::FrameSize.into());
        }
        // §3.4: SETTINGS is the first, and no acknowledgement.
        if !self.settings && (frame.kind != Kind::Settings || frame.flags & ACK != 0) {
            return Err(Fault::FrameOrder.into());
        }
        self.settings = true;
        // §4.3, §6.10: nothing comes between the frames of a block, and nothing else continues.
        match self.block {
            Some(block) if frame.kind != Kind::Continuation || frame.stream != block.stream => {
                return Err(Fault::FrameOrder.into());
            }
            None if frame.kind == Kind::Continuation => return Err(Fault::FrameOrder.into()),
            _ => {}
        }
        may_stand(frame)?;
        self.count(frame)?;
        Ok(match frame.kind {
            Kind::Headers | Kind::Continuation | Kind::Settings | Kind::WindowUpdate => {
                At::Hold(frame)
            }
            _ => skip(frame.length),
        })
    }

    /// What only costs, and what we say when there is too much of it.
    fn count(&mut self, frame: Frame) -> Result<(), Verdict> {
        let budgets = &mut self.budgets;
        let (budget, flood) = match frame.kind {
            Kind::Headers => {
                budgets.earned.requests += 1;
                return Ok(());
            }
            Kind::Data if frame.flags & END_STREAM != 0 => return Ok(()),
            Kind::Data if frame.length == 0 => (&mut budgets.empty_data, Flood::EmptyData),
            Kind::Data if frame.length < SMALL_DATA => (&mut budgets.small_data, Flood::SmallData),
            Kind::Data | Kind::Continuation | Kind::PushPromise => return Ok(()),
            Kind::Reset => (&mut budgets.reset, Flood::Reset),
            Kind::Settings => (&mut budgets.settings, Flood::Settings),
            Kind::Ping => (&mut budgets.ping, Flood::Ping),
            Kind::Priority | Kind::PriorityUpdate => (&mut budgets.priority, Flood::Priority),
            Kind::WindowUpdate => (&mut budgets.window_update, Flood::WindowUpdate),
            Kind::GoAway | Kind::Unknown => (&mut budgets.unknown, Flood::Unknown),
        };
        if budget.spend(budgets.earned) { Ok(()) } else { Err(flood.into()) }
    }

    /// A frame whose payload was wanted is whole.
    fn whole(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Verdict> {
        self.at = At::Head;
        match frame.kind {
            Kind::Settings => settings(payload)?,
            // §6.9: no increment of nothing. On a stream that would be the stream's error.
            Kind::WindowUpdate if payload.iter().all(|byte| *byte == 0) => {
                return Err(Fault::FrameValue.into());
            }
            Kind::Headers => {
                let trailers = frame.stream <= self.opened;
                self.opened = self.opened.max(frame.stream);
                let last = frame.flags & END_HEADERS != 0;
                let ended = frame.flags & END_STREAM != 0;
                let block = Block { stream: frame.stream, trailers, ended, continuations: 0, last };
                return self.fields(block, unpadded(frame, payload)?);
            }
            Kind::Continuation => {
                let Some(mut block) = self.block.take() else { return Ok(()) };
                block.continuations += 1;
                block.last = frame.flags & END_HEADERS != 0;
                if block.continuations > CONTINUATIONS {
                    return Err(Flood::Continuation.into());
                }
                return self.fields(block, payload);
            }
            _ => {}
        }
        Ok(())
    }

    fn fields(&mut self, block: Block, fragment: &[u8]) -> Result<(), Verdict> {
        if self.held.len() + fragment.len() > self.limits.block {
            return Err(Flood::Continuation.into());
        }
        if !block.last {
            self.held.extend_from_slice(fragment);
            self.kept = self.held.len();
            self.block = Some(block);
            return Ok(());
        }
        let seen = if self.held.is_empty() {
            self.table.read(fragment)
        } else {
            self.held.extend_from_slice(fragment);
            self.table.read(&self.held)
        };
        (self.held, self.kept) = (Vec::new(), 0);
        // §4.3.
        let seen = seen.map_err(|_| Fault::Compression)?;
        // §8.1: trailers have none, and RFC 9110 §6.5.1 nothing that frames.
        if block.trailers && (seen.pseudo || seen.content_length) {
            return Err(Fault::Trailers.into());
        }
        // §8.3.1: a path and a query. `http::Uri` would cut the rest off without a word.
        if seen.fragment {
            return Err(Fault::Target.into());
        }
        if seen.expects && !block.trailers && !block.ended {
            self.expecting.push(block.stream);
        }
        Ok(())
    }
}

fn skip(left: u32) -> At {
    if left == 0 { At::Head } else { At::Skip(left) }
}

/// RFC 9113 §6: on which streams a type may come, and how large it is.
fn may_stand(frame: Frame) -> Result<(), Verdict> {
    let Frame { kind, flags, stream, length } = frame;
    let on_stream = match kind {
        // Clients push nothing (§8.4).
        Kind::PushPromise => false,
        // §5.1.1: theirs are odd.
        Kind::Data | Kind::Headers | Kind::Continuation => stream % 2 == 1,
        Kind::Priority | Kind::Reset => stream != 0,
        Kind::Settings | Kind::Ping | Kind::GoAway | Kind::PriorityUpdate => stream == 0,
        Kind::WindowUpdate | Kind::Unknown => true,
    };
    if !on_stream {
        return Err(Fault::FrameOrder.into());
    }
    let sized = match kind {
        Kind::Priority => length == 5,
        Kind::Reset | Kind::WindowUpdate => length == 4,
        Kind::Settings if flags & ACK != 0 => length == 0,
        Kind::Settings => length.is_multiple_of(6),
        Kind::Ping => length == 8,
        Kind::GoAway => length >= 8,
        Kind::PriorityUpdate => length >= 4,
        Kind::Data => flags & PADDED == 0 || length >= 1,
        _ => true,
    };
    if sized { Ok(()) } else { Err(Fault::FrameSize.into()) }
}

/// RFC 9113 §6.5.2.
fn settings(payload: &[u8]) -> Result<(), Verdict> {
    for setting in payload.chunks_exact(6) {
        let &[a, b, c, d, e, f] = setting else { continue };
        let value = u32::from_be_bytes([c, d, e, f]);
        match u16::from_be_bytes([a, b]) {
            0x2 if value > 1 => return Err(Fault::FrameValue.into()),
            0x4 if value > 0x7fff_ffff => return Err(Fault::Window.into()),
            0x5 if !(16_384..=16_777_215).contains(&value) => {
                return Err(Fault::FrameValue.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The field block of a HEADERS frame (RFC 9113 §6.2).
fn unpadded(frame: Frame, payload: &[u8]) -> Result<&[u8], Verdict> {
    let mut rest = payload;
    let mut padding = 0;
    if frame.flags & PADDED != 0 {
        let (first, behind) = rest.split_first().ok_or(Fault::FrameSize)?;
        (padding, rest) = (usize::from(*first), behind);
    }
    if frame.flags & PRIORITY != 0 {
        rest = rest.get(5..).ok_or(Fault::FrameSize)?;
    }
    let end = rest.len().checked_sub(padding).ok_or(Fault::FrameValue)?;
    Ok(&rest[..end])
}

#[cfg(test)]
mod tests;
