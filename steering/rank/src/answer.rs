//! What came of a request: servers in their order, and what became of every candidate of the
//! nearest sites.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    prefix::Prefix,
    reason::{Miss, Reasons},
    snapshot::SnapshotId,
};

/// Sites whose candidates are told of.
pub const TOLD_SITES: usize = 10;

/// Names a decision: the same of the same request and snapshot, everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DecisionId(pub u64);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for DecisionId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DecisionId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        id.map(Self).ok_or_else(|| D::Error::custom("a decision is 16 hexadecimal digits"))
    }
}

/// By what a site is near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// It hears the client's prefix.
    Prefix,
    /// It is named for the client's network.
    Asn,
    /// It is near the client's place.
    Geo,
    /// It is named for the client's country, or in it.
    Country,
    /// It is near a site that is near.
    Neighbour,
    /// Nothing is known of the client.
    Default,
    /// It stands behind all others.
    LastResort,
}

impl Basis {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Asn => "asn",
            Self::Geo => "geo",
            Self::Country => "country",
            Self::Neighbour => "neighbour",
            Self::Default => "default",
            Self::LastResort => "last resort",
        }
    }
}

/// A site in the order of nearness, which knows nothing of its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// Index of the site.
    pub site: u16,
    /// By what it stands there.
    pub basis: Basis,
    /// Too little of its capacity is left, and around it, so that load and health are not asked.
    pub panic: bool,
    /// A part of its capacity is gone, and this client is of the part that goes to the next site.
    pub spilled: bool,
}

/// How much is known of a node lately. A later one never stands before an earlier one of its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It reports.
    Good,
    /// Three reports are missing.
    Suspect,
    /// Silent for so long that it is never ranked first.
    Silent,
    /// Observers cannot reach it, or nobody ever heard of it. Offered in panic only.
    Dead,
}

/// A candidate of the nearest sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Index of the node.
    pub node: u32,
    /// The proximity rank of its site.
    pub near: u16,
    /// Why it was passed by; what panic or a cold title let through is among them.
    pub reasons: Reasons,
    /// What is known of it lately.
    pub standing: Standing,
    /// The share of its weight that it gets.
    pub share: u16,
}

/// A server of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Index of the node.
    pub node: u32,
    /// Index of its site.
    pub site: u16,
    /// The proximity rank of its site; bytes served at more than 0 are misses.
    pub near: u16,
    /// By what its site is near.
    pub basis: Basis,
    /// What is known of it lately.
    pub standing: Standing,
}

/// Servers in their order, and why. Indexes are those of the fleet that ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which decision this is.
    pub decision: DecisionId,
    /// By which snapshot.
    pub snapshot: SnapshotId,
    /// The prefix that the client lies in.
    pub prefix: Option<Prefix>,
    /// The best first. Empty only where no node may serve the client at all.
    pub servers: Vec<Server>,
    /// The nearest sites, [`TOLD_SITES`] at most.
    pub near: Vec<Near>,
    /// Every candidate of these.
    pub judged: Vec<Judged>,
    /// Load and health were not asked somewhere, since too little was left.
    pub panic: bool,
    /// Not even the operator's drains were asked: nothing else was left.
    pub desperate: bool,
    /// The snapshot is old: silence says nothing.
    pub stale_map: bool,
    /// None of the near sites holds the title; the nearest fetches it.
    pub cold: bool,
    /// Why the first server is not of the nearest site.
    pub miss: Miss,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            decision: DecisionId(0),
            snapshot: SnapshotId { map: 0, health: 0 },
            prefix: None,
            servers: Vec::new(),
            near: Vec::new(),
            judged: Vec::new(),
            panic: false,
            desperate: false,
            stale_map: false,
            cold: false,
            miss: Miss::None,
        }
    }
}

impl Answer {
    /// Forgets everything but the room it has.
    pub(crate) fn clear(&mut self) {
        self.servers.clear();
        self.near.clear();
        self.judged.clear();
        *self = Self {
            servers: std::mem::take(&mut self.servers),
            near: std::mem::take(&mut self.near),
            judged: std::mem::take(&mut self.judged),
            ..Self::default()
        };
    }

    /// Whether something near is in trouble, so that players shall ask again soon.
    pub fn is_under_stress(&self) -> bool {
        let trouble = Reasons::HEALTH.and(Reasons::LOAD).and(Reasons::DRAINING);
        let nearest = self.judged.iter().take_while(|judged| judged.near == 0);
        self.panic || self.stale_map || nearest.into_iter().any(|it| it.reasons.has(trouble))
    }
}
