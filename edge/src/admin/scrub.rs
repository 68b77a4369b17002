//! Scrubs: a disk is read back in steps that an operator asks for one by one, so that nothing
//! goes on when nobody asks.

use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep_until};
use weir_config_admin::{Damage, SCRUB_RATE_LEAST, ScrubRequest, ScrubStep};
use weir_edge_cache::{ChunkKey, disks::DiskState, primary_key};

use super::Failure;
use crate::node::Node;

/// A step reads for so long.
const READ: Duration = Duration::from_millis(500);
/// A step waits no longer than that for its rate; who asks waits for the rest.
const HOLD: Duration = Duration::from_secs(1);
/// Bytes of one call to the disk.
const PIECE: u64 = 8 << 20;
/// Damaged chunks that are named in a step.
const NAMED: usize = 100;

/// One step of a scrub of one disk.
pub(super) async fn scrub(node: &Node, body: &[u8]) -> Result<ScrubStep, Failure> {
    let request: ScrubRequest = serde_json::from_slice(body).map_err(|error| {
        Failure::new(StatusCode::BAD_REQUEST, "the body is no step of a scrub")
            .why(error.to_string())
    })?;
    let Some(disks) = &node.disks else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "this node has no disks")
            .why("there is no [[cache.disk]] in its configuration: it caches in RAM only"));
    };
    if request.rate < SCRUB_RATE_LEAST {
        let what = format!("{} B a second are too slow", request.rate);
        return Err(Failure::new(StatusCode::BAD_REQUEST, what)
            .why("below 1 MiB a second a terabyte takes more than twelve days"));
    }
    let index = super::disks::one(disks, &request.disk)?;
    let _turn = node.upkeep.turn.lock().await;
    let began = Instant::now();
    let before = disks.views().swap_remove(index);
    let offline = || {
        let what = format!("disk {} is not in use, and cannot be read back", request.disk);
        Failure::new(StatusCode::CONFLICT, what)
            .next(format!("cachectl disks show {}", request.disk))
    };
    if !matches!(before.state, DiskState::Online | DiskState::Full) {
        return Err(offline());
    }
    let path = before.path.display().to_string();
    let mut step = ScrubStep { disk: path.clone(), ..ScrubStep::default() };
    let budget = (request.rate / 2).max(1);
    let mut next = Some(request.cursor);
    while let Some(cursor) = next {
        if step.bytes >= budget || began.elapsed() >= READ {
            break;
        }
        let piece = PIECE.min(budget - step.bytes);
        let found = disks.scrub(index, cursor, piece).await.ok_or_else(offline)?;
        step.chunks += found.chunks;
        step.bytes += found.bytes;
        step.damaged_chunks += found.damaged.len() as u64;
        let room = NAMED.saturating_sub(step.damaged.len());
        step.damaged.extend(found.damaged.iter().take(room).map(|key| named(node, key.as_ref())));
        next = found.next;
    }
    step.next = next;
    let damaged = step.damaged_chunks;
    node.upkeep.scrubbed(index, &before, request.cursor, next, damaged);
    node.metrics.scrubbed(&path, step.bytes, damaged);
    if let Some(view) = disks.views().get(index) {
        step.held_bytes = view.stats.used_bytes.unwrap_or(0);
        step.held_chunks = view.stats.chunks.unwrap_or(0);
    }
    let due = Duration::try_from_secs_f64(step.bytes as f64 / request.rate as f64);
    sleep_until(began + due.unwrap_or(HOLD).min(HOLD)).await;
    Ok(step)
}

fn named(node: &Node, key: Option<&ChunkKey>) -> Damage {
    let Some(key) = key else { return Damage { key: None, chunk: None } };
    let object = node.engine.cache().known_as(&key.object);
    let object = object.filter(|object| object.generation == key.generation);
    let name = object.map(|object| primary_key(&object.key).to_owned());
    Damage { key: name, chunk: Some(key.index) }
}
