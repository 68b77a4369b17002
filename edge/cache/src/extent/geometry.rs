//! How a store's bytes are divided: regions of the data file, slots in a region, and what the
//! manifest may take. Pure arithmetic; the same size gives the same shape for ever.

use super::media::Way;
use crate::chunk::{CHUNK_SIZE, GRAIN};

/// Slots of this size and more are read and written past the page cache.
const DIRECT_MIN: u64 = 64 << 10;
/// What devices and the page cache work in. Slots of a page and more start at one, so that no
/// write has to read the rest of a page first.
pub(super) const PAGE: u64 = 4096;
/// A full chunk and a page for its head. The data file is a row of regions, and each holds
/// slots of one class.
pub(super) const REGION: u64 = CHUNK_SIZE as u64 + PAGE;
/// Bytes of a head before the sums, see [`record`](super::record).
pub(super) const HEAD: usize = 40;
/// Slot sizes, largest first. Neighbours differ by about a third, so a sixth of a slot stays
/// empty on average.
const SLOT_BYTES: [u64; CLASSES] = [
    REGION,
    128 * PAGE,
    85 * PAGE,
    64 * PAGE,
    51 * PAGE,
    42 * PAGE,
    32 * PAGE,
    25 * PAGE,
    21 * PAGE,
    16 * PAGE,
    12 * PAGE,
    10 * PAGE,
    8 * PAGE,
    6 * PAGE,
    5 * PAGE,
    4 * PAGE,
    3 * PAGE,
    2 * PAGE,
    PAGE,
    PAGE / 2,
    PAGE / 4,
];
pub(super) const CLASSES: usize = 21;
/// Slots of less than a page are left out where slot numbers would not suffice.
const CLASSES_OF_PAGES: usize = 19;
/// Regions that still leave 10 bits for the slot: 4 TiB. One less, here and below: no slot may
/// have the number that the index takes for none.
const REGIONS_FINE: u32 = (1 << 22) - 1;
/// Regions that leave 8 bits for the slot: 16 TiB.
const REGIONS_MAX: u32 = (1 << 24) - 1;

/// Bytes of a manifest record, see [`manifest`](super::manifest).
pub(super) const ENTRY: u64 = 12;
/// Bytes of a pin in the manifest.
pub(super) const PIN: u64 = 36;
/// Payload of a manifest block.
pub(super) const BLOCK_PAYLOAD: u64 = PAGE - 12;
/// Chunks a region holds on average at most: 16 KiB chunks fill a disk, smaller ones leave
/// some of it empty rather than let the manifest and the index grow without end.
const CHUNKS_A_REGION: u64 = 64;

/// The smallest store there may be.
pub const SIZE_MIN: u64 = 32 << 20;

/// A size of slots; 0 is the one for full chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u8);

impl Class {
    pub(super) const FULL: Self = Self(0);

    /// Of what stands in a manifest.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        (usize::from(number) < CLASSES).then_some(Self(number))
    }

    pub(super) fn number(self) -> u8 {
        self.0
    }

    pub(super) fn slot_bytes(self) -> u64 {
        SLOT_BYTES[usize::from(self.0)]
    }

    /// Slots of a region.
    pub(super) fn slots(self, geometry: &Geometry) -> u32 {
        // At most 1,028, and at most as many as slot numbers can tell apart.
        ((REGION / self.slot_bytes()) as u32).min(1 << geometry.slot_bits)
    }

    /// Whether its chunks go past the page cache.
    pub(super) fn way(self) -> Way {
        if self.slot_bytes() >= DIRECT_MIN { Way::Direct } else { Way::Cached }
    }

    /// Where data starts in a slot. Full chunks start at a page of their own.
    pub(super) fn head_bytes(self, length: u32) -> u64 {
        if self == Self::FULL { PAGE } else { head_bytes(length) as u64 }
    }
}

/// Bytes of a head with the sums of `length` bytes.
pub(super) fn head_bytes(length: u32) -> usize {
    HEAD + 4 * (length as usize).div_ceil(GRAIN)
}

/// The shape of a store of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) regions: u32,
    /// Low bits of a slot's number that say which slot of its region it is.
    pub(super) slot_bits: u32,
    pub(super) chunks_max: u64,
    pub(super) pins_max: usize,
    /// The manifest is written anew when its log has grown to this.
    pub(super) log_max: u64,
}

