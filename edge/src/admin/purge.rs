//! Purging: what an operator means in terms of cache keys, how much that is, and the order.

use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep};
use weir_config_admin::{PurgeOrder, PurgeRequest, PurgeResult, PurgeTarget, Purges, tag_fault};
use weir_edge_cache::{Counted, Mode, Order, PurgeError, Selector, purge::ORDERS_MAX};

use super::{Failure, cache::Asked};
use crate::{
    admit,
    node::Node,
    service::{Preset, Service},
    spelling,
};

/// How long is counted: a command waits 2 s for its answer.
const COUNT: Duration = Duration::from_secs(1);
/// How long an answer waits for the space to be reclaimed.
const RECLAIM: Duration = Duration::from_secs(1);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// Purges that are listed.
const LISTED: usize = 100;
/// A purge of more than this share of all bytes has to be meant.
const WIDE: f64 = 0.1;
/// So far off may the number be by which it is meant: the cache goes on meanwhile.
const TOLERANCE: u64 = 16;

/// Purges, or tells what a purge would take. Answers when the order would survive a kill.
pub(super) async fn purge(node: &Node, body: &[u8]) -> Result<PurgeResult, Failure> {
    let bad = |why: String| {
        Failure::new(StatusCode::BAD_REQUEST, "the body is no purge request").why(why)
    };
    let request: PurgeRequest =
        serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let target = request.target().ok_or_else(|| {
        bad("exactly one of `url`, `prefix`, `tag`, `service` and `all` says what".into())
    })?;
    let selectors = selectors(node, target)?;
    let cache = node.engine.cache();
    let mut result = PurgeResult {
        dry_run: request.dry_run,
        soft: request.soft,
        site: node.site.clone(),
        ..PurgeResult::default()
    };
    if request.dry_run || !request.uncounted {
        let counted = cache.count(&selectors, COUNT).await;
        tell(&mut result, &counted, cache.stats().objects);
        // Who names a URL means it, however large it is.
        let one = matches!(target, PurgeTarget::Url(_));
        result.wide = !one && result.objects > 0 && result.share > WIDE;
    }
    if !request.dry_run
        && !request.uncounted
        && let Some(known) = request.i_know
        && !is_near(known, result.objects)
    {
        return Err(too_wide(&result, Some(known)));
    }
    if request.dry_run {
        result.epoch = cache.purge_epoch();
        return Ok(result);
    }
    // Whoever names a number was told to be right above.
    if result.wide && request.i_know.is_none() {
        return Err(too_wide(&result, None));
    }
    let mode = if request.soft { Mode::Soft } else { Mode::Hard };
    result.epoch = node.engine.order(&selectors, mode).await.map_err(|error| match error {
        PurgeError::Busy => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many purges are under way")
                .why(error.to_string())
                .next("cachectl cache purge ls")
        }
        PurgeError::NotDurable { .. } => {
            Failure::new(StatusCode::INSUFFICIENT_STORAGE, "the purge is not durable")
                .why(error.to_string())
                .next("cachectl status")
        }
        PurgeError::Selector => {
            Failure::new(StatusCode::BAD_REQUEST, "nothing can be purged by that")
                .why(error.to_string())
        }
    })?;
    // Wherever it came from, it is known afterwards.
    tracing::info!(
        epoch = result.epoch, ?mode, what = ?selectors, objects = result.objects,
        bytes = result.bytes, "purged"
    );
    node.metrics.purged(mode);
    Ok(result)
}

fn tell(result: &mut PurgeResult, counted: &Counted, all: u64) {
    let (seen, seen_bytes) = counted.of;
    let scale = |number: u64| match counted.complete || seen == 0 {
        true => number,
        // What was not looked at is like what was.
        false => (number as f64 * (all.max(seen) as f64 / seen as f64)) as u64,
    };
    result.objects = scale(counted.objects);
    result.bytes = scale(counted.bytes);
    result.estimated = !counted.complete;
    result.share = match seen_bytes {
        0 => 0.0,
        bytes => counted.bytes as f64 / bytes as f64,
    };
    result.sample = counted.sample.iter().map(|key| super::objects::named(key)).collect();
}

fn is_near(known: u64, objects: u64) -> bool {
    known.abs_diff(objects) <= (objects / 10).max(TOLERANCE.min(objects / 2))
}

fn too_wide(result: &PurgeResult, known: Option<u64>) -> Failure {
    let about = if result.estimated { "about " } else { "" };
    let what = format!(
        "refused: this purge takes {about}{} objects, {:.1} % of all bytes",
        result.objects,
        result.share * 100.0
    );
    let why = match known {
        Some(known) => format!("it was told to take {known}"),
        None => "more than a tenth of all bytes goes only when the number is named".to_owned(),
    };
    Failure::new(StatusCode::FORBIDDEN, what)
        .why(why)
        .next(format!("if that is meant, add --i-know={}", result.objects))
}

