//! The streaming checker: takes a body in any pieces, needs no reference copy.

use std::ops::Range;

use crate::{
    cell::{CELL, Cell},
    content::Content,
    verdict::{Class, Verdict},
};

/// Versions on each side of those expected that a part of a cell is compared with.
/// A part carries no hash, so it can only be compared.
const NEARBY: u64 = 16;

/// What a body ought to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The object.
    pub object: u64,
    /// Its size.
    pub size: u64,
    /// The bytes asked for, within the size.
    pub range: Range<u64>,
    /// The oldest version that may still be served.
    pub oldest: u64,
    /// The newest version there is. A newer one counts as flipped: nobody made it.
    pub newest: u64,
}

impl Expected {
    /// The whole of exactly this version.
    pub fn all(content: &Content) -> Self {
        Self::range(content, 0..content.size)
    }

    /// A part of exactly this version.
    pub fn range(content: &Content, range: Range<u64>) -> Self {
        let end = range.end.min(content.size);
        Self {
            object: content.object,
            size: content.size,
            range: range.start.min(end)..end,
            oldest: content.version,
            newest: content.version,
        }
    }

    /// Accepts any one version from `oldest` to `newest`, but never two in one body.
    #[must_use]
    pub fn versions(self, oldest: u64, newest: u64) -> Self {
        Self { oldest, newest, ..self }
    }
}

/// Checks one body. Costs one hash per 32 bytes, and keeps at most two cells.
#[derive(Debug)]
pub struct Checker {
    expected: Expected,
    /// Where the next byte belongs in the object.
    at: u64,
    /// Bytes past the end.
    surplus: u64,
    /// Bytes received of a cell that is not whole yet.
    held: [u8; CELL],
    held_len: usize,
    /// The part of a cell that the body began with, until a whole cell tells the version.
    head: Option<Part>,
    /// A cell that holds at no alignment so far; the next one may show that it was shifted.
    doubtful: Option<(u64, [u8; CELL])>,
    verdict: Verdict,
}

/// A part of a cell and its place.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u64,
    bytes: [u8; CELL],
    len: usize,
}

impl Part {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Checker {
    /// Begins a body.
    pub fn new(expected: Expected) -> Self {
        Self {
            at: expected.range.start,
            expected,
            surplus: 0,
            held: [0; CELL],
            held_len: 0,
            head: None,
            doubtful: None,
            verdict: Verdict::default(),
        }
    }

    /// Checks a whole body at once.
    pub fn check(expected: Expected, body: &[u8]) -> Verdict {
        let mut checker = Self::new(expected);
        checker.push(body);
        checker.finish()
    }

    /// Bytes that arrived so far.
    pub fn received(&self) -> u64 {
        self.at + self.surplus - self.expected.range.start
    }

    /// The next piece of the body, of any length.
    pub fn push(&mut self, mut piece: &[u8]) {
        let room = self.expected.range.end.saturating_sub(self.at);
        if piece.len() as u64 > room {
            let room = usize::try_from(room).expect("less than the piece");
            let surplus = (piece.len() - room) as u64;
            self.verdict.add(Class::Long, self.expected.range.end, surplus);
            self.surplus += surplus;
            piece = &piece[..room];
        }
        // Fill the cell begun before, then whole cells straight from the piece.
        let into = self.offset();
        if into != 0 {
            let rest = piece.len().min(CELL - into);
            self.take(&piece[..rest]);
            piece = &piece[rest..];
        }
        let mut cells = piece.chunks_exact(CELL);
        for cell in &mut cells {
            let cell: &[u8; CELL] = cell.try_into().expect("chunks_exact gives whole cells");
            self.whole(self.at, cell);
            self.at += CELL as u64;
        }
        self.take(cells.remainder());
    }

    /// The body ended, cleanly or not: what has not come is short.
    pub fn finish(mut self) -> Verdict {
        let tail =
            Part { at: self.at - self.held_len as u64, bytes: self.held, len: self.held_len };
        if let Some((at, cell)) = self.doubtful.take() {
            let mut window = cell.to_vec();
            window.extend_from_slice(tail.bytes());
            let class = Cell::find(&window).map_or(Class::Flipped, |found| self.classify(found));
            self.verdict.add(class, at, CELL as u64);
        }
        if let Some(head) = self.head.take() {
            self.part(head);
        }
        if tail.len > 0 {
            self.part(tail);
        }
        let end = self.expected.range.end;
        self.verdict.add(Class::Short, self.at, end.saturating_sub(self.at));
        self.verdict
    }

