//! Something put into the cache to see whether it comes back.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use weir_config_admin::{Check, Finding};
use weir_edge_cache::{Chunk, ChunkKey, ChunkStore, ObjectId};

use crate::node::Node;

/// Shorter than what all checks have, so that this one says where it got stuck.
const LIMIT: Duration = Duration::from_millis(1500);
const BYTES: usize = 8 << 10;

/// What came back, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Back {
    ram: bool,
    /// None where there is no disk.
    disk: Option<OnDisk>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDisk {
    Same,
    /// No disk took it.
    NotTaken,
    Lost,
}

pub(super) async fn canary(node: &Node) -> Check {
    let cache = node.engine.cache();
    // No key of a request: these have bars between their parts.
    let object = ObjectId::of("canary of cachectl doctor");
    let key = ChunkKey { object, generation: cache.next_generation(), index: 0 };
    let begun = Instant::now();
    let back = timeout(LIMIT, there_and_back(node, key)).await.ok();
    cache.discard_chunks(&object, key.generation, 0..1);
    judged(back, begun.elapsed())
}

async fn there_and_back(node: &Node, key: ChunkKey) -> Back {
    let data: Vec<u8> =
        (0..BYTES as u64).map(|at| (at.wrapping_mul(key.generation | 1) >> 3) as u8).collect();
    let data = Bytes::from(data);
    let cache = node.engine.cache();
    let same = |chunk: Option<Chunk>| chunk.is_some_and(|chunk| *chunk.data() == data);
    let taken = cache.insert_for_good(key, Chunk::seal(data.clone())).await;
    let ram = same(cache.ram_chunk_awaited(&key));
    let disk = match &node.disks {
        None => None,
        Some(_) if !taken => Some(OnDisk::NotTaken),
        Some(disks) => {
            disks.flush().await;
            let read = same(disks.read(&key).await);
            Some(if read { OnDisk::Same } else { OnDisk::Lost })
        }
    };
    Back { ram, disk }
}

fn judged(back: Option<Back>, took: Duration) -> Check {
    let check = |finding, what: &str| Check::new("cache", finding, what);
    let time = format!("{:.1} ms", took.as_secs_f64() * 1e3);
    match back {
        None => check(Finding::Fail, "a canary did not come back in time")
            .why("a disk is slow or hangs")
            .next("cachectl disks ls"),
        Some(Back { ram: false, .. }) => {
            check(Finding::Fail, "a canary did not come back from RAM")
                .why("cache.memory may be too small for what is asked for")
                .next("cachectl cache stats")
        }
        Some(Back { disk: Some(OnDisk::Lost), .. }) => {
            check(Finding::Fail, "a disk took a canary and did not give it back")
                .why("a disk is damaged, or was taken out of use just now")
                .next("cachectl cache verify")
        }
        Some(Back { disk: Some(OnDisk::NotTaken), .. }) => {
            check(Finding::Warn, "a canary came back from RAM; its disk did not take it")
                .why("the disk is offline, full or busy")
                .next("cachectl disks ls")
        }
        Some(Back { disk: Some(OnDisk::Same), .. }) => {
            check(Finding::Ok, &format!("a canary came back from RAM and disk in {time}"))
        }
        Some(Back { disk: None, .. }) => {
            check(Finding::Ok, &format!("a canary came back from RAM in {time}; no disks"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Back, Duration, Finding, OnDisk, judged};

    #[test]
    fn what_comes_back() {
        let check = |back, finding, what: &str| {
            let found = judged(back, Duration::from_micros(1250));
            assert_eq!((found.finding, found.what.as_str()), (finding, what));
            assert_eq!(found.next.is_some(), finding != Finding::Ok);
        };
        let back = |ram, disk| Some(Back { ram, disk });
        let same = Some(OnDisk::Same);
        check(back(true, None), Finding::Ok, "a canary came back from RAM in 1.2 ms; no disks");
        check(back(true, same), Finding::Ok, "a canary came back from RAM and disk in 1.2 ms");
        check(back(false, same), Finding::Fail, "a canary did not come back from RAM");
        let lost = "a disk took a canary and did not give it back";
        check(back(true, Some(OnDisk::Lost)), Finding::Fail, lost);
        let busy = "a canary came back from RAM; its disk did not take it";
        check(back(true, Some(OnDisk::NotTaken)), Finding::Warn, busy);
        check(None, Finding::Fail, "a canary did not come back in time");
    }
}
