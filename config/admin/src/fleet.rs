//! What a control plane says of its fleet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The fleet at one glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetStatus {
    /// `sqlite` or `postgres`.
    pub store: String,
    /// SHA-256 of the authority's certificate, in hexadecimal: what `weir-edge join` is told.
    pub ca_sha256: String,
    /// Nodes, by whether they are heard of: `present`, `late`, `gone`, `unheard`.
    pub presence: BTreeMap<String, u64>,
    /// The newest message of each kind that nodes are told.
    pub messages: BTreeMap<String, u64>,
    /// Reports that were believed, since the start.
    pub reports: u64,
    /// What was refused since the start, by code.
    pub refused: BTreeMap<String, u64>,
}

/// All nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetNodes {
    /// By name.
    pub nodes: Vec<FleetNode>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetNode {
    /// Its name.
    pub node: String,
    /// Its site.
    pub site: String,
    /// What is wanted of it: `serving`, `draining`, `maintenance`, `disabled`.
    pub wanted: String,
    /// Unix time until which, where that ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// What operators say of it.
    pub labels: BTreeMap<String, String>,
    /// `present`, `late`, `gone`, `unheard`.
    pub presence: String,
    /// Unix time at which it was heard of last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
    /// Unix time at which it joined last.
    pub joined_ms: u64,
    /// `right`, `off`, `wrong`.
    pub clock: String,
    /// How far its clock is ahead.
    pub clock_off_ms: i64,
    /// Whether it comes and goes.
    pub flaps: bool,
    /// Unix time at which its certificate ends; none where it has none that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_ends_ms: Option<u64>,
    /// Kinds of messages that it has not put into effect.
    pub behind: Vec<String>,
    /// Its last report as it came; none where it never sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<serde_json::Value>,
}

/// What to do with a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum NodeOrder {
    /// Wants it to serve, drain, be maintained, or not be used.
    Want {
        /// A word as [`FleetNode::wanted`] has it.
        state: String,
        /// Unix time at which maintenance ends by itself.
        #[serde(default)]
        until_ms: Option<u64>,
    },
    /// Sets labels, or takes those away that have no text.
    Label {
        /// By name.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Takes its certificates back.
    Revoke {},
    /// Forgets it.
    Forget {},
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDone {
    /// The node as it is then; none where it is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<FleetNode>,
    /// Certificates that were taken back.
    pub revoked: u64,
}

/// What happened to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHistory {
    /// The newest first.
    pub events: Vec<NodeEvent>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// Unix time.
    pub at_ms: u64,
    /// What, in one word.
    pub kind: String,
    /// And in a sentence.
    pub detail: String,
}

/// A join token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenOrder {
    /// The one site that it lets into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The one node that it is for, which may be there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How long it can be used.
    pub ttl_s: u64,
    /// How often.
    pub uses: u32,
}

/// A join token that was made. It is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// The secret.
    pub token: String,
    /// What is known of it from now on.
    pub known: TokenKnown,
    /// What `weir-edge join --ca-sha256` takes.
    pub ca_sha256: String,
    /// Where the control plane is reached.
    pub urls: Vec<String>,
}

/// All join tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// The newest first.
    pub tokens: Vec<TokenKnown>,
}

/// What is kept of a join token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKnown {
    /// What it is called.
    pub id: String,
    /// The one site that it lets into; empty: any.
    pub site: String,
    /// The one node that it is for; empty: any.
    pub node: String,
    /// How often it may be used.
    pub uses: u64,
    /// And how often still.
    pub uses_left: u64,
    /// Unix time at which its time is over.
    pub expires_ms: u64,
    /// Unix time at which it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
}

/// A join token to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRevoke {
    /// What it is called.
    pub id: String,
}

/// How a node stands with its control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Of the control plane.
    pub url: String,
    /// What it said last: `nothing yet`, `heard`, `refused: CODE`, `unreached`; `no member` where
    /// the node has not joined.
    pub told: String,
    /// Why, where that is no good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Seconds since it answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_s: Option<u64>,
    /// What it wants of the node.
    pub wanted: String,
    /// Reports that it took, since the start.
    pub reports: u64,
    /// Reports that it refused.
    pub refused: u64,
    /// Reports that it did not answer.
    pub unanswered: u64,
    /// Messages of it that were not believed.
    pub doubted: u64,
    /// How far this host's clock is ahead of its, where that is worth telling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_off_ms: Option<i64>,
    /// When the node's certificate ends, Unix seconds.
    pub certificate_ends_s: u64,
    /// The newest message of each kind that is in effect.
    pub applied: BTreeMap<String, u64>,
}
