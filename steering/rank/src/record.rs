//! Decisions as they are written down, and made again from what was written: byte for byte, or
//! somebody changed something.
//!
//! A record is one line of JSON. It carries the whole request and names its snapshot; candidates
//! of the nearest sites stand in one string a site: `c1=1` first server, `c2=ok` could have
//! served, `c3=HL` passed by for health and load.

use serde::{Deserialize, Serialize};

use crate::{
    answer::{Answer, Basis, DecisionId, Near, Standing},
    prefix::Prefix,
    reason::{Miss, Reasons},
    request::{Request, TITLE_MAX, WANT_MAX},
    snapshot::{NAME_MAX, SCHEMA, SnapshotId},
    world::World,
};

/// Longest line of a log that is read, bytes.
pub const RECORD_MAX: usize = 1 << 20;

/// A decision, written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which decision.
    pub decision: DecisionId,
    /// By which snapshot.
    pub snapshot: SnapshotId,
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub answer: Told,
}

/// An answer with names in place of indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The prefix that the client lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Prefix>,
    /// The best first.
    pub servers: Vec<ToldServer>,
    /// The nearest sites with their candidates.
    pub sites: Vec<ToldSite>,
    /// See [`Answer::panic`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub panic: bool,
    /// See [`Answer::desperate`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub desperate: bool,
    /// See [`Answer::stale_map`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale_map: bool,
    /// See [`Answer::cold`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub cold: bool,
    /// See [`Answer::miss`].
    pub miss: Miss,
}

/// A server of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldServer {
    /// The node.
    pub node: String,
    /// Its site.
    pub site: String,
    /// The proximity rank of the site.
    pub near: u16,
}

/// A site near the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldSite {
    /// Its name.
    pub site: String,
    /// By what it is near.
    pub basis: Basis,
    /// Load and health were not asked there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub panic: bool,
    /// The client is of those who went on to the next site.
    #[serde(default, skip_serializing_if = "is_false")]
    pub spilled: bool,
    /// Every node with what became of it.
    pub nodes: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(it: &bool) -> bool {
    !it
}

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// More than is read.
    #[error("the line has {0} bytes, at most {RECORD_MAX} are read")]
    TooLong(usize),
    /// Not JSON, or of another form.
    #[error("it is no decision: {0}")]
    Form(#[from] serde_json::Error),
    /// Written by another version.
    #[error("its schema is {0}, this program reads {SCHEMA}")]
    Schema(u32),
    /// A request that nobody could have made.
    #[error("its request has {0} beyond its bound")]
    Request(&'static str),
}

impl Told {
    /// With the names of the fleet that ranked.
    pub fn of(world: &World, answer: &Answer) -> Self {
        let fleet = world.fleet();
        let servers = answer.servers.iter().map(|server| ToldServer {
            node: fleet.node(server.node).name.clone(),
            site: fleet.site(server.site).name.clone(),
            near: server.near,
        });
        let mut sites = Vec::with_capacity(answer.near.len());
        let mut judged = answer.judged.iter().peekable();
        for (rank, near) in (0_u16..).zip(&answer.near) {
            let mut nodes = String::new();
            while let Some(it) = judged.next_if(|it| it.near == rank) {
                if !nodes.is_empty() {
                    nodes.push(' ');
                }
                nodes.push_str(&fleet.node(it.node).name);
                nodes.push('=');
                let place = answer.servers.iter().position(|server| server.node == it.node);
                match (place, it.reasons.is_none()) {
                    (Some(place), true) => nodes.push_str(&(place + 1).to_string()),
                    // Let through by panic or because the title is cold.
                    (Some(place), false) => nodes += &format!("{}{}", place + 1, it.reasons),
                    (None, true) => nodes.push_str(word(it.standing)),
                    (None, false) => nodes += &it.reasons.to_string(),
                }
            }
            let site = fleet.site(near.site).name.clone();
            let Near { basis, panic, spilled, .. } = *near;
            sites.push(ToldSite { site, basis, panic, spilled, nodes });
        }
        Self {
            prefix: answer.prefix,
            servers: servers.collect(),
            sites,
            panic: answer.panic,
            desperate: answer.desperate,
            stale_map: answer.stale_map,
            cold: answer.cold,
            miss: answer.miss,
        }
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "ok",
        Standing::Suspect => "late",
        Standing::Silent => "silent",
        Standing::Dead => "dead",
    }
}

impl Record {
    /// Of a decision.
    pub fn of(world: &World, request: &Request, answer: &Answer) -> Self {
        Self {
            schema: SCHEMA,
            decision: answer.decision,
            snapshot: answer.snapshot,
            request: request.clone(),
            answer: Told::of(world, answer),
        }
    }

    /// As one line, without its end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are always written")
    }

    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        if line.len() > RECORD_MAX {
            return Err(RecordError::TooLong(line.len()));
        }
        let record: Self = serde_json::from_slice(line)?;
        if record.schema != SCHEMA {
            return Err(RecordError::Schema(record.schema));
        }
        let request = &record.request;
        let fits = [
            ("a title", request.title.len() <= TITLE_MAX),
            ("a rendition", request.rendition.len() <= TITLE_MAX),
            ("a service", request.service.len() <= NAME_MAX),
            ("a site", request.at.as_ref().is_none_or(|at| at.len() <= NAME_MAX)),
            ("wanted servers", request.want <= WANT_MAX),
            ("a place", request.place.is_none_or(|place| place.is_on_earth())),
        ];
        match fits.into_iter().find(|(_, fits)| !fits) {
            Some((what, _)) => Err(RecordError::Request(what)),
            None => Ok(record),
        }
    }
}

/// What came of making a decision again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// The same, byte for byte.
    Identical,
    /// Another one: what would be written now.
    Differs(String),
    /// The world at hand is of another snapshot.
    OtherSnapshot(SnapshotId),
}

/// Makes the decision of a line again. The world is the one of its snapshot.
pub fn replay(world: &World, line: &[u8]) -> Result<Replay, RecordError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let record = Record::parse(line)?;
    if record.snapshot != world.fleet().snapshot().id {
        return Ok(Replay::OtherSnapshot(record.snapshot));
    }
    let answer = crate::rank(world, &record.request);
    let again = Record::of(world, &record.request, &answer).line();
    Ok(if again.as_bytes() == line { Replay::Identical } else { Replay::Differs(again) })
}

/// The letters of a candidate in a record, without its place among the servers.
pub(crate) fn letters(reasons: Reasons, standing: Standing) -> String {
    if reasons.is_none() { word(standing).to_owned() } else { reasons.to_string() }
}
