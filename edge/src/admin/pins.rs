//! Pinning: an operator's word that something is to be kept.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::Instant;
use weir_config_admin::{PinRequest, PinResult, PurgeTarget};
use weir_edge_cache::{Meant, ObjectId, Pin, PinError, Selector, primary_key};

use super::Failure;
use crate::node::Node;

/// A step goes on for so long.
const STEP: Duration = Duration::from_secs(1);
/// Keys that are named.
const SAMPLE: usize = 10;

/// Where a step begins: the part of the table, and the last object of it that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct At {
    part: usize,
    after: Option<u128>,
}

impl At {
    fn read(text: &str) -> Option<Self> {
        let (part, after) = match text.split_once('.') {
            Some((part, after)) => (part, Some(u128::from_str_radix(after, 16).ok()?)),
            None => (text, None),
        };
        Some(Self { part: part.parse().ok()?, after })
    }

    fn write(self) -> String {
        let after = self.after.map(|after| format!(".{after:x}"));
        format!("{}{}", self.part, after.unwrap_or_default())
    }
}

/// Pins, unpins, or tells what that would change; a step of it.
pub(super) async fn pins(node: &Arc<Node>, body: &[u8]) -> Result<PinResult, Failure> {
    let bad = |why: String| {
        Failure::new(StatusCode::BAD_REQUEST, "the body is no request to pin").why(why)
    };
    let request: PinRequest =
        serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let target = target(&request).ok_or_else(|| {
        bad("exactly one of `url`, `prefix`, `tag` and `service` says what".into())
    })?;
    if node.disks.is_none() && !request.unpin {
        return Err(Failure::new(StatusCode::CONFLICT, "this node cannot pin")
            .why("there is no [[cache.disk]] in its configuration, and a pin keeps on disk"));
    }
    let pin = match request.until_unix_s {
        Some(until) if until <= node.clock.unix_seconds() => {
            return Err(bad("`until_unix_s` is over".into()));
        }
        Some(until) => Pin::until(until),
        None => Pin::FOR_GOOD,
    };
    let selectors: Arc<[Selector]> = super::purge::selectors(node, target)?.into();
    let at = request.cursor.as_deref().map(At::read);
    let mut at = at.unwrap_or(Some(At::default())).ok_or_else(|| bad("no such cursor".into()))?;
    let cache = node.engine.cache();
    let mut result = PinResult { dry_run: request.dry_run, ..PinResult::default() };
    let until = Instant::now() + STEP;
    'parts: while at.part < cache.parts() {
        let (looking, selectors, part) = (Arc::clone(cache), Arc::clone(&selectors), at.part);
        let meant = tokio::task::spawn_blocking(move || looking.meant(&selectors, part)).await;
        let meant = meant
            .map_err(|_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"))?;
        let after = at.after;
        for object in meant.iter().filter(|object| after.is_none_or(|at| object.id.0 > at)) {
            if let Err(error) = one(node, &request, pin, object, &mut result).await {
                result.refused = Some(error.to_string());
                break 'parts;
            }
            at.after = Some(object.id.0);
            if Instant::now() > until {
                break 'parts;
            }
        }
        at = At { part: at.part + 1, after: None };
        if Instant::now() > until {
            break;
        }
    }
    if at.part < cache.parts() && result.refused.is_none() {
        result.next = Some(at.write());
    }
    if !request.dry_run && result.changed > 0 {
        // An answer says that it survives a kill.
        cache.flush_metadata().await;
        tracing::info!(
            what = ?selectors, unpin = request.unpin, objects = result.changed,
            bytes = result.changed_bytes, "an operator pinned or unpinned"
        );
    }
    let stats = cache.stats();
    result.loading = cache.is_loading();
    result.pinned_objects = stats.objects_pinned;
    result.pinned_bytes = stats.pinned_bytes;
    result.pinned_limit = stats.pinned_bytes_max;
    Ok(result)
}

async fn one(
    node: &Node,
    request: &PinRequest,
    pin: Pin,
    object: &Meant,
    result: &mut PinResult,
) -> Result<(), PinError> {
    let cache = node.engine.cache();
    let before = cache.pin_of(&object.id);
    let changes = before != (!request.unpin).then_some(pin);
    if !request.dry_run {
        if request.unpin {
            cache.unpin(&object.id);
        } else {
            match cache.pin(&object.id, pin) {
                Ok(stored) => {
                    pin_record(node, &object.key, pin)?;
                    let brought = cache.bring_together(&stored).await;
                    result.brought_bytes += brought.bytes;
                    result.incomplete += u64::from(brought.missing > 0);
                    result.missing_bytes += brought.missing_bytes;
                }
                // It left while we looked.
                Err(PinError::Absent) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    } else if !request.unpin {
        let missing = lacks(node, &object.id);
        result.incomplete += u64::from(missing > 0);
        result.missing_bytes += missing;
    }
    result.objects += 1;
    result.bytes += object.size;
    if changes {
        result.changed += 1;
        // One that is pinned otherwise takes no more room than before.
        result.changed_bytes += if before.is_some() && !request.unpin { 0 } else { object.size };
        if result.sample.len() < SAMPLE {
            result.sample.push(super::objects::named(&object.key));
        }
    }
    Ok(())
}

/// A variant is found by the record of its URL, which has no tags of its own: without it the
/// variant would be kept where nobody finds it.
fn pin_record(node: &Node, key: &str, pin: Pin) -> Result<(), PinError> {
    let url = primary_key(key);
    if url.len() == key.len() {
        return Ok(());
    }
    let (cache, record) = (node.engine.cache(), ObjectId::of(url));
    let until = |pin: Pin| pin.until_seconds().unwrap_or(u64::MAX);
    // Of several variants' pins the longest holds.
    if cache.pin_of(&record).is_some_and(|known| until(known) >= until(pin)) {
        return Ok(());
    }
    match cache.pin(&record, pin) {
        Ok(_) | Err(PinError::Absent) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Bytes of an object that are nowhere, as far as memory tells: a preview reads no disk.
fn lacks(node: &Node, id: &ObjectId) -> u64 {
    let cache = node.engine.cache();
    let Some(object) = cache.known_as(id) else { return 0 };
    let chunk = weir_edge_cache::CHUNK_SIZE as u64;
    let missing = |index: &u32| cache.has_chunk(&object.chunk_key(*index)).is_none();
    let bytes = |index: u32| chunk.min(object.size - u64::from(index) * chunk);
    (0..object.chunks()).filter(missing).map(bytes).sum()
}

fn target(request: &PinRequest) -> Option<PurgeTarget<'_>> {
    let said = [
        request.url.as_deref().map(PurgeTarget::Url),
        request.prefix.as_deref().map(PurgeTarget::Prefix),
        request.tag.as_deref().map(PurgeTarget::Tag),
        request.service.as_deref().map(PurgeTarget::Service),
    ];
    let mut said = said.into_iter().flatten();
    said.next().filter(|_| said.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::At;

    #[test]
    fn places_are_read_as_they_are_written() {
        for at in [At::default(), At { part: 3, after: None }, At { part: 3, after: Some(255) }] {
            assert_eq!(At::read(&at.write()), Some(at));
        }
        for text in ["", "x", "1.", "1.g", "-1"] {
            assert_eq!(At::read(text), None, "{text}");
        }
    }
}
