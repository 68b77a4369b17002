//! Records of one shard end to end in pages: no allocation, no header of the allocator and no
//! rounding for each. What is forgotten stays until the shard copies what lives.

use super::varint::{self, Reader};

/// Bits of a place that say where in the page.
const OFFSET_BITS: u32 = 14;
const PAGE: usize = 1 << OFFSET_BITS;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

/// At most 2^18 pages of 16 KiB; a longer record has a page of its own.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pages: Vec<Vec<u8>>,
    /// Of all pages, used or not.
    bytes: usize,
    /// Of records that are needed, and of those that are not.
    live: usize,
    dead: usize,
}

impl Arena {
    /// `None` when there is no page left, which takes 2^18 records in one shard.
    pub(super) fn push(&mut self, record: &[u8]) -> Option<Place> {
        let mut length = Vec::with_capacity(2);
        varint::push(&mut length, record.len() as u64);
        let needed = length.len() + record.len();
        let fits = |page: &Vec<u8>| page.capacity() - page.len() >= needed && page.len() < PAGE;
        if !self.pages.last().is_some_and(fits) {
            let number = u32::try_from(self.pages.len()).ok()?;
            (number < 1 << (32 - OFFSET_BITS)).then_some(())?;
            let page = Vec::with_capacity(needed.max(PAGE));
            self.bytes += page.capacity();
            self.pages.push(page);
        }
        let number = self.pages.len() - 1;
        let page = self.pages.last_mut()?;
        // Both fit: the number was checked, and a page that is written to is shorter than PAGE.
        let place = Place((number as u32) << OFFSET_BITS | page.len() as u32);
        page.extend_from_slice(&length);
        page.extend_from_slice(record);
        self.live += needed;
        Some(place)
    }

    pub(super) fn get(&self, place: Place) -> &[u8] {
        self.reader(place).sized().expect("a place is where a record was put")
    }

    /// The record is not needed any more.
    pub(super) fn forget(&mut self, place: Place) {
        let mut reader = self.reader(place);
        let before = reader.0.len();
        let _ = reader.sized().expect("a place is where a record was put");
        let length = before - reader.0.len();
        self.dead += length;
        self.live -= length;
    }

    /// Whether copying what lives is worth it: an eighth is dead, and more than a page.
    pub(super) fn is_wasteful(&self) -> bool {
        self.dead > PAGE.max(self.bytes / 8)
    }

    /// Of all pages, used or not.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.pages.capacity() * size_of::<Vec<u8>>()
    }

    /// Of records that are needed.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    fn reader(&self, place: Place) -> Reader<'_> {
        let (page, offset) = (place.0 >> OFFSET_BITS, place.0 as usize % PAGE);
        Reader(&self.pages[page as usize][offset..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_took() {
        let mut arena = Arena::default();
        let records: Vec<Vec<u8>> = [0, 1, 127, 128, 5000, PAGE - 3, PAGE, PAGE * 3, 9, 16_000]
            .iter()
            .map(|length| (0..*length).map(|n| n as u8).collect())
            .collect();
        let places: Vec<Place> = records.iter().map(|r| arena.push(r).unwrap()).collect();
        for (place, record) in places.iter().zip(&records) {
            assert_eq!(arena.get(*place), record);
        }
        let live: usize = records.iter().map(Vec::len).sum();
        assert!(arena.live() >= live && arena.live() <= live + 3 * records.len());
        assert!(!arena.is_wasteful());
        places.into_iter().for_each(|place| arena.forget(place));
        assert_eq!(arena.live(), 0);
        assert!(arena.is_wasteful());
    }
}
