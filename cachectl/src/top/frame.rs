//! What happened between two looks.

use serde::Serialize;
use weir_config_admin::{CacheSummary, HotObject, LogRecord, Reason, State, Verdict};

use super::snapshot::Snapshot;
use crate::metrics::quantile;

/// What is shown. Rates are per second, over `over_s`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Frame {
    pub(super) node: String,
    pub(super) site: String,
    pub(super) state: State,
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<Reason>,
    pub(super) uptime_s: u64,
    pub(super) now_ms: u64,
    pub(super) over_s: f64,
    pub(super) requests_s: f64,
    pub(super) bytes_s: f64,
    pub(super) in_flight: u64,
    pub(super) protocols: Vec<ProtocolRate>,
    pub(super) hit_ratio: Option<f64>,
    pub(super) byte_hit_ratio: Option<f64>,
    /// Within these seconds half, and 99 of 100, had their head.
    pub(super) ttfb_p50_s: Option<f64>,
    pub(super) ttfb_p99_s: Option<f64>,
    /// Answered with a status of 500 and above.
    pub(super) error_ratio: Option<f64>,
    pub(super) results: Vec<ResultRate>,
    pub(super) cache: CacheSummary,
    pub(super) disks: Vec<DiskRate>,
    pub(super) origins: Vec<OriginRate>,
    pub(super) refused: Vec<Refused>,
    pub(super) hottest: Vec<HotObject>,
    pub(super) slowest: Vec<LogRecord>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct ProtocolRate {
    pub(super) name: String,
    pub(super) requests_s: f64,
    pub(super) connections: u64,
}

/// What the cache did: `hit_mem`, `miss`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ResultRate {
    pub(super) result: String,
    pub(super) requests_s: f64,
    pub(super) bytes_s: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct DiskRate {
    pub(super) disk: String,
    /// `online`, `full`, `offline`
    pub(super) state: &'static str,
    pub(super) used_bytes: u64,
    pub(super) read_bytes_s: f64,
    pub(super) written_bytes_s: f64,
    pub(super) errors: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct OriginRate {
    pub(super) origin: String,
    /// `closed`, `half-open`, `open`
    pub(super) circuit: &'static str,
    pub(super) requests_s: f64,
    pub(super) bytes_s: f64,
    /// Of those, without an answer or one of 500 and above.
    pub(super) failed_s: f64,
    pub(super) withheld_s: f64,
}

/// What was refused to protect the rest, or for its token.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Refused {
    pub(super) reason: String,
    pub(super) total: u64,
    pub(super) each_s: f64,
}

const REQUESTS: &str = "edge_requests_total";
const BYTES: &str = "edge_sent_bytes_total";
/// Counters of refusals, the label that says why, and what stands before it.
const REFUSALS: [(&str, &str, &str); 7] = [
    ("edge_shed_requests_total", "reason", ""),
    ("edge_connections_refused_total", "reason", "connection: "),
    ("edge_http2_floods_total", "kind", "HTTP/2 flood: "),
    ("edge_http3_excess_total", "reason", "HTTP/3 excess: "),
    ("edge_http_malformed_total", "reason", "malformed: "),
    ("edge_http3_malformed_total", "reason", "malformed HTTP/3: "),
    ("edge_token_rejects_total", "reason", "token: "),
];

impl Frame {
    pub(super) fn between(before: &Snapshot, now: &Snapshot) -> Self {
        let over_s = now.top.now_ms.saturating_sub(before.top.now_ms) as f64 / 1e3;
        let look = Look { before, now, over_s };
        let answered = |result: &str| !matches!(result, "own" | "bypass");
        let hit = |result: &str| matches!(result, "hit_mem" | "hit_disk" | "revalidated" | "stale");
        let part = |name: &str| {
            let of = |keep: &dyn Fn(&str) -> bool| {
                look.risen(|one| one.sum(name, |label, value| label != "result" || keep(value)))
            };
            ratio(of(&hit), of(&answered))
        };
        let errors = look.risen(|one| one.of(REQUESTS, "code", "5xx"));
        let status = &now.status;
        Self {
            node: status.node.clone(),
            site: status.site.clone(),
            state: status.state,
            verdict: status.verdict,
            reasons: status.reasons.clone(),
            uptime_s: status.uptime_s,
            now_ms: now.top.now_ms,
            over_s,
            requests_s: look.rate(|one| one.all(REQUESTS)),
            bytes_s: look.rate(|one| one.all(BYTES)),
            in_flight: now.all("edge_inflight_requests") as u64,
            protocols: look.protocols(),
            hit_ratio: part(REQUESTS),
            byte_hit_ratio: part(BYTES),
            ttfb_p50_s: look.within(0.5),
            ttfb_p99_s: look.within(0.99),
            error_ratio: ratio(errors, look.risen(|one| one.all(REQUESTS))),
            results: look.results(),
            cache: status.cache.clone(),
            disks: look.disks(),
            origins: look.origins(),
            refused: look.refused(),
            hottest: now.top.hottest.clone(),
            slowest: now.top.slowest.clone(),
        }
    }
}

