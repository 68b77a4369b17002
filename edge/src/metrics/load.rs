//! Metrics of what the node has to do, what it refuses, and what clients have used up.

use std::sync::atomic::Ordering::Relaxed;

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge};
use weir_config_telemetry::{Metrics as Registry, families::edge as families};

use super::gauges::{raise, signed};
use crate::{load::Shed, node::Node};

/// Read from their owners when somebody asks.
#[derive(Debug)]
pub(super) struct Load {
    grade: IntGauge,
    strain: GaugeVec,
    health: Gauge,
    exact: IntCounter,
    spent: IntGauge,
}

impl Load {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            grade: registry.gauge(&families::OVERLOAD_GRADE),
            strain: registry.ratios(&families::LOAD),
            health: registry.ratio(&families::HEALTH),
            exact: registry.counter(&families::RANGES_PASSED),
            spent: registry.gauge(&families::CLIENTS_SPENT),
        }
    }

    pub(super) fn read(&self, node: &Node, shed: &IntCounterVec, fills: &IntCounterVec) {
        self.grade.set(node.load.grade() as i64);
        for (input, strain) in node.load.pressure().strains() {
            self.strain.with_label_values(&[input.as_str()]).set(strain);
        }
        self.health.set(node.load.health());
        for why in Shed::ALL {
            raise(&shed.with_label_values(&[why.as_str()]), node.load.refused(why));
        }
        let counters = node.engine.counters();
        raise(&self.exact, counters.exact.load(Relaxed));
        raise(&fills.with_label_values(&["stopped"]), counters.stopped.load(Relaxed));
        let (spent, _) = node.engine.accounts().spent();
        self.spent.set(signed(spent as u64));
    }
}
