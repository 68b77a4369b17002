//! One disk read back: what an operator's scrub asks of it.

use std::sync::Arc;

use super::Disks;
use crate::{
    chunk::ChunkKey,
    store::{Scrubbed, Verdict},
};

impl Disks {
    /// A step of a scrub of the disk at a place in [`Disks::views`], see
    /// [`ChunkStore::scrub`](crate::ChunkStore::scrub). `None` when it is not in use, goes
    /// offline meanwhile, or cannot be scrubbed.
    pub async fn scrub(&self, index: usize, cursor: u64, bytes: u64) -> Option<Scrubbed> {
        let member = self.inner.members.get(index)?;
        let live = member.live()?;
        // It runs to its end also when nobody waits any more, like every read of a disk.
        let inner = Arc::clone(&self.inner);
        let step = self.inner.handle.spawn(async move {
            inner.members[index].call(false, live.store.scrub(cursor, bytes)).await.flatten()
        });
        let found = step.await.ok().flatten();
        self.inner.nudge.notify_one();
        found
    }

    /// Reads a chunk back from the disk at a place in [`Disks::views`] and checks all of it;
    /// one that does not hold is gone then. `None` where the disk is not in use.
    pub async fn verify_on(&self, index: usize, key: ChunkKey) -> Option<Verdict> {
        let live = self.inner.members.get(index)?.live()?;
        let inner = Arc::clone(&self.inner);
        let verify = self
            .inner
            .handle
            .spawn(async move { inner.members[index].call(true, live.store.verify(&key)).await });
        let verdict = verify.await.ok().flatten();
        self.inner.nudge.notify_one();
        verdict
    }

    /// Places in [`Disks::views`] of the disks in use that have a chunk.
    pub fn holders(&self, key: &ChunkKey) -> Vec<usize> {
        let members = self.inner.members.iter().enumerate();
        let has = members
            .filter(|(_, member)| member.live().is_some_and(|live| live.store.contains(key)));
        has.map(|(index, _)| index).collect()
    }
}
