//! Disk reads under way: many who want one chunk share one read.

use std::{collections::HashMap, sync::Arc};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;

use crate::{
    chunk::{Chunk, ChunkKey},
    store::ChunkStore,
};

type Read = BoxFuture<'static, Option<Chunk>>;

#[derive(Debug, Default)]
struct UnderWay {
    reads: HashMap<ChunkKey, (u64, WeakShared<Read>)>,
    /// Tells a read from a later one of the same chunk.
    last: u64,
}

/// Bounded by those who wait: an entry goes with the last of them.
#[derive(Debug, Default)]
pub(crate) struct Reads(Arc<Mutex<UnderWay>>);

impl Reads {
    /// Joins the read of this chunk or starts one. `landed` is called once for a read that
    /// found something. Dropped by one waiter, the read goes on with the others.
    pub(crate) fn read(
        &self,
        key: ChunkKey,
        store: &Arc<dyn ChunkStore>,
        landed: impl FnOnce(&Chunk) + Send + 'static,
    ) -> Shared<Read> {
        let mut under_way = self.0.lock();
        if let Some(read) = under_way.reads.get(&key).and_then(|(_, read)| read.upgrade()) {
            return read;
        }
        under_way.last += 1;
        let number = under_way.last;
        let store = store.clone();
        let leave = Leave { key, number, under_way: self.0.clone() };
        let read = async move {
            let chunk = store.read(&key).await;
            if let Some(chunk) = &chunk {
                landed(chunk);
            }
            drop(leave);
            chunk
        }
        .boxed()
        .shared();
        let weak = read.downgrade().expect("a read that nobody polled has not ended");
        under_way.reads.insert(key, (number, weak));
        read
    }

    /// Reads under way.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().reads.len()
    }
}

/// Takes the entry out when the read ends or nobody waits for it any more.
struct Leave {
    key: ChunkKey,
    number: u64,
    under_way: Arc<Mutex<UnderWay>>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let reads = &mut self.under_way.lock().reads;
        if reads.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            reads.remove(&self.key);
        }
    }
}
