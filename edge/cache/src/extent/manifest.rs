//! The manifest: which chunk is in which slot, so that a start reads 12 bytes a chunk instead
//! of the disk.
//!
//! A file is one block of 4 KiB that says what it is, blocks of the snapshot (entries, then
//! pins), and frames of the log: what changed since. Blocks and frames are the same but for
//! length: kind (2), count (2), reserved (4), payload, CRC-32C over all of it, the disk, the
//! file's generation and the place. A rotten block of the snapshot loses its chunks; the log
//! ends at the first frame that does not hold, as a torn one does. What it says last about a
//! slot holds, and a head on disk that says otherwise makes it a miss.

use std::{
    io::{self, Read},
    ops::Range,
};

use super::{
    entry::Entry,
    geometry::{BLOCK_PAYLOAD, Class, ENTRY, PAGE, PIN, Slot},
    record::sealed,
};
use crate::chunk::ObjectId;

const MAGIC: [u8; 8] = *b"weirmf01";
const ENTRIES: u16 = 1;
const PINS: u16 = 2;
const FRAME_HEAD: usize = 8;
const FRAME_CRC: usize = 4;

const LIVE: u32 = 1 << 25;
const MAIN: u32 = 1 << 26;
const PINNED: u32 = 1 << 27;

/// What a slot holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) slot: Slot,
    pub(super) class: Class,
    /// Live, or else free.
    pub(super) entry: Entry,
}

/// A pin that was set, or taken back where the range is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) object: ObjectId,
    pub(super) generation: u64,
    pub(super) chunks: Range<u32>,
}

/// One thing a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Change(Change),
    Pin(Pin),
}

impl Change {
    fn write(self, out: &mut Vec<u8>) {
        let entry = self.entry;
        let mut word = u32::from(self.class.number()) << 20;
        if entry.is_live() {
            word |= LIVE | (entry.length() - 1);
        }
        if entry.is_live() && entry.is_main() {
            word |= MAIN;
        }
        if entry.is_live() && entry.is_pinned() {
            word |= PINNED;
        }
        out.extend(self.slot.0.to_le_bytes());
        out.extend(entry.fingerprint().to_le_bytes());
        out.extend(word.to_le_bytes());
    }

    fn parse(bytes: &[u8; ENTRY as usize]) -> Option<Self> {
        let (words, _) = bytes.as_chunks();
        let [slot, fingerprint, word] = [0, 1, 2].map(|at| u32::from_le_bytes(words[at]));
        let class = Class::from_number((word >> 20 & 31) as u8)?;
        let (main, pinned) = (word & MAIN != 0, word & PINNED != 0);
        let entry = if word & LIVE == 0 {
            Entry::FREE
        } else {
            Entry::live(fingerprint, (word & 0xf_ffff) + 1, main, pinned)
        };
        Some(Self { slot: Slot(slot), class, entry })
    }
}

impl Pin {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.object.0.to_le_bytes());
        out.extend(self.generation.to_le_bytes());
        out.extend(self.chunks.start.to_le_bytes());
        out.extend(self.chunks.end.to_le_bytes());
        out.extend([0; 4]);
    }

    fn parse(bytes: &[u8; PIN as usize]) -> Option<Self> {
        Some(Self {
            object: ObjectId(u128::from_le_bytes(*bytes.first_chunk()?)),
            generation: u64::from_le_bytes(*bytes[16..].first_chunk()?),
            chunks: u32::from_le_bytes(*bytes[24..].first_chunk()?)
                ..u32::from_le_bytes(*bytes[28..].first_chunk()?),
        })
    }
}

/// Writes frames of one manifest file, each for the place it will stand at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framer {
    pub(super) disk: u128,
    pub(super) generation: u64,
}

impl Framer {
    fn seal(&self, place: u64, bytes: &[u8]) -> u32 {
        sealed(self.disk ^ u128::from(self.generation) << 64, place, bytes)
    }

    fn frame(&self, place: u64, kind: u16, count: usize, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(kind.to_le_bytes());
        // At most 340.
        out.extend((count as u16).to_le_bytes());
        out.extend([0; 4]);
        out.extend(payload);
        let crc = self.seal(place, &out[start..]);
        out.extend(crc.to_le_bytes());
    }

    /// Frames of these changes and pins, to be written at `place`.
    pub(super) fn frames(&self, place: u64, changes: &[Change], pins: &[Pin]) -> Vec<u8> {
        let (mut out, mut payload) = (Vec::new(), Vec::new());
        for changes in changes.chunks((BLOCK_PAYLOAD / ENTRY) as usize) {
            payload.clear();
            changes.iter().for_each(|change| change.write(&mut payload));
            let place = place + out.len() as u64;
            self.frame(place, ENTRIES, changes.len(), &payload, &mut out);
        }
        for pins in pins.chunks((BLOCK_PAYLOAD / PIN) as usize) {
            payload.clear();
            pins.iter().for_each(|pin| pin.write(&mut payload));
            let place = place + out.len() as u64;
            self.frame(place, PINS, pins.len(), &payload, &mut out);
        }
        out
    }

