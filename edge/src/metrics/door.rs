//! Metrics of who is let in, and of connections that go too far.

use prometheus::{IntCounter, IntCounterVec, IntGauge};
use weir_config_telemetry::{Metrics as Registry, families::edge as families};
use weir_edge_http::{Excess, Refused};

use super::gauges::{raise, signed};
use crate::node::Node;

/// Read from the gate and the servers when somebody asks.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) refused: IntCounterVec,
    retries: IntCounter,
    handshakes: IntGauge,
    pub(super) exceeded: IntCounterVec,
}

impl Door {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            refused: registry.counters(&families::CONNECTIONS_REFUSED),
            retries: registry.counter(&families::QUIC_RETRIES),
            handshakes: registry.gauge(&families::QUIC_HANDSHAKES),
            exceeded: registry.counters(&families::HTTP3_EXCESS),
        }
    }

    pub(super) fn read(&self, node: &Node) {
        for why in Refused::ALL {
            raise(&self.refused.with_label_values(&[why.as_str()]), node.gate.refused(why));
        }
        for of in Excess::ALL {
            let times = node.connections.exceeded_by(of);
            raise(&self.exceeded.with_label_values(&[of.as_str()]), times);
        }
        raise(&self.retries, node.gate.retries());
        self.handshakes.set(signed(node.gate.handshakes() as u64));
    }
}
