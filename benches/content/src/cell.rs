//! One cell: 32 bytes that say which object, version and place they are.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes in every cell but an object's last.
pub const CELL: usize = 32;

/// Keys the hash, so that foreign bytes are never taken for a cell (chance 2^-64).
const KEY: u64 = 0x7765_6972_2d63_656c;

/// What a whole cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The object it belongs to.
    pub object: u64,
    /// The object's version, counted from 1.
    pub version: u64,
    /// Its place: the cell begins at byte `index * 32` of the object.
    pub index: u64,
}

impl Cell {
    /// The cell as an object carries it: three little-endian words and their hash.
    #[inline]
    pub fn encode(self) -> [u8; CELL] {
        let mut bytes = [0; CELL];
        bytes[..8].copy_from_slice(&self.object.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.index.to_le_bytes());
        let hash = xxh3_64_with_seed(&bytes[..24], KEY);
        bytes[24..].copy_from_slice(&hash.to_le_bytes());
        bytes
    }

    /// Reads a cell; `None` where the hash does not hold.
    pub fn decode(bytes: &[u8; CELL]) -> Option<Self> {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let cell = Self { object: word(0), version: word(8), index: word(16) };
        (xxh3_64_with_seed(&bytes[..24], KEY) == word(24)).then_some(cell)
    }

    /// The first whole cell at any alignment within `window`.
    pub(crate) fn find(window: &[u8]) -> Option<Self> {
        window.windows(CELL).find_map(|bytes| {
            let bytes: &[u8; CELL] = bytes.try_into().ok()?;
            Self::decode(bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_back_and_a_flipped_one_does_not() {
        let cell = Cell { object: 7, version: 3, index: 9 };
        let bytes = cell.encode();
        assert_eq!(Cell::decode(&bytes), Some(cell));
        for bit in 0..CELL * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Cell::decode(&flipped), None, "bit {bit}");
        }
        assert_eq!(Cell::decode(&[0; CELL]), None, "padding is no cell");
    }
}