    /// Whole blocks of these changes and pins, for a snapshot from `place` on.
    pub(super) fn blocks(&self, place: u64, changes: &[Change], pins: &[Pin]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut block = |frame: Vec<u8>| {
            let start = out.len();
            out.extend(frame);
            out.resize(start + PAGE as usize, 0);
            place + out.len() as u64
        };
        let mut at = place;
        for changes in changes.chunks((BLOCK_PAYLOAD / ENTRY) as usize) {
            at = block(self.frames(at, changes, &[]));
        }
        for pins in pins.chunks((BLOCK_PAYLOAD / PIN) as usize) {
            at = block(self.frames(at, &[], pins));
        }
        out
    }

    /// The first block of a file with this many blocks of a snapshot.
    pub(super) fn title(&self, blocks: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(PAGE as usize);
        out.extend(MAGIC);
        out.extend(self.generation.to_le_bytes());
        out.extend(blocks.to_le_bytes());
        let crc = sealed(self.disk, 0, &out);
        out.extend(crc.to_le_bytes());
        out.resize(PAGE as usize, 0);
        out
    }
}

/// How a manifest was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) generation: u64,
    /// Bytes of the snapshot, the first block included.
    pub(super) snapshot: u64,
    /// Where the log goes on.
    pub(super) end: u64,
    /// Nothing was lost of it, not even its tail.
    pub(super) whole: bool,
    /// Nothing was lost of its snapshot; a tail may tear in any kill.
    pub(super) sound: bool,
}

/// Reads a manifest of at most `bytes_max` and tells `apply` what it says, in order. `None`
/// when it is none of this disk.
pub(super) fn load(
    from: impl Read,
    disk: u128,
    bytes_max: u64,
    mut apply: impl FnMut(Item),
) -> io::Result<Option<Loaded>> {
    let mut from = from.take(bytes_max);
    let mut block = Vec::with_capacity(PAGE as usize);
    if !fill(&mut from, &mut block, PAGE as usize)? {
        return Ok(None);
    }
    let field =
        |at: usize| u64::from_le_bytes(block[at..].first_chunk().copied().unwrap_or([0; 8]));
    let (generation, blocks) = (field(8), field(16));
    let crc = block[24..].first_chunk().copied().map(u32::from_le_bytes);
    if block[..8] != MAGIC || crc != Some(sealed(disk, 0, &block[..24])) {
        return Ok(None);
    }
    let framer = Framer { disk, generation };
    let (mut place, mut whole) = (PAGE, true);
    for _ in 0..blocks {
        if !fill(&mut from, &mut block, PAGE as usize)? {
            // Cut off inside the snapshot: nothing follows.
            let (snapshot, end) = (place, place);
            return Ok(Some(Loaded { generation, snapshot, end, whole: false, sound: false }));
        }
        whole &= framer.read(place, &block, &mut apply).is_some();
        place += PAGE;
    }
    let (snapshot, sound) = (place, whole);
    loop {
        let there = fill(&mut from, &mut block, FRAME_HEAD)?;
        if !there {
            whole &= block.is_empty();
            break;
        }
        let Some(payload) = payload_bytes(&block).filter(|bytes| *bytes <= BLOCK_PAYLOAD as usize)
        else {
            whole = false;
            break;
        };
        if !more(&mut from, &mut block, payload + FRAME_CRC)? {
            whole = false;
            break;
        }
        let Some(bytes) = framer.read(place, &block, &mut apply) else {
            whole = false;
            break;
        };
        place += bytes as u64;
    }
    Ok(Some(Loaded { generation, snapshot, end: place, whole, sound }))
}

/// Bytes of payload that a frame's head promises.
fn payload_bytes(head: &[u8]) -> Option<usize> {
    let kind = u16::from_le_bytes(*head.first_chunk()?);
    let count = usize::from(u16::from_le_bytes(*head[2..].first_chunk()?));
    match kind {
        ENTRIES => Some(count * ENTRY as usize),
        PINS => Some(count * PIN as usize),
        _ => None,
    }
}

impl Framer {
    /// Reads the frame at the start of `bytes`; its length, or `None` when it does not hold.
    fn read(&self, place: u64, bytes: &[u8], apply: &mut impl FnMut(Item)) -> Option<usize> {
        let kind = u16::from_le_bytes(*bytes.first_chunk()?);
        let end = FRAME_HEAD + payload_bytes(bytes)?;
        let crc = u32::from_le_bytes(*bytes.get(end..)?.first_chunk()?);
        let frame = &bytes[..end];
        if crc != self.seal(place, frame) {
            return None;
        }
        let payload = &frame[FRAME_HEAD..];
        if kind == ENTRIES {
            let (all, _) = payload.as_chunks();
            all.iter().filter_map(Change::parse).for_each(|change| apply(Item::Change(change)));
        } else {
            let (all, _) = payload.as_chunks();
            all.iter().filter_map(Pin::parse).for_each(|pin| apply(Item::Pin(pin)));
        }
        Some(end + FRAME_CRC)
    }
}

/// Reads `bytes` into an emptied buffer; false when there are fewer.
fn fill(from: &mut impl Read, into: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
    into.clear();
    more(from, into, bytes)
}

fn more(from: &mut impl Read, into: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
    Ok(from.by_ref().take(bytes as u64).read_to_end(into)? == bytes)
}

#[cfg(test)]
mod tests;
