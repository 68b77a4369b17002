//! One memory budget, and what it is spent on.

use weir_config_units::ByteSize;

use super::{Cache, Fill};

/// Bytes in flight for one request to an upstream: one chunk.
const PER_FILL: u64 = 1 << 20;
/// Below this the RAM tier would only churn.
const LEAST_RAM: u64 = 16 << 20;

/// How `cache.memory` is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryParts {
    /// 1 MiB for each request that may be under way to an upstream.
    pub fills: ByteSize,
    /// An eighth where there are disks: their write buffers together.
    pub disk_buffers: ByteSize,
    /// The rest: the RAM tier.
    pub ram: ByteSize,
}

impl Cache {
    /// How the memory is spent; nothing when less than 16 MiB would be left for the RAM tier.
    /// A loaded configuration always has an answer.
    pub fn parts(&self, fill: &Fill) -> Option<MemoryParts> {
        let memory = self.memory.as_u64();
        let fills = u64::from(fill.concurrency.get()) * PER_FILL;
        let disk_buffers = if self.disks.is_empty() { 0 } else { memory / 8 };
        let ram = memory.checked_sub(fills)?.checked_sub(disk_buffers)?;
        (ram >= LEAST_RAM).then_some(MemoryParts {
            fills: ByteSize::bytes(fills),
            disk_buffers: ByteSize::bytes(disk_buffers),
            ram: ByteSize::bytes(ram),
        })
    }

    /// The least memory for which [`Cache::parts`] has an answer, in whole MiB.
    pub(crate) fn least_memory(fill: &Fill, disks: bool) -> ByteSize {
        let needed = u64::from(fill.concurrency.get()) * PER_FILL + LEAST_RAM;
        let with_disks = if disks { (needed * 8).div_ceil(7) } else { needed };
        ByteSize::bytes(with_disks.next_multiple_of(1 << 20))
    }
}
