//! The node's metrics. Handles are found once and kept: a request counts, it does not look
//! labels up.

use std::sync::OnceLock;

use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
use weir_config_telemetry::{Metrics as Registry, families::edge as families};
use weir_edge_cache::disks::{DiskState, DiskView};
use weir_edge_cache::{Mode, PurgeStats};
use weir_edge_fill::{guard::Circuit, upstream::Upstream};
use weir_edge_http::{Malformed, Protocol};
use weir_edge_token::Reject;

use crate::{admin::warm::Warms, node::Node, record::Outcome, refuse::Fault};

const PROTOCOLS: [Protocol; 3] = [Protocol::H1, Protocol::H2, Protocol::H3];
const CODES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What a path looks like it is; for the metrics only, nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Segment,
    Manifest,
    Init,
    Key,
    Other,
}

impl Class {
    pub fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("m3u8" | "mpd") => Self::Manifest,
            Some("mp4" | "m4s" | "m4v" | "m4a" | "ts" | "aac" | "vtt" | "cmfv" | "cmfa") => {
                if name.starts_with("init") { Self::Init } else { Self::Segment }
            }
            Some("key") => Self::Key,
            _ => Self::Other,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Manifest => "manifest",
            Self::Init => "init",
            Self::Key => "key",
            Self::Other => "other",
        }
    }
}

/// Counters of a label combination, made when it first occurs: series that never occur are
/// not exported.
type Cells<const N: usize> = [OnceLock<IntCounter>; N];

const REQUEST_CELLS: usize = 3 * 5 * 9 * 5;
const BYTE_CELLS: usize = 3 * 9;

/// All metrics of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_cells: Box<Cells<REQUEST_CELLS>>,
    bytes: IntCounterVec,
    byte_cells: Cells<BYTE_CELLS>,
    ttfb: [Histogram; 9],
    ttlb: [Histogram; 9],
    pub aborted: IntCounter,
    rejects: IntCounterVec,
    reloads: IntCounterVec,
    errors: IntCounterVec,
    purges: IntCounterVec,
    scrub_bytes: IntCounterVec,
    scrub_damaged: IntCounterVec,
    /// Seconds the cache took to open.
    pub recovery: Gauge,
    pub origin_bytes: IntCounterVec,
    pub origin_requests: IntCounterVec,
    pub origin_withheld: IntCounterVec,
    pub origin_ttfb: HistogramVec,
    gauges: Gauges,
}

/// Read from their owners when somebody asks.
#[derive(Debug)]
struct Gauges {
    connections: IntGaugeVec,
    origin_circuit: IntGaugeVec,
    inflight: IntGauge,
    cache_bytes: IntGaugeVec,
    cache_objects: IntGauge,
    pinned_objects: IntGauge,
    pinned_bytes: IntGauge,
    collapsed: IntCounter,
    fill_bytes: IntCounter,
    fills: IntCounterVec,
    stale_served: IntCounterVec,
    left_behind: IntCounter,
    variants: IntCounter,
    warm: Warm,
    admitted: IntCounter,
    refused: IntCounter,
    not_admitted: IntCounter,
    checksum_failures: IntCounterVec,
    disk_online: IntGaugeVec,
    disk_full: IntGaugeVec,
    disk_bytes: IntGaugeVec,
    disk_reads: IntCounterVec,
    disk_read_bytes: IntCounterVec,
    disk_parts: IntCounterVec,
    disk_device_read: IntCounterVec,
    disk_index: IntGaugeVec,
    disk_errors: IntCounterVec,
    disk_written: IntCounterVec,
    evictions: IntCounterVec,
    log_dropped: IntCounter,
    purges: Purges,
    shed: IntCounterVec,
    malformed: IntCounterVec,
    config_revision: IntGauge,
    config_restart: IntGauge,
    config_refused: IntGauge,
}

/// What is fetched ahead of demand.
#[derive(Debug)]
struct Warm {
    jobs: IntGauge,
    objects: IntCounterVec,
    bytes: IntCounter,
}

impl Warm {
    fn read(&self, warms: &Warms) {
        use std::sync::atomic::Ordering::Relaxed;
        self.jobs.set(signed(warms.running() as u64));
        for (result, count) in ["fetched", "had", "failed", "skipped"].iter().zip(&warms.objects) {
            raise(&self.objects.with_label_values(&[result]), count.load(Relaxed));
        }
        raise(&self.bytes, warms.bytes.load(Relaxed));
    }
}

/// What purging did and has to do.
#[derive(Debug)]
struct Purges {
    epoch: IntGauge,
    reclaimed: IntGauge,
    standing: IntGauge,
    objects: IntCounterVec,
    bytes: IntCounter,
}

