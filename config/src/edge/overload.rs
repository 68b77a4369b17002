//! `[overload]`: what a node may have to do before it refuses some of it.

use std::num::NonZeroU32;

use weir_config_units::ByteSize;

use super::Cache;

/// `[overload]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overload {
    /// Resident memory of the whole process, where it is told.
    pub memory: Option<ByteSize>,
    /// Requests under way at once. Default 16,384.
    pub requests: NonZeroU32,
}

/// Beside the cache: connections, bodies on their way, the program.
const BESIDE: u64 = 512 << 20;

impl Overload {
    /// The memory of the process: what is told, else that of the cache, a quarter of it for what
    /// an allocator keeps, and 512 MiB.
    #[must_use]
    pub fn budget(&self, cache: &Cache) -> ByteSize {
        let told = cache.memory.as_u64();
        self.memory.unwrap_or_else(|| ByteSize::bytes(told.saturating_add(told / 4 + BESIDE)))
    }
}