impl Geometry {
    /// The largest shape that keeps all files, the manifest twice, within `size_bytes`.
    /// `None` for less than [`SIZE_MIN`] or more than 16 TiB.
    pub(super) fn of(size_bytes: u64) -> Option<Self> {
        if size_bytes < SIZE_MIN {
            return None;
        }
        let mut regions = u32::try_from(size_bytes / REGION).ok()?;
        if regions > REGIONS_MAX {
            return None;
        }
        loop {
            let shape = Self::of_regions(regions);
            let bytes = shape.bytes();
            if bytes <= size_bytes {
                return Some(shape);
            }
            regions -= u32::try_from((bytes - size_bytes).div_ceil(2 * REGION)).ok()?;
        }
    }

    fn of_regions(regions: u32) -> Self {
        let slot_bits = if regions <= REGIONS_FINE { 10 } else { 8 };
        let mut shape = Self {
            regions,
            slot_bits,
            chunks_max: u64::from(regions) * CHUNKS_A_REGION,
            pins_max: (regions as usize).clamp(64, 1 << 16),
            log_max: 0,
        };
        shape.log_max = shape.snapshot_max().clamp(64 << 10, 64 << 20);
        shape
    }

    /// Bytes of the largest snapshot.
    fn snapshot_max(&self) -> u64 {
        let entries = self.chunks_max.div_ceil(BLOCK_PAYLOAD / ENTRY);
        let pins = (self.pins_max as u64).div_ceil(BLOCK_PAYLOAD / PIN);
        (1 + entries + pins) * PAGE
    }

    /// Bytes the manifest may have.
    pub(super) fn manifest_max(&self) -> u64 {
        self.snapshot_max() + self.log_max
    }

    pub(super) fn data_bytes(&self) -> u64 {
        u64::from(self.regions) * REGION
    }

    /// Of all files at the worst moment: while a manifest or superblock is written anew.
    fn bytes(&self) -> u64 {
        self.data_bytes() + 2 * self.manifest_max() + 2 * PAGE
    }

    /// The smallest class that takes `length` bytes and their head.
    pub(super) fn class_for(&self, length: u32) -> Class {
        let record = head_bytes(length) as u64 + u64::from(length);
        let classes = if self.slot_bits >= 10 { CLASSES } else { CLASSES_OF_PAGES };
        let fits = SLOT_BYTES[1..classes].iter().rposition(|bytes| record <= *bytes);
        fits.map_or(Class::FULL, |place| Class(place as u8 + 1))
    }

    pub(super) fn slot(&self, region: u32, place: u32) -> Slot {
        Slot(region << self.slot_bits | place)
    }

    pub(super) fn region(&self, slot: Slot) -> u32 {
        slot.0 >> self.slot_bits
    }

    pub(super) fn place(&self, slot: Slot) -> u32 {
        slot.0 & ((1 << self.slot_bits) - 1)
    }

    /// Where a slot starts in the data file.
    pub(super) fn offset(&self, slot: Slot, class: Class) -> u64 {
        u64::from(self.region(slot)) * REGION + u64::from(self.place(slot)) * class.slot_bytes()
    }
}

/// Number of a slot: its region above, its place in it below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_fills_its_size_and_never_more() {
        for size in [SIZE_MIN, SIZE_MIN + 1, 100 << 20, 10 << 30, 1 << 40, 9 << 40, 16 << 40] {
            let shape = Geometry::of(size).unwrap();
            assert!(shape.bytes() <= size, "{size}: {shape:?}");
            // A hundredth goes into rounding and the manifest; small stores round more.
            let least = size - size / 100 - 2 * REGION;
            assert!(shape.data_bytes() >= least, "{size}: {shape:?}");
            let last = shape.slot(shape.regions - 1, 0);
            assert_eq!(shape.offset(last, Class::FULL) + REGION, shape.data_bytes());
            assert!(last != Slot(u32::MAX));
        }
        for size in [0, SIZE_MIN - 1, 17 << 40, u64::MAX] {
            assert_eq!(Geometry::of(size), None, "{size}");
        }
    }

    #[test]
    fn every_length_has_a_class_that_holds_it() {
        for size in [SIZE_MIN, 9 << 40] {
            let shape = Geometry::of(size).unwrap();
            for length in (1..=CHUNK_SIZE as u32).step_by(97).chain([1, 984, CHUNK_SIZE as u32]) {
                let class = shape.class_for(length);
                let record = class.head_bytes(length) + u64::from(length);
                assert!(record <= class.slot_bytes(), "{length} in {class:?}");
                assert!(class.slots(&shape) <= 1 << shape.slot_bits);
                assert!(u64::from(class.slots(&shape)) * class.slot_bytes() <= REGION);
                if let Some(smaller) = Class::from_number(class.number() + 1)
                    && (size == SIZE_MIN || smaller.slot_bytes() >= PAGE)
                {
                    let record = head_bytes(length) as u64 + u64::from(length);
                    assert!(record > smaller.slot_bytes(), "{length} fits {smaller:?}");
                }
            }
        }
    }
}