impl Purges {
    fn read(&self, stats: &PurgeStats) {
        self.epoch.set(signed(stats.epoch));
        self.reclaimed.set(signed(stats.reclaimed_epoch));
        self.standing.set(signed(stats.orders));
        raise(&self.objects.with_label_values(&["hard"]), stats.objects);
        raise(&self.objects.with_label_values(&["soft"]), stats.stale);
        raise(&self.bytes, stats.bytes);
    }
}

impl Metrics {
    pub fn new(registry: Registry) -> Self {
        let ttfb = registry.histograms(&families::TTFB);
        let ttlb = registry.histograms(&families::TTLB);
        let each = |family: &HistogramVec| {
            std::array::from_fn(|i| family.with_label_values(&[Outcome::ALL[i].as_str()]))
        };
        registry
            .gauges(&families::BUILD_INFO)
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Self {
            requests: registry.counters(&families::REQUESTS),
            request_cells: Box::new(std::array::from_fn(|_| OnceLock::new())),
            bytes: registry.counters(&families::SENT_BYTES),
            byte_cells: std::array::from_fn(|_| OnceLock::new()),
            ttfb: each(&ttfb),
            ttlb: each(&ttlb),
            aborted: registry.counter(&families::ABORTED),
            rejects: registry.counters(&families::TOKEN_REJECTS),
            reloads: registry.counters(&families::CONFIG_RELOADS),
            errors: registry.counters(&families::REQUEST_ERRORS),
            purges: registry.counters(&families::PURGES),
            scrub_bytes: registry.counters(&families::SCRUB_BYTES),
            scrub_damaged: registry.counters(&families::SCRUB_DAMAGED),
            recovery: registry.ratio(&families::CACHE_RECOVERY),
            origin_bytes: registry.counters(&families::ORIGIN_RECEIVED_BYTES),
            origin_requests: registry.counters(&families::ORIGIN_REQUESTS),
            origin_withheld: registry.counters(&families::ORIGIN_WITHHELD),
            origin_ttfb: registry.histograms(&families::ORIGIN_TTFB),
            gauges: Gauges {
                connections: registry.gauges(&families::CONNECTIONS),
                origin_circuit: registry.gauges(&families::ORIGIN_CIRCUIT),
                inflight: registry.gauge(&families::INFLIGHT_REQUESTS),
                cache_bytes: registry.gauges(&families::CACHE_BYTES),
                cache_objects: registry.gauge(&families::CACHE_OBJECTS),
                pinned_objects: registry.gauge(&families::PINNED_OBJECTS),
                pinned_bytes: registry.gauge(&families::PINNED_BYTES),
                collapsed: registry.counter(&families::COALESCED_REQUESTS),
                fill_bytes: registry.counter(&families::FILL_BYTES),
                fills: registry.counters(&families::FILLS),
                stale_served: registry.counters(&families::STALE_SERVED),
                left_behind: registry.counter(&families::LEFT_BEHIND),
                variants: registry.counter(&families::VARIANTS),
                warm: Warm {
                    jobs: registry.gauge(&families::WARM_JOBS),
                    objects: registry.counters(&families::WARM_OBJECTS),
                    bytes: registry.counter(&families::WARM_BYTES),
                },
                admitted: registry.counter(&families::ADMITTED_BYTES),
                refused: registry.counter(&families::REFUSED_BYTES),
                not_admitted: registry.counter(&families::NOT_ADMITTED_BYTES),
                checksum_failures: registry.counters(&families::CACHE_CHECKSUM_FAILURES),
                disk_online: registry.gauges(&families::DISK_ONLINE),
                disk_full: registry.gauges(&families::DISK_FULL),
                disk_bytes: registry.gauges(&families::DISK_BYTES),
                disk_reads: registry.counters(&families::DISK_READS),
                disk_read_bytes: registry.counters(&families::DISK_READ_BYTES),
                disk_parts: registry.counters(&families::DISK_PART_READS),
                disk_device_read: registry.counters(&families::DISK_DEVICE_READ_BYTES),
                disk_index: registry.gauges(&families::DISK_INDEX_BYTES),
                disk_errors: registry.counters(&families::DISK_ERRORS),
                disk_written: registry.counters(&families::DISK_WRITTEN_BYTES),
                evictions: registry.counters(&families::CACHE_EVICTIONS),
                log_dropped: registry.counter(&families::ACCESS_LOG_DROPPED),
                purges: Purges {
                    epoch: registry.gauge(&families::PURGE_EPOCH),
                    reclaimed: registry.gauge(&families::PURGE_RECLAIMED_EPOCH),
                    standing: registry.gauge(&families::PURGES_STANDING),
                    objects: registry.counters(&families::PURGED_OBJECTS),
                    bytes: registry.counter(&families::PURGED_BYTES),
                },
                shed: registry.counters(&families::SHED_REQUESTS),
                malformed: registry.counters(&families::MALFORMED),
                config_revision: registry.gauge(&families::CONFIG_REVISION),
                config_restart: registry.gauge(&families::CONFIG_RESTART_KEYS),
                config_refused: registry.gauge(&families::CONFIG_REFUSED),
            },
            registry,
        }
    }

