//! A node as operators and steering see it.

use std::collections::BTreeMap;

use weir_steering_api::{Desired, Kind, Report};

use super::{Control, Known, State, millis};
use crate::member::{Clockwork, Moment, Presence};

/// Everything that is known of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// Its name.
    pub node: String,
    /// Its site.
    pub site: String,
    /// What is wanted of it.
    pub wanted: Desired,
    /// Unix time until which, where that ends.
    pub until_ms: Option<u64>,
    /// What operators say of it.
    pub labels: BTreeMap<String, String>,
    /// Unix time at which it joined last.
    pub joined_ms: u64,
    /// Whether it is heard of.
    pub presence: Presence,
    /// Unix time at which it was heard of last.
    pub heard_ms: Option<u64>,
    /// How its clock goes.
    pub clockwork: Clockwork,
    /// How far its clock is ahead.
    pub clock_off_ms: i64,
    /// Whether it comes and goes.
    pub flaps: bool,
    /// Unix time at which its certificate ends; none where it has none that counts.
    pub certificate_ends_ms: Option<u64>,
    /// Messages that it has not put into effect.
    pub behind: Vec<Kind>,
    /// Which of its reports was the last.
    pub sequence: Option<u64>,
    /// What it said then.
    pub report: Option<Report>,
}

impl NodeView {
    pub(super) fn of(known: &Known, state: &State, now: Moment) -> Self {
        let Known { node, member, intent, .. } = known;
        let report = member.report().cloned();
        let told = state.messages.values().chain(intent);
        let behind = told.filter(|message| {
            let applied = report.as_ref().and_then(|said| said.applied.0.get(&message.kind));
            applied.is_some_and(|has| *has < message.number)
        });
        Self {
            node: node.name.clone(),
            site: node.site.clone(),
            wanted: known.wanted(),
            until_ms: node.until_us.map(millis),
            // What was written here is what was checked before.
            labels: serde_json::from_str(&node.labels).unwrap_or_default(),
            joined_ms: millis(node.joined_us),
            presence: member.presence(now.steady),
            heard_ms: Some(member.heard_ms()).filter(|ms| *ms > 0),
            clockwork: member.clockwork(),
            clock_off_ms: member.clock_off_ms(),
            flaps: member.flaps(now.steady),
            certificate_ends_ms: Control::certificate_ends_ms(&state.certificates, &node.name),
            behind: behind.map(|message| message.kind).collect(),
            sequence: member.position().map(|(_, sequence)| sequence),
            report,
        }
    }
}
