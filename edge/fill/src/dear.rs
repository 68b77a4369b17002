//! What little asks cost: a hundred bytes of an object bring a chunk of it, or all. While a client
//! has something left, that is what a cache is for; afterwards it gets what it asks for from the
//! upstream, exactly, and nothing of it is kept.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use http::header;
use tokio::time::Instant;
use weir_edge_cache::CHUNK_SIZE;

use crate::{
    account::Account, answer::Found, ask::Ask, demand::OPENING, engine::Engine, reader::place,
};

const CHUNK: u64 = CHUNK_SIZE as u64;

/// What all of an object costs whose size nobody knows yet.
const UNSEEN: u64 = 8 * CHUNK;
/// So much may be fetched for a byte that is asked for, and nobody counts it.
const FAIR: u64 = 2;

impl Engine {
    /// The ask for an object of which nothing is known, with what it takes put aside. `None`
    /// where its client has no more than what it asks for.
    pub(crate) fn affords(&self, ask: &Ask) -> Option<Ask> {
        let Some(client) = &ask.client else { return Some(ask.clone()) };
        // A head costs nothing, and whoever joins others nothing more.
        if ask.get().is_some() || self.table.is_under_way(ask.id) {
            return Some(ask.clone());
        }
        let (wanted, brought) = match (ask.range, ask.aligned()) {
            (Some((first, Some(last))), Some((start, Some(end)))) => {
                (last.saturating_sub(first).saturating_add(1), end - start + 1)
            }
            // Several ranges, or the end of it: little, and all of it is brought.
            (None, _) if ask.alone_headers.contains_key(header::RANGE) => (0, UNSEEN),
            _ => (u64::MAX, 0),
        };
        if self.begins_far_in(client, ask.range.map_or(0, |(first, _)| first)) {
            return None;
        }
        let afforded = put_aside(client, ask, wanted, brought)?;
        // What is on its way when a client leaves is fetched in vain: who has nothing left gets what
        // it takes a window at a time.
        let opening = afforded.reserved.is_none() && !client.is_sound(Instant::now());
        Some(Ask { opening: opening.then_some(OPENING), ..afforded })
    }

    /// The same for ranges of an object that is known, as far as they are not here.
    pub fn affords_ranges(&self, ask: &Ask, found: &Found, ranges: &[Range<u64>]) -> Option<Ask> {
        let free = || Some(ask.clone());
        let Some(client) = &ask.client else { return free() };
        let wanted: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        // What comes anyhow was looked at when it was asked for.
        if found.resolved.body.is_some() {
            return free();
        }
        let object = found.object();
        let misses = |index: u32| {
            self.cache.has_chunk(&object.chunk_key(index)).is_none()
                && self.table.body(object.id, object.generation, index, false).is_none()
        };
        if let [range] = ranges
            && misses(place(range.start).0)
            && self.begins_far_in(client, range.start)
        {
            return None;
        }
        // Each range has two ends.
        if wanted >= 2 * CHUNK * ranges.len() as u64 {
            return free();
        }
        let ends = ranges.iter().filter(|range| !range.is_empty());
        let spans = ends.map(|range| place(range.start).0..=place(range.end - 1).0);
        let touched: BTreeSet<u32> = spans.flatten().collect();
        let missing = touched.into_iter().filter(|index| misses(*index));
        let size = object.size;
        let bytes = |index: u32| size.saturating_sub(u64::from(index) * CHUNK).min(CHUNK);
        put_aside(client, ask, wanted, missing.map(bytes).sum())
    }

    /// Whether who asks has nothing left, and begins so far in a chunk that its beginning would
    /// cost more than the first window.
    fn begins_far_in(&self, client: &Account, first: u64) -> bool {
        first % CHUNK >= OPENING && !client.is_sound(Instant::now())
    }
}

fn put_aside(client: &Arc<Account>, ask: &Ask, wanted: u64, brought: u64) -> Option<Ask> {
    if brought <= wanted.saturating_mul(FAIR) {
        return Some(ask.clone());
    }
    let reserved = client.reserve(brought, Instant::now())?;
    Some(Ask { reserved: Some(Arc::new(reserved)), ..ask.clone() })
}
