//! The node's metrics. Handles are found once and kept: a request counts, it does not look
//! labels up.

mod door;
mod gauges;
mod load;
mod wire;

use std::sync::OnceLock;

use parking_lot::Mutex;
use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec,
    core::{Collector, Metric},
};
use weir_config_telemetry::{
    Metrics as Registry, Names, families::edge as families, names::NAMES_MAX,
};
use weir_edge_cache::Mode;
use weir_edge_http::Protocol;
use weir_edge_token::Reject;

use crate::{live::BUCKETS, node::Node, record::Outcome, refuse::Fault};

use gauges::Gauges;

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
    pub origin_hedges: IntCounterVec,
    pub origin_ttfb: HistogramVec,
    /// Which upstreams have series of their own.
    pub origins: Names,
    gauges: Gauges,
    /// One reads at a time: what is brought up to date is never seen half-way, nor counted twice.
    reading: Mutex<()>,
}

impl Metrics {
    pub fn new(registry: Registry) -> Self {
        let ttfb = registry.histograms(&families::TTFB);
        let ttlb = registry.histograms(&families::TTLB);
        let each = |family: &HistogramVec| {
            std::array::from_fn(|i| family.with_label_values(&[Outcome::ALL[i].as_str()]))
        };
        let others = registry.counters(&families::OTHER_NAMES);
        let names = |label| Names::new(NAMES_MAX, others.with_label_values(&[label]));
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
            origin_hedges: registry.counters(&families::ORIGIN_HEDGES),
            origin_ttfb: registry.histograms(&families::ORIGIN_TTFB),
            origins: names("origin"),
            gauges: Gauges::new(&registry, names("disk"), names("certificate")),
            reading: Mutex::new(()),
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
        let disk = self.gauges.disk_label(disk);
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

    /// Requests sent to upstreams and body bytes received from them, since start.
    pub fn origin_totals(&self) -> (u64, u64) {
        (sum(&self.origin_requests), sum(&self.origin_bytes))
    }

    /// Of the requests with such outcomes, those whose first byte came within each bound, and all.
    pub fn ttfb(&self, keep: impl Fn(Outcome) -> bool) -> [u64; BUCKETS] {
        let mut below = [0; BUCKETS];
        for (histogram, _) in self.ttfb.iter().zip(Outcome::ALL).filter(|(_, of)| keep(*of)) {
            let seen = histogram.metric();
            let seen = seen.get_histogram();
            let bounded = seen.get_bucket().iter().map(|bucket| bucket.cumulative_count());
            let counts = bounded.chain([seen.get_sample_count()]);
            below.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        below
    }

    /// What was refused since start, for the page: which metric, which of its reasons, how often.
    pub fn refusals(&self, node: &Node) -> Vec<(&'static str, String, u64)> {
        let _reading = self.reading.lock();
        self.gauges.read(node);
        let vectors = [
            (families::SHED_REQUESTS.name, &self.gauges.shed),
            (families::TOKEN_REJECTS.name, &self.rejects),
            (families::REQUEST_ERRORS.name, &self.errors),
            (families::WIRE_FAULTS.name, &self.gauges.wire.faults),
            (families::HTTP2_FLOODS.name, &self.gauges.wire.floods),
            (families::MALFORMED.name, &self.gauges.malformed),
            (families::CONNECTIONS_REFUSED.name, &self.gauges.door.refused),
            (families::HTTP3_EXCESS.name, &self.gauges.door.exceeded),
            (families::ORIGIN_WITHHELD.name, &self.origin_withheld),
        ];
        let of = |(name, vector): (&'static str, &IntCounterVec)| {
            let metrics = vector.collect().into_iter().flat_map(|mut all| all.take_metric());
            metrics.filter_map(move |metric| {
                let reason = metric.get_label().first()?.value().to_owned();
                let count = metric.get_counter().get_value() as u64;
                (count > 0).then_some((name, reason, count))
            })
        };
        vectors.into_iter().flat_map(of).collect()
    }

    /// Everything, as Prometheus reads it.
    pub fn encode(&self, node: &Node) -> String {
        let _reading = self.reading.lock();
        self.gauges.read(node);
        self.registry.encode()
    }
}

/// Over all labels.
fn sum(counters: &IntCounterVec) -> u64 {
    let metrics = counters.collect().into_iter().flat_map(|mut all| all.take_metric());
    metrics.map(|metric| metric.get_counter().get_value() as u64).sum()
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