    /// Counts one reload: `applied`, `unchanged` or `refused`.
    pub fn reloaded(&self, outcome: &str) {
        self.reloads.with_label_values(&[outcome]).inc();
    }

    /// Counts one purge that was ordered.
    pub fn purged(&self, mode: Mode) {
        let mode = match mode {
            Mode::Hard => "hard",
            Mode::Soft => "soft",
        };
        self.purges.with_label_values(&[mode]).inc();
    }

    /// Counts what a step of a scrub read back from a disk.
    pub fn scrubbed(&self, disk: &str, bytes: u64, damaged: u64) {
        self.scrub_bytes.with_label_values(&[disk]).inc_by(bytes);
        self.scrub_damaged.with_label_values(&[disk]).inc_by(damaged);
    }

    /// Counts one answered request.
    pub fn request(&self, seen: &Seen) {
        let Seen { protocol, class, outcome, status, bytes, .. } = *seen;
        let code = usize::from((status / 100).clamp(1, 5)) - 1;
        let cell = ((protocol as usize * 5 + class as usize) * 9 + outcome as usize) * 5 + code;
        let (proto, result) = (protocol.as_str(), outcome.as_str());
        self.request_cells[cell]
            .get_or_init(|| {
                self.requests.with_label_values(&[proto, class.as_str(), result, CODES[code]])
            })
            .inc();
        self.byte_cells[protocol as usize * 9 + outcome as usize]
            .get_or_init(|| self.bytes.with_label_values(&[proto, result]))
            .inc_by(bytes);
        self.ttfb[outcome as usize].observe(seen.ttfb);
        self.ttlb[outcome as usize].observe(seen.ttlb);
        if !seen.whole {
            self.aborted.inc();
        }
    }

    /// Counts a request that was refused or could not be answered.
    pub fn failed(&self, fault: Fault) {
        self.errors.with_label_values(&[fault.as_str()]).inc();
    }

    /// Counts a request without the token it needed.
    pub fn token_missing(&self) {
        self.rejects.with_label_values(&["missing"]).inc();
    }

    /// Counts a request whose token was not good.
    pub fn token_rejected(&self, reject: Reject) {
        self.rejects.with_label_values(&[reject.as_str()]).inc();
    }

    /// Requests and body bytes since start, by `keep`.
    pub fn totals(&self, keep: impl Fn(Protocol, Outcome, usize) -> bool) -> (u64, u64) {
        let mut requests = 0;
        for (index, cell) in self.request_cells.iter().enumerate() {
            let (rest, code) = (index / 5, index % 5);
            let (outcome, protocol) = (Outcome::ALL[rest % 9], PROTOCOLS[rest / 9 / 5]);
            if keep(protocol, outcome, code + 1) {
                requests += cell.get().map_or(0, IntCounter::get);
            }
        }
        let mut bytes = 0;
        for (index, cell) in self.byte_cells.iter().enumerate() {
            if keep(PROTOCOLS[index / 9], Outcome::ALL[index % 9], 2) {
                bytes += cell.get().map_or(0, IntCounter::get);
            }
        }
        (requests, bytes)
    }

    /// Everything, as Prometheus reads it.
    pub fn encode(&self, node: &Node) -> String {
        self.gauges.read(node);
        self.registry.encode()
    }
}

/// What a request came to.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub protocol: Protocol,
    pub class: Class,
    pub outcome: Outcome,
    pub status: u16,
    pub bytes: u64,
    pub whole: bool,
    /// Seconds.
    pub ttfb: f64,
    /// Seconds.
    pub ttlb: f64,
}

