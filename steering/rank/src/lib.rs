//! Which servers for a client, in which order and why: a pure function of a snapshot and a request.
//!
//! No I/O, no clock, no randomness: `rank(world, request)` answers the same for ever, so that a
//! decision can be explained, made again from its log, and played with other fleets. Taking reports
//! in, keeping snapshots and answering players is left to others.

mod answer;
mod explain;
mod fleet;
mod holdings;
mod place;
mod prefix;
mod rank;
mod reason;
mod record;
mod request;
mod rotation;
mod routes;
mod simulate;
mod snapshot;
#[cfg(test)]
mod testing;
mod world;

pub use answer::{Answer, Basis, DecisionId, Judged, Near, Server, Standing, TOLD_SITES};
pub use explain::explain;
pub use fleet::Fleet;
pub use holdings::{ContentKey, DELTAS_MAX, FILTER_MAX, Holdings};
pub use place::{Country, Place};
pub use prefix::{Prefix, PrefixError};
pub use rank::{Ranker, rank};
pub use reason::{Miss, Reasons};
pub use record::{RECORD_MAX, Record, RecordError, Replay, Told, ToldServer, ToldSite, replay};
pub use request::{Family, Request, TITLE_MAX, WANT_MAX};
pub use rotation::{Cause, Rotation, Sample};
pub use routes::{
    Block, Change, Confirm, ERRORS_MAX, FILE_MAX, FileChecks, FileError, Limits, LineError,
    LineWhy, Match, Offer, ROUTES_MAX, Refusal, RouteDiff, RouteList, Routes, RoutesError, Source,
};
pub use simulate::{Forecast, Moved, WhatIf, WhatIfError, simulate};
pub use snapshot::{
    AsnRule, CountryRule, FAULTS_MAX, Health, Hot, Intent, NAME_MAX, NODES_MAX, Node, ORDER_MAX,
    RULES_MAX, Rules, SCHEMA, SHARE, SITES_MAX, Side, Site, Snapshot, SnapshotError, SnapshotId,
};
pub use world::World;