/// Two looks at counters.
struct Look<'s> {
    before: &'s Snapshot,
    now: &'s Snapshot,
    over_s: f64,
}

impl Look<'_> {
    /// How far it rose; a server that started anew counts from nothing.
    fn risen(&self, of: impl Fn(&Snapshot) -> f64) -> f64 {
        let (before, now) = (of(self.before), of(self.now));
        if now < before { now } else { now - before }
    }

    fn rate(&self, of: impl Fn(&Snapshot) -> f64) -> f64 {
        if self.over_s > 0.0 { self.risen(of) / self.over_s } else { 0.0 }
    }

    fn within(&self, part: f64) -> Option<f64> {
        let before = self.before.buckets("edge_ttfb_seconds");
        let mut risen = self.now.buckets("edge_ttfb_seconds");
        for (bound, count) in &mut risen {
            let known = before.iter().find(|(known, _)| known == bound);
            *count = count.saturating_sub(known.map_or(0, |(_, count)| *count));
        }
        let all = risen.last().map_or(0, |(_, count)| *count);
        if all == 0 { None } else { quantile(&risen, all, part) }
    }

    fn protocols(&self) -> Vec<ProtocolRate> {
        let each = |one: &weir_config_admin::Protocol| ProtocolRate {
            name: one.name.clone(),
            requests_s: self.rate(|look| look.of(REQUESTS, "proto", &one.name)),
            connections: one.connections,
        };
        self.now.status.protocols.iter().map(each).collect()
    }

    fn results(&self) -> Vec<ResultRate> {
        let each = |result: String| ResultRate {
            requests_s: self.rate(|look| look.of(REQUESTS, "result", &result)),
            bytes_s: self.rate(|look| look.of(BYTES, "result", &result)),
            result,
        };
        self.now.values(REQUESTS, "result").into_iter().map(each).collect()
    }

    fn disks(&self) -> Vec<DiskRate> {
        let each = |disk: String| {
            let is = |name: &str| self.now.of(name, "disk", &disk) > 0.0;
            DiskRate {
                state: match (is("edge_disk_online"), is("edge_disk_full")) {
                    (false, _) => "offline",
                    (true, true) => "full",
                    (true, false) => "online",
                },
                used_bytes: self.now.of("edge_disk_bytes", "disk", &disk) as u64,
                read_bytes_s: self
                    .rate(|look| look.of("edge_disk_read_bytes_total", "disk", &disk)),
                written_bytes_s: self
                    .rate(|look| look.of("edge_disk_written_bytes_total", "disk", &disk)),
                errors: self.now.of("edge_disk_errors_total", "disk", &disk) as u64,
                disk,
            }
        };
        self.now.values("edge_disk_online", "disk").into_iter().map(each).collect()
    }

    fn origins(&self) -> Vec<OriginRate> {
        let each = |origin: String| {
            let of = |name: &'static str| {
                let origin = &origin;
                self.rate(move |look| look.of(name, "origin", origin))
            };
            let failed = |look: &Snapshot| {
                look.sum("edge_origin_requests_total", |label, value| match label {
                    "origin" => value == origin,
                    "code" => matches!(value, "5xx" | "none"),
                    _ => true,
                })
            };
            OriginRate {
                circuit: match self.now.of("edge_origin_circuit", "origin", &origin) {
                    n if n < 0.5 => "closed",
                    n if n < 1.5 => "half-open",
                    _ => "open",
                },
                requests_s: of("edge_origin_requests_total"),
                bytes_s: of("edge_origin_received_bytes_total"),
                failed_s: self.rate(failed),
                withheld_s: of("edge_origin_withheld_total"),
                origin: origin.clone(),
            }
        };
        self.now.values("edge_origin_circuit", "origin").into_iter().map(each).collect()
    }

    fn refused(&self) -> Vec<Refused> {
        let mut all = Vec::new();
        for (name, label, what) in REFUSALS {
            for reason in self.now.values(name, label) {
                let total = self.now.of(name, label, &reason) as u64;
                let each_s = self.rate(|look| look.of(name, label, &reason));
                if total > 0 {
                    all.push(Refused { reason: format!("{what}{reason}"), total, each_s });
                }
            }
        }
        all.sort_by(|a, b| b.each_s.total_cmp(&a.each_s).then(b.total.cmp(&a.total)));
        all
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
