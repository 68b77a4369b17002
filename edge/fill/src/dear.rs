//! What little asks cost: a hundred bytes of an object bring a chunk of it, or all. While a client
//! has something left, that is what a cache is for; afterwards it gets what it asks for from the
//! upstream, exactly, and nothing of it is kept.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures::StreamExt;
use http::header;
use tokio::time::Instant;
use weir_edge_cache::CHUNK_SIZE;
use weir_edge_freshness::{Forward, PassReason};

use crate::{
    account::Account,
    answer::{Found, Passed},
    ask::Ask,
    demand::OPENING,
    engine::Engine,
    reader::place,
    upstream::UpstreamError,
};

const CHUNK: u64 = CHUNK_SIZE as u64;

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
            (None, _) if ask.alone_headers.contains_key(header::RANGE) => (0, CHUNK),
            _ => (u64::MAX, 0),
        };
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
        // What comes anyhow was looked at when it was asked for; each range has two ends.
        if found.resolved.body.is_some() || wanted >= 2 * CHUNK * ranges.len() as u64 {
            return free();
        }
        let ends = ranges.iter().filter(|range| !range.is_empty());
        let spans = ends.map(|range| place(range.start).0..=place(range.end - 1).0);
        let touched: BTreeSet<u32> = spans.flatten().collect();
        let object = found.object();
        let missing = touched.into_iter().filter(|index| {
            self.cache.has_chunk(&object.chunk_key(*index)).is_none()
                && self.table.body(object.id, object.generation, *index, false).is_none()
        });
        let size = object.size;
        let bytes = |index: u32| size.saturating_sub(u64::from(index) * CHUNK).min(CHUNK);
        put_aside(client, ask, wanted, missing.map(bytes).sum())
    }

    /// The client's own request as it is, whose bytes are fetched as it takes them.
    pub async fn exactly(
        self: &Arc<Self>,
        ask: &Ask,
        due: Instant,
    ) -> Result<Passed, UpstreamError> {
        self.counters.exact.fetch_add(1, Ordering::Relaxed);
        let reason = Some(PassReason::ClientBudget);
        let mut response = self.pass_by(ask, ask.method(), None, Some(due)).await?;
        let client = ask.client.clone();
        let counted = move |piece: &Result<Bytes, UpstreamError>| {
            if let (Ok(piece), Some(client)) = (piece, &client) {
                let (bytes, now) = (piece.len() as u64, Instant::now());
                client.spend(bytes, now);
                client.earn(bytes, now);
            }
        };
        response.body = response.body.inspect(counted).boxed();
        Ok(Passed { response, fwd: Forward::UriMiss, reason })
    }
}

fn put_aside(client: &Arc<Account>, ask: &Ask, wanted: u64, brought: u64) -> Option<Ask> {
    if brought <= wanted.saturating_mul(FAIR) {
        return Some(ask.clone());
    }
    let reserved = client.reserve(brought, Instant::now())?;
    Some(Ask { reserved: Some(Arc::new(reserved)), ..ask.clone() })
}