    /// Where in its cell the next byte belongs.
    fn offset(&self) -> usize {
        usize::try_from(self.at % CELL as u64).expect("less than a cell")
    }

    /// Takes bytes one cell at a time; the slow way, for the edges.
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min(CELL - self.offset());
            self.held[self.held_len..self.held_len + take].copy_from_slice(&bytes[..take]);
            self.held_len += take;
            self.at += take as u64;
            bytes = &bytes[take..];
            if self.offset() == 0 {
                let at = self.at - self.held_len as u64;
                if self.held_len == CELL {
                    let cell = self.held;
                    self.whole(at, &cell);
                } else {
                    self.head = Some(Part { at, bytes: self.held, len: self.held_len });
                }
                self.held_len = 0;
            }
        }
    }

    /// A whole cell at its place.
    #[inline]
    fn whole(&mut self, at: u64, bytes: &[u8; CELL]) {
        let index = at / CELL as u64;
        if let (Some(version), None) = (self.verdict.version, &self.doubtful) {
            let right = Cell { object: self.expected.object, version, index };
            if *bytes == right.encode() {
                if version < self.expected.oldest {
                    self.verdict.add(Class::Stale, at, CELL as u64);
                }
                return;
            }
        }
        self.doubt(at, bytes);
    }

    /// A cell that is not the one the body's version has here, or the first of the body.
    #[cold]
    fn doubt(&mut self, at: u64, bytes: &[u8; CELL]) {
        let doubtful = self.doubtful.take();
        let sound = Cell::decode(bytes);
        if let Some((before, cell)) = doubtful {
            let window = [cell, *bytes].concat();
            let shifted = if sound.is_some() { None } else { Cell::find(&window) };
            let class = shifted.map_or(Class::Flipped, |found| self.classify(found));
            self.verdict.add(class, before, CELL as u64);
        }
        let Some(sound) = sound else {
            self.doubtful = Some((at, *bytes));
            return;
        };
        let here = sound.object == self.expected.object && sound.index == at / CELL as u64;
        let known = sound.version >= 1 && sound.version <= self.expected.newest;
        if here && known {
            let version = *self.verdict.version.get_or_insert(sound.version);
            if version != sound.version {
                self.verdict.add(Class::Torn, at, CELL as u64);
            } else if version < self.expected.oldest {
                self.verdict.add(Class::Stale, at, CELL as u64);
            }
            return;
        }
        let class = self.classify(sound);
        self.verdict.add(class, at, CELL as u64);
    }

    /// A sound cell that does not belong at `at`, perhaps shifted.
    fn classify(&self, found: Cell) -> Class {
        if found.object != self.expected.object {
            Class::WrongObject
        } else if found.version == 0 || found.version > self.expected.newest {
            Class::Flipped
        } else {
            Class::WrongRange
        }
    }

    /// A part of a cell at the body's head or tail: compared, since it has no hash of its own.
    fn part(&mut self, part: Part) {
        let offset = usize::try_from(part.at % CELL as u64).expect("less than a cell");
        let is = |version: u64| {
            let cell = Cell { object: self.expected.object, version, index: part.at / CELL as u64 };
            cell.encode()[offset..offset + part.len] == *part.bytes()
        };
        let newest = self.expected.newest;
        // Bytes that are the same in every version say nothing about it.
        let class = match self.verdict.version {
            Some(version) if is(version) => {
                (version < self.expected.oldest).then_some(Class::Stale)
            }
            Some(version) => {
                let near = version.saturating_sub(NEARBY).max(1)..=newest.min(version + NEARBY);
                Some(if near.into_iter().any(is) { Class::Torn } else { Class::Flipped })
            }
            None => {
                let fresh = self.expected.oldest.max(newest.saturating_sub(NEARBY)).max(1)..=newest;
                let old = self.expected.oldest.saturating_sub(NEARBY).max(1)..self.expected.oldest;
                if fresh.into_iter().any(&is) {
                    None
                } else if old.into_iter().any(&is) {
                    Some(Class::Stale)
                } else {
                    Some(Class::Flipped)
                }
            }
        };
        if let Some(class) = class {
            self.verdict.add(class, part.at, part.len as u64);
        }
    }
}
