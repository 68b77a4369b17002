//! The fleet as operators see it.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use weir_config_admin::{FleetNode, FleetNodes, FleetStatus, NodeEvent, NodeHistory};
use weir_steering_api::Code;
use weir_steering_fleet::{Clockwork, Control, NodeView};
use weir_steering_store::Event;

use super::Desk;
use crate::authority::sha256;

pub(super) fn fleet(desk: &Desk) -> FleetStatus {
    let control = &desk.control;
    let mut presence = BTreeMap::new();
    for view in control.nodes() {
        *presence.entry(view.presence.as_str().to_owned()).or_insert(0) += 1;
    }
    let messages = control.numbers().into_iter();
    let refused = Code::ALL.into_iter().map(|code| (code, control.counted().refused(code)));
    FleetStatus {
        store: control.store().kind().to_owned(),
        ca_sha256: sha256(control.signer().authority()).unwrap_or_default(),
        presence,
        messages: messages.map(|(kind, number)| (kind.as_str().to_owned(), number)).collect(),
        reports: control.counted().reports.load(Relaxed),
        refused: refused
            .filter(|(_, count)| *count > 0)
            .map(|(code, count)| (code.as_str().to_owned(), count))
            .collect(),
    }
}

pub(super) fn nodes(control: &Control) -> FleetNodes {
    FleetNodes { nodes: control.nodes().iter().map(node).collect() }
}

pub(super) fn node(view: &NodeView) -> FleetNode {
    let clock = match view.clockwork {
        Clockwork::Right => "right",
        Clockwork::Off => "off",
        Clockwork::Wrong => "wrong",
    };
    FleetNode {
        node: view.node.clone(),
        site: view.site.clone(),
        wanted: view.wanted.as_str().to_owned(),
        until_ms: view.until_ms,
        labels: view.labels.clone(),
        presence: view.presence.as_str().to_owned(),
        heard_ms: view.heard_ms,
        joined_ms: view.joined_ms,
        clock: clock.to_owned(),
        clock_off_ms: view.clock_off_ms,
        flaps: view.flaps,
        certificate_ends_ms: view.certificate_ends_ms,
        behind: view.behind.iter().map(|kind| kind.as_str().to_owned()).collect(),
        report: view
            .report
            .as_ref()
            .map(|report| serde_json::to_value(report).expect("numbers and texts are JSON")),
    }
}

pub(super) fn history(events: &[Event]) -> NodeHistory {
    let event = |event: &Event| NodeEvent {
        at_ms: u64::try_from(event.at_us / 1_000).unwrap_or(0),
        kind: event.kind.clone(),
        detail: event.detail.clone(),
    };
    NodeHistory { events: events.iter().map(event).collect() }
}