impl Gauges {
    fn read(&self, node: &Node) {
        use std::sync::atomic::Ordering::Relaxed;
        let mut inflight = 0;
        for protocol in PROTOCOLS {
            let open = signed(node.connections.open.of(protocol));
            self.connections.with_label_values(&[protocol.as_str()]).set(open);
            inflight += signed(node.connections.active.of(protocol));
        }
        self.inflight.set(inflight);
        let over = node.connections.over_limit.load(Relaxed);
        raise(&self.shed.with_label_values(&["connections"]), over);
        for why in Malformed::ALL {
            let times = node.connections.malformed_for(why);
            raise(&self.malformed.with_label_values(&[why.as_str()]), times);
        }
        let stats = node.engine.cache().stats();
        self.cache_objects.set(signed(stats.objects));
        self.pinned_objects.set(signed(stats.objects_pinned));
        self.pinned_bytes.set(signed(stats.pinned_bytes));
        self.cache_bytes.with_label_values(&["mem"]).set(signed(stats.ram_used_bytes));
        self.evict("mem", stats.ram.evictions);
        for upstream in node.upstreams.load().iter() {
            let circuit = match upstream.circuit() {
                Circuit::Closed => 0,
                Circuit::HalfOpen | Circuit::Recovering => 1,
                Circuit::Open => 2,
            };
            self.origin_circuit.with_label_values(&[upstream.id()]).set(circuit);
        }
        let fills = node.engine.counters();
        raise(&self.collapsed, fills.collapsed.load(Relaxed));
        raise(&self.fill_bytes, fills.upstream_bytes.load(Relaxed));
        let (failed, tainted) = (fills.failed.load(Relaxed), fills.tainted.load(Relaxed));
        let ended = [
            ("ok", fills.filled.load(Relaxed)),
            ("failed", failed.saturating_sub(tainted)),
            ("tainted", tainted),
        ];
        for (result, count) in ended {
            raise(&self.fills.with_label_values(&[result]), count);
        }
        let stale = [
            ("revalidating", fills.stale_while_revalidate.load(Relaxed)),
            ("error", fills.stale_if_error.load(Relaxed)),
        ];
        for (why, count) in stale {
            raise(&self.stale_served.with_label_values(&[why]), count);
        }
        raise(&self.left_behind, fills.left_behind.load(Relaxed));
        raise(&self.variants, fills.variants.load(Relaxed));
        self.warm.read(&node.warms);
        raise(&self.not_admitted, stats.not_admitted_bytes);
        if let Some(store) = stats.store {
            raise(&self.admitted, store.accepted_bytes);
            raise(&self.refused, store.refused_bytes);
            self.cache_bytes
                .with_label_values(&["disk"])
                .set(signed(store.used_bytes.unwrap_or(0)));
            self.evict("disk", store.evicted_chunks.unwrap_or(0));
        }
        self.purges.read(&node.engine.cache().purge_stats());
        for disk in node.disks.iter().flat_map(|disks| disks.views()) {
            self.disk(&disk);
        }
        if let Some(config) = node.config.get() {
            let stands = config.summary();
            self.config_revision.set(signed(stands.revision));
            self.config_restart.set(signed(stands.restart.len() as u64));
            self.config_refused.set(i64::from(stands.refused.is_some()));
        }
        if let Some(access) = &node.access {
            raise(&self.log_dropped, access.dropped());
        }
    }

    fn disk(&self, disk: &DiskView) {
        let (path, stats) = (disk.path.to_string_lossy(), &disk.stats);
        let (full, online) = (disk.state == DiskState::Full, disk.state == DiskState::Online);
        let gauge = |family: &IntGaugeVec, value| family.with_label_values(&[&path]).set(value);
        gauge(&self.disk_online, i64::from(online || full));
        gauge(&self.disk_full, i64::from(full));
        gauge(&self.disk_bytes, signed(stats.used_bytes.unwrap_or(0)));
        gauge(&self.disk_index, signed(stats.index_bytes));
        let count = |family: &IntCounterVec, to| raise(&family.with_label_values(&[&path]), to);
        count(&self.checksum_failures, stats.checksum_failures);
        count(&self.disk_written, stats.device_written_bytes);
        count(&self.disk_read_bytes, stats.read_bytes);
        count(&self.disk_reads, stats.read_hits);
        count(&self.disk_parts, stats.read_parts);
        count(&self.disk_device_read, stats.device_read_bytes);
        let failures =
            [("call", stats.io_errors), ("overdue", disk.overdue), ("lost", stats.lost_chunks)];
        for (op, failed) in failures {
            raise(&self.disk_errors.with_label_values(&[&path, op]), failed);
        }
    }

    fn evict(&self, tier: &str, evictions: u64) {
        raise(&self.evictions.with_label_values(&[tier, "space"]), evictions);
    }
}

/// Brings a counter to what its owner has counted.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Class;

    #[test]
    fn classes() {
        let check = |path: &str, class| assert_eq!(Class::of(path), class, "{path}");
        check("/vod/a/main.m3u8", Class::Manifest);
        check("/vod/a/main.mpd?x=1", Class::Manifest);
        check("/vod/a/720p/init.mp4", Class::Init);
        check("/vod/a/720p/seg-1.m4s", Class::Segment);
        check("/vod/a/x.key", Class::Key);
        check("/vod.m4s/a", Class::Other);
        check("/", Class::Other);
    }
}