/// What stands. With `reclaimed=EPOCH` in the query it waits for that a while.
pub(super) async fn purges(node: &Node, query: &str) -> Result<Purges, Failure> {
    let cache = node.engine.cache();
    if let Some(epoch) = query.split('&').find_map(|pair| pair.strip_prefix("reclaimed=")) {
        let epoch: u64 = epoch.parse().map_err(|_| {
            Failure::new(StatusCode::BAD_REQUEST, "the query key `reclaimed` is no number")
        })?;
        cache.hurry(epoch);
        let until = Instant::now() + RECLAIM;
        while cache.purge_stats().reclaimed_epoch < epoch && Instant::now() < until {
            sleep(LOOK).await;
        }
    }
    let stats = cache.purge_stats();
    Ok(Purges {
        epoch: stats.epoch,
        reclaimed_epoch: stats.reclaimed_epoch,
        standing: stats.orders,
        standing_max: ORDERS_MAX as u64,
        objects: stats.objects,
        bytes: stats.bytes,
        stale: stats.stale,
        walked: stats.walked,
        of: cache.stats().objects,
        oldest: cache.orders(LISTED).iter().map(shown).collect(),
    })
}

/// An order as operators see it.
pub(super) fn shown(order: &Order) -> PurgeOrder {
    let (kind, what) = match &order.selector {
        Selector::Key(key) => ("url", &**key),
        Selector::Prefix(prefix) => ("prefix", &**prefix),
        Selector::Tag(tag) => ("tag", &**tag),
        Selector::Service(service) => ("service", &**service),
        Selector::All => ("all", ""),
    };
    PurgeOrder {
        epoch: order.epoch,
        at: order.at_millis / 1000,
        soft: order.mode == Mode::Soft,
        kind: kind.into(),
        what: what.into(),
    }
}

pub(super) fn selectors(node: &Node, target: PurgeTarget<'_>) -> Result<Vec<Selector>, Failure> {
    Ok(match target {
        PurgeTarget::Url(url) => vec![Selector::Key(Asked::of(node, url)?.key.into())],
        PurgeTarget::Prefix(prefix) => prefixes(node, prefix)?,
        PurgeTarget::Tag(tag) => match tag_fault(tag) {
            Some(why) => {
                return Err(
                    Failure::new(StatusCode::BAD_REQUEST, "no object has such a tag").why(why)
                );
            }
            None => vec![Selector::Tag(tag.trim().into())],
        },
        PurgeTarget::Service(id) => {
            let services = node.services.load();
            if !services.all().iter().any(|service| &*service.id == id) {
                let known: Vec<&str> = services.all().iter().map(|service| &*service.id).collect();
                return Err(Failure::new(StatusCode::NOT_FOUND, format!("no service is {id:?}"))
                    .why(format!("the configuration has {}", known.join(", "))));
            }
            vec![Selector::Service(id.into())]
        }
        PurgeTarget::All => vec![Selector::All],
    })
}

/// The beginnings of cache keys that the beginning of a URL means: one for each service that
/// may answer below it.
pub(super) fn prefixes(node: &Node, prefix: &str) -> Result<Vec<Selector>, Failure> {
    let bad = |why: &str| {
        let shown = super::cache::shown(prefix);
        Failure::new(StatusCode::BAD_REQUEST, format!("not the beginning of a URL: {shown}"))
            .why(why.to_owned())
    };
    let spelled = super::cache::spelled(prefix);
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| spelled.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| bad("it must begin with https:// or http:// and a host"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    super::cache::is_authority(authority).map_err(bad)?;
    let authority = authority.to_ascii_lowercase();
    let host = admit::host_of(&authority);
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let services = node.services.load();
    let path = match weir_edge_token::split_path(path) {
        Some((_, rest)) if services.find(&host, rest).is_some_and(|s| s.token.is_some()) => rest,
        _ => path,
    };
    let canonical = weir_edge_token::canonical(path);
    let mut found = Vec::new();
    for service in services.all() {
        if !service.hosts.is_empty() && !service.hosts.contains(&host) {
            continue;
        }
        let path = match (service.preset, &canonical) {
            (Preset::Proxy, _) => path,
            (Preset::Media, Ok(canonical)) => canonical,
            (Preset::Media, Err(error)) => return Err(bad(&error.to_string())),
        };
        if path.starts_with(&service.path_prefix) || service.path_prefix.starts_with(path) {
            found.push(Selector::Prefix(key(service, &host, &authority, path, query).into()));
        }
    }
    if found.is_empty() {
        let what = format!("no service answers for what begins with {prefix}");
        return Err(Failure::new(StatusCode::NOT_FOUND, weir_edge_token::redact(&what)));
    }
    Ok(found)
}

/// The beginning of the keys that [`lookup::key`](crate::lookup::key) makes.
fn key(service: &Service, host: &str, authority: &str, path: &str, query: Option<&str>) -> String {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    match service.preset {
        Preset::Media if service.hosts.is_empty() => format!("{}||{path}{query}", service.id),
        Preset::Media => format!("{}|{host}|{path}{query}", service.id),
        Preset::Proxy => {
            let (authority, path) = (spelling::authority(authority), spelling::encoded(path));
            format!("{}|{authority}|{path}{}", service.id, spelling::encoded(&query))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn the_number_must_be_right_within_a_tenth() {
        let check = |known, objects, near| {
            assert_eq!(is_near(known, objects), near, "{known} for {objects}");
        };
        check(1, 1, true);
        check(0, 1, false);
        check(2, 3, true);
        check(0, 3, false);
        check(1_000, 1_100, true);
        check(1_000, 1_200, false);
        check(u64::MAX, 18_412, false);
    }
}
