//! Where the chunks of an object are.

use weir_config_admin::{ChunkCount, ChunkRun, Tier};
use weir_edge_cache::{StoredObject, Tier as CacheTier};

use crate::node::Node;

/// Chunks that are looked at one by one; about a tenth of a second.
const LOOKS: u32 = 1 << 16;
/// Runs that are told.
const RUNS: usize = 64;

/// Places of one chunk: RAM, and disks by their number.
fn place(node: &Node, object: &StoredObject, index: u32) -> (bool, Vec<usize>) {
    let key = object.chunk_key(index);
    let ram = node.engine.cache().has_chunk(&key) == Some(CacheTier::Ram);
    (ram, node.disks.as_ref().map_or_else(Vec::new, |disks| disks.holders(&key)))
}

/// How many chunks are where, and what that is together. What is beyond the first 65,536 counts
/// as not held.
pub(in crate::admin) fn places(node: &Node, object: &StoredObject) -> (ChunkCount, Tier) {
    let total = u64::from(object.chunks());
    let (mut ram, mut disk, mut any) = (0, 0, 0);
    for index in 0..object.chunks().min(LOOKS) {
        let (in_ram, disks) = place(node, object, index);
        ram += u64::from(in_ram);
        disk += u64::from(!disks.is_empty());
        any += u64::from(in_ram || !disks.is_empty());
    }
    let tier = match any {
        _ if ram == total => Tier::Memory,
        _ if any == total => Tier::Disk,
        0 => Tier::None,
        _ => Tier::Partial,
    };
    (ChunkCount { total, ram, disk, held: Some(any) }, tier)
}

/// Chunks one after the other that are in the same places.
pub(super) fn runs(node: &Node, object: &StoredObject) -> Vec<ChunkRun> {
    let views = node.disks.as_ref().map(|disks| disks.views()).unwrap_or_default();
    let path = |index: usize| views.get(index).map(|view| view.path.display().to_string());
    let mut found: Vec<(ChunkRun, (bool, Vec<usize>))> = Vec::new();
    for index in 0..object.chunks().min(LOOKS) {
        let place = place(node, object, index);
        if let Some((run, same)) = found.last_mut()
            && *same == place
        {
            run.last = index;
            continue;
        }
        if found.len() == RUNS {
            break;
        }
        let disks = place.1.iter().copied().filter_map(path).collect();
        found.push((ChunkRun { first: index, last: index, ram: place.0, disks }, place));
    }
    found.into_iter().map(|(run, _)| run).collect()
}
