//! The state of a fleet at one moment, as ranking sees it: what is configured (the map) and what
//! was reported (the health), each with a version of its own.
//!
//! Whole numbers only, so that what was written is read back bit for bit and a decision can be
//! made again. Prefixes are kept apart ([`crate::Routes`]): a million of them change seldom.

mod check;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use check::SnapshotError;
pub(crate) use check::is_name;

use crate::{holdings::Holdings, place::Country, place::Place, rotation::Rotation};

/// The shape of [`Snapshot`]; a reader refuses others.
pub const SCHEMA: u32 = 1;
/// What shares are counted in.
pub const SHARE: u16 = 10_000;
/// Most sites of a fleet.
pub const SITES_MAX: usize = 5_000;
/// Most nodes of a fleet.
pub const NODES_MAX: usize = 50_000;
/// Longest name of a site, node, domain or service, bytes.
pub const NAME_MAX: usize = 64;
/// Most sites in one list of an order.
pub const ORDER_MAX: usize = 64;
/// Most rules for networks (ASN), for countries, and most hot titles.
pub const RULES_MAX: usize = 100_000;
/// Most faults that a node names.
pub const FAULTS_MAX: usize = 16;

/// Which snapshot: `map v118, health v90233`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotId {
    /// Counts what is configured, the prefixes included.
    pub map: u64,
    /// Counts what was reported.
    pub health: u64,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "map v{}, health v{}", self.map, self.health)
    }
}

/// A fleet at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which one.
    pub id: SnapshotId,
    /// When it was made, Unix milliseconds.
    pub at_ms: u64,
    /// [`crate::Routes::digest`] of the prefixes that belong to the map.
    pub routes: u64,
    /// What every node has to have purged up to.
    #[serde(default)]
    pub purge_epoch: u64,
    /// Thresholds and times.
    #[serde(default)]
    pub rules: Rules,
    /// Where nodes stand, in any order.
    pub sites: Vec<Site>,
    /// The nodes, in any order.
    pub nodes: Vec<Node>,
    /// Sites for clients of whom nothing is known, the best first; then all others by name.
    #[serde(default)]
    pub default_order: Vec<String>,
    /// Sites for networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asns: Vec<AsnRule>,
    /// Sites for countries, where no better is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<CountryRule>,
    /// Titles that stand on more than one node of a site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hot: Vec<Hot>,
}

/// Thresholds and times of ranking; the defaults are those of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Spare share below which a node's weight goes down smoothly.
    pub knee: u16,
    /// Spare share below which a node leaves, after so many samples.
    pub leave_below: u16,
    /// See `leave_below`.
    pub leave_samples: u8,
    /// Spare share above which a node comes back, after so many samples and so long.
    pub return_above: u16,
    /// See `return_above`.
    pub return_samples: u8,
    /// See `return_above`.
    pub return_after_ms: u64,
    /// How long a node that came back takes to its full weight.
    pub ramp_ms: u64,
    /// A node that leaves again so soon after it came back has relapsed.
    pub relapse_within_ms: u64,
    /// How long one that has relapsed has to be good; twice as long for each further one.
    pub relapse_dwell_ms: u64,
    /// And at most so long.
    pub dwell_max_ms: u64,
    /// Relapses are forgotten after so long in rotation.
    pub forget_after_ms: u64,
    /// A node that has not reported for so long is ranked last.
    pub suspect_after_ms: u64,
    /// A node that has not reported for so long is never ranked first.
    pub silent_after_ms: u64,
    /// Observers whose probes failed, from which on a node is out.
    pub observers: u8,
    /// A snapshot of such an age is stale: silence says nothing of the nodes then.
    pub stale_after_ms: u64,
    /// Where less than this share of a site's capacity is left, and of that of the sites around
    /// it, load and health are not asked there.
    pub panic_below: u16,
    /// A site that has less than all of its weight left keeps so much of its clients for each
    /// share that is left; the others go to the next one. More than [`SHARE`], since a site is
    /// built for more than it carries.
    pub overprovision: u16,
    /// Holding a title beats being near among so many sites; where none of them holds it, the
    /// nearest fetches it.
    pub content_reach: u8,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            knee: 3000,
            leave_below: 500,
            leave_samples: 2,
            return_above: 2000,
            return_samples: 3,
            return_after_ms: 15_000,
            ramp_ms: 30_000,
            relapse_within_ms: 120_000,
            relapse_dwell_ms: 60_000,
            dwell_max_ms: 300_000,
            forget_after_ms: 600_000,
            suspect_after_ms: 3_500,
            silent_after_ms: 5_000,
            observers: 2,
            stale_after_ms: 10_000,
            panic_below: 5000,
            overprovision: 14_000,
            content_reach: 3,
        }
    }
}

/// Where nodes stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name, unlike all others'.
    pub name: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The country it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Serves those only whose prefix is announced to it: an appliance inside a network.
    #[serde(default)]
    pub announced_only: bool,
    /// Stands behind all others in every answer: a shield or an origin that can serve players.
    #[serde(default)]
    pub last_resort: bool,
    /// Services it serves; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Countries of the clients it serves; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
}

impl Site {
    /// A site that serves everybody.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            place: None,
            country: None,
            announced_only: false,
            last_resort: false,
            services: Vec::new(),
            countries: Vec::new(),
        }
    }
}

/// An appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name, unlike all others'; also the id of its pathway.
    pub name: String,
    /// The site's name.
    pub site: String,
    /// What it fails together with (a rack, a feed); its own name where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Where players find it: scheme, host and port, without a slash at the end.
    pub base: String,
    /// What it may serve.
    pub capacity_mbps: u32,
    /// Its IPv4 side; none where it has no such address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v4: Option<Side>,
    /// Its IPv6 side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<Side>,
    /// What the operator wants of it.
    #[serde(default)]
    pub intent: Intent,
    /// What it reported.
    pub health: Health,
}

/// One address family of a node, judged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// Observers (other nodes of the site, else steering replicas) whose last probe failed.
    #[serde(default)]
    pub failed_observers: u8,
}

/// What an operator wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// It serves.
    #[default]
    Serving,
    /// It finishes and takes no more.
    Draining,
    /// It is out for a while.
    Maintenance,
    /// It is not in use.
    Disabled,
}

/// What a node reported, and what was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// When the newest report was taken in, Unix milliseconds; 0 means never.
    pub reported_at_ms: u64,
    /// Spare share of its tightest resource in that report, of [`SHARE`].
    pub spare: u16,
    /// What is wrong with it, one word each; shown, not judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The hysteresis over its reports.
    pub rotation: Rotation,
    /// What it has purged up to.
    #[serde(default)]
    pub purge_epoch: u64,
    /// What it holds; none means that it does not say, and is taken to hold what is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdings: Option<Holdings>,
    /// Clients' reports keep it away until then, Unix milliseconds.
    #[serde(default)]
    pub shunned_until_ms: u64,
}

/// Sites for the clients of a network, the best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsnRule {
    /// The network.
    pub asn: u32,
    /// Sites by name.
    pub sites: Vec<String>,
}

/// Sites for the clients of a country, the best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountryRule {
    /// The country.
    pub country: Country,
    /// Sites by name.
    pub sites: Vec<String>,
}

/// A title that stands on several nodes of each site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hot {
    /// The title.
    pub title: String,
    /// On so many nodes.
    pub copies: u8,
}
