//! What a node does for its disks beside serving: it remembers for a while what they had, hears
//! of scrubs, and brings their pins in line.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use weir_edge_cache::{disks::DiskView, store::StoreStats};

use crate::node::Node;

/// What a disk had is told for so long after the last time.
pub const TOLD_FOR: Duration = Duration::from_secs(60 * 60);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two times that pins are brought in line.
const ALIGN: u32 = 60;

/// What a disk can have, in the order of its counters.
pub const KINDS: [&str; 5] = [
    "failed calls",
    "reads that took too long",
    "chunks lost",
    "damaged chunks",
    "losses of its index, with the chunks that were in it",
];

/// What is remembered of the disks, by their place in the configuration.
#[derive(Debug, Default)]
pub struct Upkeep {
    troubles: Mutex<HashMap<usize, Troubles>>,
    scrubs: Mutex<HashMap<usize, Scrub>>,
    /// Whose turn it is to scrub: two at once read a disk at the rate of one.
    pub turn: tokio::sync::Mutex<()>,
}

type Counts = [u64; KINDS.len()];

/// What one disk had.
#[derive(Debug, Default)]
struct Troubles {
    seen: Counts,
    /// What is over.
    settled: Counts,
    /// When the last one came, Unix milliseconds.
    last: u64,
}

/// A scrub under way.
#[derive(Debug)]
struct Scrub {
    next: u64,
    /// Before it began.
    counts: Counts,
    damaged: u64,
}

/// What a disk had lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// How many of each of [`KINDS`].
    pub counts: Counts,
    /// How long the last one is ago.
    pub ago: Duration,
}

impl Troubles {
    fn look(&mut self, now: Counts, unix_millis: u64) {
        if now.iter().zip(&self.seen).any(|(now, seen)| now < seen) {
            // Another disk has its place, and counts from the start.
            *self = Self::default();
        }
        if now == self.seen {
            return;
        }
        if self.ago(unix_millis) > TOLD_FOR {
            self.settled = self.seen;
        }
        (self.seen, self.last) = (now, unix_millis);
    }

    fn ago(&self, unix_millis: u64) -> Duration {
        Duration::from_millis(unix_millis.saturating_sub(self.last))
    }

    fn told(&self, unix_millis: u64) -> Option<Trouble> {
        let ago = self.ago(unix_millis);
        let counts = std::array::from_fn(|kind| {
            // A scrub may have settled more than the last look saw.
            self.seen[kind].saturating_sub(self.settled[kind])
        });
        (ago <= TOLD_FOR && counts != Counts::default()).then_some(Trouble { counts, ago })
    }
}

impl Upkeep {
    /// Notes what the disks have had so far.
    pub fn look(&self, views: &[DiskView], unix_millis: u64) {
        let mut troubles = self.troubles.lock();
        for (index, view) in views.iter().enumerate() {
            troubles.entry(index).or_default().look(counts(view), unix_millis);
        }
    }

    /// What a disk had within [`TOLD_FOR`] and was not found to be over since.
    pub fn trouble(&self, index: usize, unix_millis: u64) -> Option<Trouble> {
        self.troubles.lock().get(&index)?.told(unix_millis)
    }

    /// A step of a scrub is done that began at `from` and found so many chunks damaged; the
    /// disk is as in `view`. A scrub from the first to the last step that finds none says that
    /// what there was before is over.
    pub fn scrubbed(
        &self,
        index: usize,
        view: &DiskView,
        from: u64,
        next: Option<u64>,
        damaged: u64,
    ) {
        let mut scrubs = self.scrubs.lock();
        if from == 0 {
            let counts = counts(view);
            scrubs.insert(index, Scrub { next: 0, counts, damaged: 0 });
        }
        let Some(scrub) = scrubs.get_mut(&index).filter(|scrub| scrub.next == from) else {
            // Somebody left steps out.
            scrubs.remove(&index);
            return;
        };
        scrub.damaged += damaged;
        match next {
            Some(next) => scrub.next = next,
            None => {
                let Some(done) = scrubs.remove(&index) else { return };
                drop(scrubs);
                // Counts that went back are of another disk, put in its place meanwhile.
                let same = counts(view).iter().zip(&done.counts).all(|(now, then)| now >= then);
                if done.damaged == 0 && same {
                    self.troubles.lock().entry(index).or_default().settled = done.counts;
                }
            }
        }
    }
}

fn counts(view: &DiskView) -> Counts {
    let StoreStats { io_errors, lost_chunks, checksum_failures, index_losses, .. } = view.stats;
    [io_errors, view.overdue, lost_chunks, checksum_failures, index_losses]
}

/// Looks after the disks as long as the node is there.
pub async fn watch(node: Weak<Node>) {
    let mut looks = tokio::time::interval(LOOK);
    let mut until_align = 0;
    loop {
        looks.tick().await;
        let Some(node) = node.upgrade() else { return };
        let Some(disks) = &node.disks else { return };
        node.upkeep.look(&disks.views(), node.clock.unix_millis());
        // The table is not whole before.
        if node.engine.cache().is_loading() {
            continue;
        }
        if until_align > 0 {
            until_align -= 1;
            continue;
        }
        until_align = ALIGN;
        let cache = Arc::clone(node.engine.cache());
        // Some milliseconds for 10^5 pins. An error is a runtime that ends.
        drop(tokio::task::spawn_blocking(move || cache.align_pins()).await);
    }
}

#[cfg(test)]
mod tests {
    use super::{TOLD_FOR, Troubles};

    #[test]
    fn what_a_disk_had_is_told_for_an_hour() {
        let hour = u64::try_from(TOLD_FOR.as_millis()).unwrap();
        let mut disk = Troubles::default();
        let now = 1_800_000_000_000;
        let told = |disk: &Troubles, at| disk.told(at).map(|trouble| trouble.counts);
        disk.look([0; 5], now);
        assert_eq!(told(&disk, now), None);
        disk.look([0, 0, 0, 3, 0], now);
        assert_eq!(told(&disk, now + hour), Some([0, 0, 0, 3, 0]));
        assert_eq!(told(&disk, now + hour + 1), None);
        // Within the hour they add up; after it they begin anew.
        disk.look([0, 1, 0, 3, 0], now + hour);
        assert_eq!(told(&disk, now + hour), Some([0, 1, 0, 3, 0]));
        disk.look([0, 1, 0, 4, 0], now + 3 * hour);
        assert_eq!(told(&disk, now + 3 * hour), Some([0, 0, 0, 1, 0]));
        // A scrub that began after the last look settled what no look has seen.
        disk.settled = [0, 2, 0, 9, 0];
        assert_eq!(told(&disk, now + 3 * hour), None);
        // Another disk.
        disk.look([0; 5], now + 3 * hour);
        assert_eq!(told(&disk, now + 3 * hour), None);
    }
}
