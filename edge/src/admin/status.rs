//! One verdict over the node, and the reasons for it.

use std::sync::atomic::Ordering::Relaxed;

use weir_config_admin::{
    CacheSummary, Protocol as ProtocolLine, Reason, Refusal, ServedCertificate, State, Status,
    Upstream as UpstreamLine, UpstreamState, Verdict,
};
use weir_config_lifecycle::Phase;
use weir_config_telemetry::families::edge as families;
use weir_edge_fill::{guard::Circuit, upstream::Upstream};
use weir_edge_http::Protocol;

use crate::{judge::span, live, node::Node, record::Outcome, upkeep::TOLD_FOR};

pub(crate) fn status(node: &Node) -> Status {
    let reasons = reasons(node);
    let verdict = worst(&reasons);
    // Answers the edge gives by itself say nothing of the cache.
    let asked = |outcome: Outcome| !matches!(outcome, Outcome::Own | Outcome::Bypass);
    let (requests, bytes) = node.metrics.totals(|_, _, _| true);
    let (cached, cached_bytes) = node.metrics.totals(|_, outcome, _| asked(outcome));
    let (hits, hit_bytes) = node.metrics.totals(|_, outcome, _| outcome.is_hit());
    let (errors, _) = node.metrics.totals(|_, _, code| code == 5);
    let protocols: Vec<ProtocolLine> =
        [Protocol::H1, Protocol::H2, Protocol::H3].map(|p| protocol(node, p)).into();
    Status {
        node: node.name.clone(),
        site: node.site.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_s: node.started.elapsed().as_secs(),
        state: match node.readiness.phase() {
            Phase::Starting => State::Starting,
            Phase::Serving => State::Serving,
            Phase::Draining | Phase::Stopped => State::Draining,
        },
        verdict,
        reasons,
        connections: protocols.iter().map(|line| line.connections).sum(),
        protocols,
        requests,
        errors,
        bytes,
        hit_ratio: ratio(hits, cached),
        byte_hit_ratio: ratio(hit_bytes, cached_bytes),
        cache: summary(node),
        upstreams: node.upstreams.load().iter().map(|upstream| line(upstream)).collect(),
        config: node.config.get().map(|config| config.summary()),
        overview: node.live.overview(live::MINUTE),
        refused: refused(node),
        certificates: node.config.get().map(|config| config.certificates()).unwrap_or_default(),
        fleet: node.fleet.shown(),
    }
}

/// Connections and what came over them; requests that are answered say so themselves.
fn refused(node: &Node) -> Vec<Refusal> {
    let shown =
        [families::CONNECTIONS_REFUSED.name, families::MALFORMED.name, families::HTTP3_EXCESS.name];
    let all = node.metrics.refusals(node).into_iter();
    let all = all.filter(|(metric, ..)| shown.contains(metric));
    all.map(|(metric, reason, times)| Refusal { metric: metric.into(), reason, times }).collect()
}

/// The verdict alone, for the metrics.
pub(crate) fn verdict(node: &Node) -> Verdict {
    worst(&reasons(node))
}

fn worst(reasons: &[Reason]) -> Verdict {
    reasons.iter().map(|reason| reason.verdict).max().unwrap_or(Verdict::Ok)
}

fn protocol(node: &Node, protocol: Protocol) -> ProtocolLine {
    let (requests, bytes) = node.metrics.totals(|p, _, _| p == protocol);
    ProtocolLine {
        name: protocol.as_str().into(),
        connections: node.connections.open.of(protocol),
        requests,
        bytes,
    }
}

fn summary(node: &Node) -> CacheSummary {
    let stats = node.engine.cache().stats();
    let store = stats.store.unwrap_or_default();
    let purges = node.engine.cache().purge_stats();
    CacheSummary {
        objects: stats.objects,
        memory_bytes: stats.ram_used_bytes,
        memory_limit: stats.ram_capacity_bytes,
        disk_bytes: store.used_bytes.unwrap_or(0),
        disk_limit: store.capacity_bytes,
        fills: node.engine.under_way() as u64,
        purge_epoch: purges.epoch,
        purge_reclaimed_epoch: purges.reclaimed_epoch,
        pinned_objects: stats.objects_pinned,
        pinned_bytes: stats.pinned_bytes,
        warming: node.warms.running() as u64,
    }
}

