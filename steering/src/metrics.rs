//! What is counted, as Prometheus reads it.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use weir_config_telemetry::{Metrics, families::steering as families};
use weir_steering_api::{Code, Kind};
use weir_steering_fleet::{Clockwork, Control, Presence};

/// The families of a control plane.
#[derive(Debug)]
pub(crate) struct Counts {
    metrics: Metrics,
    reports: IntCounter,
    refused: IntCounterVec,
    joined: IntCounter,
    renewed: IntCounter,
    events_lost: IntCounter,
    nodes: IntGaugeVec,
    clocks_wrong: IntGauge,
    behind: IntGaugeVec,
    certificate_left: IntGauge,
    database_up: IntGauge,
}

impl Counts {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let build = metrics.gauges(&families::BUILD_INFO);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            reports: metrics.counter(&families::REPORTS),
            refused: metrics.counters(&families::REFUSED),
            joined: metrics.counter(&families::JOINED),
            renewed: metrics.counter(&families::RENEWED),
            events_lost: metrics.counter(&families::EVENTS_LOST),
            nodes: metrics.gauges(&families::NODES),
            clocks_wrong: metrics.gauge(&families::CLOCKS_WRONG),
            behind: metrics.gauges(&families::BEHIND),
            certificate_left: metrics.gauge(&families::CERTIFICATE_LEFT),
            database_up: metrics.gauge(&families::DATABASE_UP),
            metrics,
        }
    }

    /// All of it, as it is now.
    pub(crate) fn encode(&self, control: &Control, database_up: bool) -> String {
        let counted = control.counted();
        catch_up(&self.reports, counted.reports.load(Relaxed));
        catch_up(&self.joined, counted.joined.load(Relaxed));
        catch_up(&self.renewed, counted.renewed.load(Relaxed));
        catch_up(&self.events_lost, counted.events_lost.load(Relaxed));
        for code in Code::ALL {
            let counter = self.refused.with_label_values(&[code.as_str()]);
            catch_up(&counter, counted.refused(code));
        }
        let nodes = control.nodes();
        let all = [Presence::Present, Presence::Late, Presence::Gone, Presence::Unheard];
        for presence in all {
            let count = nodes.iter().filter(|view| view.presence == presence).count();
            self.nodes.with_label_values(&[presence.as_str()]).set(whole(count));
        }
        let wrong = nodes.iter().filter(|view| view.clockwork == Clockwork::Wrong).count();
        self.clocks_wrong.set(whole(wrong));
        let mut behind: BTreeMap<Kind, usize> = Kind::ALL.map(|kind| (kind, 0)).into();
        for kind in nodes.iter().flat_map(|view| &view.behind) {
            *behind.entry(*kind).or_default() += 1;
        }
        for (kind, count) in behind {
            self.behind.with_label_values(&[kind.as_str()]).set(whole(count));
        }
        let now_ms = i64::try_from(control.unix_millis()).unwrap_or(i64::MAX);
        let ends = nodes.iter().filter_map(|view| view.certificate_ends_ms).min();
        let left = ends.and_then(|ends| i64::try_from(ends).ok()).map(|ends| ends - now_ms);
        self.certificate_left.set(left.unwrap_or(0) / 1_000);
        self.database_up.set(i64::from(database_up));
        self.metrics.encode()
    }
}

fn catch_up(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
