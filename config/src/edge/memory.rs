//! One memory budget, and what it is spent on.

use weir_config_units::ByteSize;

use super::{Cache, Fill};

/// Bytes in flight for one request to an upstream: one chunk.
const PER_FILL: u64 = 1 << 20;
/// RAM of an object's metadata, all inclusive; the table is bounded by it.
pub const PER_OBJECT: u64 = 200;
/// Share of the memory for metadata where nobody says how many objects.
const METADATA_SHARE: u64 = 16;
/// Below this the RAM tier would only churn.
const LEAST_RAM: u64 = 16 << 20;
/// What the write buffers of one disk take at least.
const LEAST_BUFFERS: u64 = 8 << 20;

/// How `cache.memory` is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryParts {
    /// 1 MiB for each request that may be under way to an upstream.
    pub fills: ByteSize,
    /// An eighth where there are disks, and at least 8 MiB for each: their write buffers
    /// together.
    pub disk_buffers: ByteSize,
    /// 200 bytes for each object; a sixteenth where `cache.objects` is not set.
    pub metadata: ByteSize,
    /// Objects whose metadata that is.
    pub objects: u64,
    /// The rest: the RAM tier.
    pub ram: ByteSize,
}

impl Cache {
    /// How the memory is spent; nothing when less than 16 MiB would be left for the RAM tier.
    /// A loaded configuration always has an answer.
    pub fn parts(&self, fill: &Fill) -> Option<MemoryParts> {
        let memory = self.memory.as_u64();
        let fills = u64::from(fill.concurrency.get()) * PER_FILL;
        let least = self.disks.len() as u64 * LEAST_BUFFERS;
        let disk_buffers = if self.disks.is_empty() { 0 } else { (memory / 8).max(least) };
        let objects = self.objects.unwrap_or(memory / METADATA_SHARE / PER_OBJECT);
        let metadata = objects * PER_OBJECT;
        let ram = memory.checked_sub(fills)?.checked_sub(disk_buffers)?.checked_sub(metadata)?;
        (ram >= LEAST_RAM).then_some(MemoryParts {
            fills: ByteSize::bytes(fills),
            disk_buffers: ByteSize::bytes(disk_buffers),
            metadata: ByteSize::bytes(metadata),
            objects,
            ram: ByteSize::bytes(ram),
        })
    }

    /// The least memory for which [`Cache::parts`] has an answer, in whole MiB.
    pub(crate) fn least_memory(&self, fill: &Fill) -> ByteSize {
        let fixed = self.objects.map_or(0, |objects| objects * PER_OBJECT);
        let needed = u64::from(fill.concurrency.get()) * PER_FILL + fixed + LEAST_RAM;
        // Sixteenths of the memory that are not for shares of it.
        let left = 16 - u64::from(self.objects.is_none());
        let disks = self.disks.len() as u64;
        let shared = if disks == 0 { left } else { left - 2 };
        let least = (needed * 16).div_ceil(shared);
        let least = least.max(((needed + disks * LEAST_BUFFERS) * 16).div_ceil(left));
        ByteSize::bytes(least.next_multiple_of(1 << 20))
    }

    /// What the memory is too small for, in words.
    pub(crate) fn shares(&self, fill: &Fill) -> String {
        let mut words = format!("`fill.concurrency` {} × 1 MiB", fill.concurrency);
        if !self.disks.is_empty() {
            words += ", an eighth but at least 8 MiB a disk for disk writes";
        }
        words += &match self.objects {
            Some(objects) => format!(", `cache.objects` {objects} × {PER_OBJECT} B"),
            None => ", a sixteenth for metadata".to_owned(),
        };
        words + " and at least 16 MiB for the RAM tier"
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU16, path::PathBuf, time::Duration};

    use super::*;
    use crate::edge::{Admission, Disk};

    fn cache(memory: ByteSize, objects: Option<u64>, disks: usize) -> (Cache, Fill) {
        let disk = |at: usize| Disk { path: format!("d{at}").into(), size: ByteSize::gib(1) };
        let cache = Cache {
            memory,
            objects,
            state: PathBuf::from("state"),
            admission: Admission::default(),
            disks: (0..disks).map(disk).collect(),
        };
        let concurrency = NonZeroU16::new(64).unwrap();
        (cache, Fill { concurrency, deadline: Duration::from_secs(2), resumes: 3 })
    }

    /// What is said to be the least is, and one MiB less is not.
    #[test]
    fn the_least_memory_suffices() {
        for disks in [0, 1, 2, 4, 12, 64] {
            for objects in [None, Some(1_000), Some(10_000_000)] {
                let (one, fill) = cache(ByteSize::gib(1), objects, disks);
                let least = one.least_memory(&fill);
                let parts = |memory| cache(memory, objects, disks).0.parts(&fill);
                assert!(parts(least).is_some(), "{disks} {objects:?}");
                let less = ByteSize::bytes(least.as_u64() - (1 << 20));
                assert!(parts(less).is_none(), "{disks} {objects:?}");
                let buffers = parts(least).unwrap().disk_buffers.as_u64();
                assert!(buffers >= disks as u64 * LEAST_BUFFERS, "{disks} {objects:?}");
            }
        }
    }
}