fn line(upstream: &crate::observe::Observed) -> UpstreamLine {
    let tally = &upstream.tally;
    let requests = tally.requests.load(Relaxed);
    UpstreamLine {
        id: upstream.id().into(),
        kind: upstream.kind.into(),
        state: match (requests, tally.failing.load(Relaxed)) {
            (0, _) => UpstreamState::Unknown,
            (_, true) => UpstreamState::Failing,
            (_, false) => UpstreamState::Ok,
        },
        circuit: Some(
            match upstream.circuit() {
                Circuit::Closed => "closed",
                Circuit::Open => "open",
                Circuit::HalfOpen => "half_open",
                Circuit::Recovering => "recovering",
            }
            .to_owned(),
        ),
        requests,
        errors: tally.errors.load(Relaxed),
        bytes: tally.bytes.load(Relaxed),
        last_error: tally.last_error.lock().clone(),
    }
}

fn reasons(node: &Node) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let phase = node.readiness.phase();
    if phase != Phase::Serving {
        let what = format!("the node is {}", phase.as_str());
        reasons.push(Reason { verdict: Verdict::Down, what, next: None });
    }
    for upstream in node.upstreams.load().iter() {
        if upstream.tally.failing.load(Relaxed) {
            let why = upstream.tally.last_error.lock().clone().unwrap_or_default();
            let what = format!("upstream {} fails: {why}", upstream.id());
            let next = Some("cachectl doctor".to_owned());
            reasons.push(Reason { verdict: Verdict::Degraded, what, next });
        }
    }
    if let Some(why) = node.engine.cache().state_failure() {
        let what = format!(
            "the state file cannot be written: {why}; a restart forgets what \
            changes until it can"
        );
        let next = Some(
            "make room or give rights where cache.state lies; it is tried again each \
            second"
                .to_owned(),
        );
        reasons.push(Reason { verdict: Verdict::Degraded, what, next });
    }
    if let Some((aside, ago)) = node.engine.cache().state_aside()
        && ago < TOLD_FOR
    {
        let what = format!(
            "the state file could not be used, and lies in {}: what was cached before is lost, \
             but for what this process knew (told for an hour, {} min over)",
            aside.display(),
            ago.as_secs() / 60
        );
        let next = Some("look why in the log, then delete that file".to_owned());
        reasons.push(Reason { verdict: Verdict::Degraded, what, next });
    }
    if let Some(access) = &node.access
        && let Some(why) = access.failure()
    {
        let path = access.path().display();
        let what = format!("the access log {path} loses lines: {why}");
        let next =
            Some("make room or give rights there; it is tried again with each line".to_owned());
        reasons.push(Reason { verdict: Verdict::Degraded, what, next });
    }
    if let Some((endpoint, why)) = node.traces.failure() {
        let what = format!("spans of traces do not reach {endpoint}: {why}");
        let next = Some("cachectl doctor".to_owned());
        reasons.push(Reason { verdict: Verdict::Degraded, what, next });
    }
    reasons.extend(super::load::reasons(node));
    reasons.extend(super::disks::reasons(node));
    reasons.extend(super::config::reasons(node));
    reasons.extend(certificates(node));
    reasons
}

/// Whoever renews by itself has done it a week before the end.
fn certificates(node: &Node) -> Vec<Reason> {
    const SOON_S: u64 = 7 * 24 * 60 * 60;
    let now = node.clock.unix_seconds();
    let served = node.config.get().map(|config| config.certificates()).unwrap_or_default();
    let reason = |served: ServedCertificate| {
        let end = served.not_after_unix_s.filter(|end| *end < now + SOON_S)?;
        let name = served.names.first().map_or("no name", String::as_str);
        let what = match end.checked_sub(now) {
            Some(left) => format!("the certificate for {name} is good for {} only", span(left)),
            None => format!("the certificate for {name} expired {} ago", span(now - end)),
        };
        let next = "put a new one in its place, then: cachectl config reload".to_owned();
        Some(Reason { verdict: Verdict::Degraded, what, next: Some(next) })
    };
    served.into_iter().filter_map(reason).collect()
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
