//! What RAM knows of a slot, in 8 bytes: fingerprint (32 bits), length less one (20), flags.

/// A slot's word. 0 is a slot nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry(u64);

/// In the index.
const LIVE: u64 = 1;
/// Not in the index and not free: being written, or to be struck out on disk.
const TAKEN: u64 = 1 << 1;
/// Has been used since it came; else on probation.
const MAIN: u64 = 1 << 2;
const PINNED: u64 = 1 << 3;
const USED_SHIFT: u32 = 4;
const USED: u64 = 3 << USED_SHIFT;
/// Not an entry but the place of a region's small slots.
const SMALL: u64 = 1 << 6;
/// On probation, and no longer in its queue.
const SPILLED: u64 = 1 << 7;
const LENGTH_SHIFT: u32 = 12;
const UPPER_SHIFT: u32 = 32;

impl Entry {
    pub(super) const FREE: Self = Self(0);
    /// Of a slot that was given out.
    pub(super) const TAKEN: Self = Self(TAKEN);

    /// Of a chunk of 1 to 1 MiB bytes.
    pub(super) fn live(fingerprint: u32, length: u32, main: bool, pinned: bool) -> Self {
        let flags = LIVE | if main { MAIN } else { 0 } | if pinned { PINNED } else { 0 };
        Self(
            u64::from(fingerprint) << UPPER_SHIFT
                | u64::from(length.saturating_sub(1) & 0xf_ffff) << LENGTH_SHIFT
                | flags,
        )
    }

    pub(super) fn small(place: u32) -> Self {
        Self(u64::from(place) << UPPER_SHIFT | SMALL)
    }

    pub(super) fn as_small(self) -> Option<usize> {
        (self.0 & SMALL != 0).then_some((self.0 >> UPPER_SHIFT) as usize)
    }

    pub(super) fn is_free(self) -> bool {
        self == Self::FREE
    }

    pub(super) fn is_live(self) -> bool {
        self.0 & LIVE != 0
    }

    pub(super) fn is_main(self) -> bool {
        self.0 & MAIN != 0
    }

    pub(super) fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }

    pub(super) fn fingerprint(self) -> u32 {
        (self.0 >> UPPER_SHIFT) as u32
    }

    pub(super) fn length(self) -> u32 {
        (self.0 >> LENGTH_SHIFT & 0xf_ffff) as u32 + 1
    }

    /// Reads since eviction last looked, up to 3.
    pub(super) fn used(self) -> u64 {
        (self.0 & USED) >> USED_SHIFT
    }

    pub(super) fn with_used(self, used: u64) -> Self {
        Self(self.0 & !USED | used.min(3) << USED_SHIFT)
    }

    pub(super) fn with_main(self) -> Self {
        Self(self.0 & !SPILLED | MAIN)
    }

    pub(super) fn on_probation(self) -> Self {
        Self(self.0 & !(MAIN | USED))
    }

    pub(super) fn is_spilled(self) -> bool {
        self.0 & SPILLED != 0
    }

    pub(super) fn with_spilled(self) -> Self {
        Self(self.0 | SPILLED)
    }

    pub(super) fn with_pinned(self, pinned: bool) -> Self {
        Self(self.0 & !PINNED | if pinned { PINNED } else { 0 })
    }

    /// As it was when it came, without what eviction noted since.
    pub(super) fn afresh(self) -> Self {
        Self(self.0 & !(USED | SPILLED))
    }

    /// Whether both are of the same chunk, whatever became of their marks.
    pub(super) fn same_chunk(self, other: Self) -> bool {
        const MARKS: u64 = MAIN | PINNED | USED | SPILLED;
        self.0 & !MARKS == other.0 & !MARKS
    }
}
