//! Metrics of HTTP/1.1 and HTTP/2 connections that are not read any further.

use prometheus::IntCounterVec;
use weir_config_telemetry::{Metrics as Registry, families::edge as families};
use weir_edge_http::{Fault, Flood};

use super::gauges::raise;
use crate::node::Node;

/// Read from the servers when somebody asks.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) faults: IntCounterVec,
    pub(super) floods: IntCounterVec,
}

impl Wire {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            faults: registry.counters(&families::WIRE_FAULTS),
            floods: registry.counters(&families::HTTP2_FLOODS),
        }
    }

    pub(super) fn read(&self, node: &Node) {
        for why in Fault::ALL {
            let times = node.connections.faults(why);
            raise(&self.faults.with_label_values(&[why.as_str()]), times);
        }
        for of in Flood::ALL {
            raise(&self.floods.with_label_values(&[of.as_str()]), node.connections.floods(of));
        }
    }
}
