//! Metrics that are not counted where things happen: read from their owners when somebody asks.

use std::collections::BTreeMap;

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use weir_config_admin::Verdict;
use weir_config_telemetry::{Metrics as Registry, Names, families::edge as families};
use weir_edge_cache::PurgeStats;
use weir_edge_cache::disks::{DiskState, DiskView};
use weir_edge_fill::guard::Circuit;
use weir_edge_http::Malformed;

use super::{PROTOCOLS, door::Door, load::Load, wire::Wire};
use crate::{
    admin::{status, warm::Warms},
    node::Node,
};

/// Read from their owners when somebody asks.
#[derive(Debug)]
pub(super) struct Gauges {
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
    spans: IntCounterVec,
    purges: Purges,
    pub(super) shed: IntCounterVec,
    pub(super) malformed: IntCounterVec,
    pub(super) door: Door,
    load: Load,
    pub(super) wire: Wire,
    config_revision: IntGauge,
    config_restart: IntGauge,
    config_refused: IntGauge,
    disks: Names,
    state: State,
}

/// How the node itself is.
#[derive(Debug)]
struct State {
    verdict: IntGauge,
    start: IntGauge,
    clock: IntGauge,
    not_after: IntGaugeVec,
    resident: IntGauge,
    budget: IntGauge,
    saturation: GaugeVec,
    followers: IntGauge,
    fleet: IntCounterVec,
    certificates: Names,
}

impl State {
    fn new(registry: &Registry, certificates: Names) -> Self {
        Self {
            verdict: registry.gauge(&families::VERDICT),
            start: registry.gauge(&families::START_TIME),
            clock: registry.gauge(&families::CLOCK),
            not_after: registry.gauges(&families::CERTIFICATE_NOT_AFTER),
            resident: registry.gauge(&families::RESIDENT_BYTES),
            budget: registry.gauge(&families::MEMORY_BUDGET),
            saturation: registry.ratios(&families::SATURATION),
            followers: registry.gauge(&families::PAGE_FOLLOWERS),
            fleet: registry.counters(&families::FLEET_REPORTS),
            certificates,
        }
    }

    fn read(&self, node: &Node) {
        self.verdict.set(match status::verdict(node) {
            Verdict::Ok => 0,
            Verdict::Degraded => 1,
            Verdict::Down => 2,
        });
        if let Some(member) = node.fleet.shown() {
            let all = [
                ("heard", member.reports),
                ("refused", member.refused),
                ("unanswered", member.unanswered),
            ];
            for (result, count) in all {
                raise(&self.fleet.with_label_values(&[result]), count);
            }
        }
        let now = node.clock.unix_seconds();
        self.clock.set(signed(now));
        // Once: a clock that is set is no new start.
        if self.start.get() == 0 {
            self.start.set(signed(now.saturating_sub(node.started.elapsed().as_secs())));
        }
        // Those that were replaced are gone; of those called `other` the first end counts.
        self.not_after.reset();
        for served in node.config.get().map(|config| config.certificates()).unwrap_or_default() {
            let name = served.names.first().map_or("none", String::as_str);
            let gauge = self.not_after.with_label_values(&[self.certificates.label(name)]);
            let end = signed(served.not_after_unix_s.unwrap_or(0));
            gauge.set(if gauge.get() == 0 { end } else { gauge.get().min(end) });
        }
        self.resident.set(signed(node.live.resident_bytes()));
        self.budget.set(signed(node.live.bounds().memory_bytes));
        for (resource, used) in node.live.resources() {
            self.saturation.with_label_values(&[resource]).set(used);
        }
        self.followers.set(signed(node.live.followers() as u64));
    }
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

impl Gauges {
    pub(super) fn new(registry: &Registry, disks: Names, certificates: Names) -> Self {
        Self {
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
            spans: registry.counters(&families::TRACE_SPANS),
            purges: Purges {
                epoch: registry.gauge(&families::PURGE_EPOCH),
                reclaimed: registry.gauge(&families::PURGE_RECLAIMED_EPOCH),
                standing: registry.gauge(&families::PURGES_STANDING),
                objects: registry.counters(&families::PURGED_OBJECTS),
                bytes: registry.counter(&families::PURGED_BYTES),
            },
            shed: registry.counters(&families::SHED_REQUESTS),
            malformed: registry.counters(&families::MALFORMED),
            door: Door::new(registry),
            load: Load::new(registry),
            wire: Wire::new(registry),
            config_revision: registry.gauge(&families::CONFIG_REVISION),
            config_restart: registry.gauge(&families::CONFIG_RESTART_KEYS),
            config_refused: registry.gauge(&families::CONFIG_REFUSED),
            disks,
            state: State::new(registry, certificates),
        }
    }

    /// Brings all of them to what holds.
    pub(super) fn read(&self, node: &Node) {
        use std::sync::atomic::Ordering::Relaxed;
        let mut inflight = 0;
        for protocol in PROTOCOLS {
            let open = signed(node.connections.open.of(protocol));
            self.connections.with_label_values(&[protocol.as_str()]).set(open);
            inflight += signed(node.connections.active.of(protocol));
        }
        self.inflight.set(inflight);
        self.door.read(node);
        self.load.read(node, &self.shed, &self.fills);
        self.wire.read(node);
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
        // An upstream that a reload has taken out has no circuit; several of one label have the
        // worst of theirs.
        self.origin_circuit.reset();
        for upstream in node.upstreams.load().iter() {
            let circuit = match upstream.circuit() {
                Circuit::Closed => 0,
                Circuit::HalfOpen | Circuit::Recovering => 1,
                Circuit::Open => 2,
            };
            let gauge = self.origin_circuit.with_label_values(&[upstream.label()]);
            gauge.set(gauge.get().max(circuit));
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
        let views = node.disks.as_ref().map(|disks| disks.views()).unwrap_or_default();
        let mut labelled: BTreeMap<String, Vec<&DiskView>> = BTreeMap::new();
        for view in &views {
            let label = self.disk_label(&view.path.to_string_lossy()).to_owned();
            labelled.entry(label).or_default().push(view);
        }
        for (label, views) in labelled {
            self.disk(&label, &views);
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
        let counts = &node.traces.counts;
        let spans = [
            ("exported", &counts.exported),
            ("dropped", &counts.dropped),
            ("failed", &counts.failed),
        ];
        for (result, count) in spans {
            raise(&self.spans.with_label_values(&[result]), count.load(Relaxed));
        }
        self.state.read(node);
    }

    /// What stands for a disk in labels.
    pub(super) fn disk_label<'n>(&self, disk: &'n str) -> &'n str {
        self.disks.label(disk)
    }

    /// The disks of one label: one, but for those called `other`.
    fn disk(&self, label: &str, disks: &[&DiskView]) {
        let sum = |of: &dyn Fn(&DiskView) -> u64| disks.iter().map(|disk| of(disk)).sum::<u64>();
        let in_use = |disk: &&DiskView| matches!(disk.state, DiskState::Online | DiskState::Full);
        let gauge = |family: &IntGaugeVec, value| family.with_label_values(&[label]).set(value);
        gauge(&self.disk_online, i64::from(disks.iter().all(in_use)));
        gauge(&self.disk_full, i64::from(disks.iter().any(|disk| disk.state == DiskState::Full)));
        gauge(&self.disk_bytes, signed(sum(&|disk| disk.stats.used_bytes.unwrap_or(0))));
        gauge(&self.disk_index, signed(sum(&|disk| disk.stats.index_bytes)));
        let count = |family: &IntCounterVec, of: &dyn Fn(&DiskView) -> u64| {
            raise(&family.with_label_values(&[label]), sum(of));
        };
        count(&self.checksum_failures, &|disk| disk.stats.checksum_failures);
        count(&self.disk_written, &|disk| disk.stats.device_written_bytes);
        count(&self.disk_read_bytes, &|disk| disk.stats.read_bytes);
        count(&self.disk_reads, &|disk| disk.stats.read_hits);
        count(&self.disk_parts, &|disk| disk.stats.read_parts);
        count(&self.disk_device_read, &|disk| disk.stats.device_read_bytes);
        let failures = [
            ("call", sum(&|disk| disk.stats.io_errors)),
            ("overdue", sum(&|disk| disk.overdue)),
            ("lost", sum(&|disk| disk.stats.lost_chunks)),
        ];
        for (op, failed) in failures {
            raise(&self.disk_errors.with_label_values(&[label, op]), failed);
        }
    }

    fn evict(&self, tier: &str, evictions: u64) {
        raise(&self.evictions.with_label_values(&[tier, "space"]), evictions);
    }
}

/// Brings a counter to what its owner has counted.
pub(super) fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
