//! What would have happened: the same requests against a fleet that somebody changed.

use std::collections::BTreeMap;

use crate::{
    answer::Answer,
    fleet::Fleet,
    rank::Ranker,
    request::Request,
    snapshot::{Intent, Snapshot, SnapshotError},
    world::World,
};

/// A change to a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhatIf {
    /// A node is drained.
    Drain(String),
    /// All nodes of a site are drained.
    DrainSite(String),
    /// A node is gone at once: observers cannot reach it.
    Kill(String),
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forecast {
    /// Requests that were played.
    pub requests: u64,
    /// Those whose first server changes.
    pub moved: u64,
    /// Those that go to a site further away.
    pub further: u64,
    /// Those answered in panic, before and after.
    pub panic: (u64, u64),
    /// Those that nobody can serve any more.
    pub unserved: u64,
    /// First servers by node, before and after.
    pub nodes: BTreeMap<String, Moved>,
    /// First servers by site, before and after.
    pub sites: BTreeMap<String, Moved>,
}

/// Requests that a node or a site is first for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// As it was.
    pub before: u64,
    /// As it would be.
    pub after: u64,
}

/// Why nothing can be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhatIfError {
    /// A node that is not there.
    #[error("there is no node `{0}`")]
    NoNode(String),
    /// A site that is not there.
    #[error("there is no site `{0}`")]
    NoSite(String),
    /// The changed fleet is none.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl WhatIf {
    fn apply(&self, snapshot: &mut Snapshot) -> Result<(), WhatIfError> {
        let (name, missing) = match self {
            Self::Drain(name) | Self::Kill(name) => (name, WhatIfError::NoNode(name.clone())),
            Self::DrainSite(name) => (name, WhatIfError::NoSite(name.clone())),
        };
        let observers = snapshot.rules.observers;
        let mut missing = Some(missing);
        for node in &mut snapshot.nodes {
            let meant = match self {
                Self::Drain(_) | Self::Kill(_) => node.name == *name,
                Self::DrainSite(_) => node.site == *name,
            };
            if !meant {
                continue;
            }
            missing = None;
            if let Self::Kill(_) = self {
                for side in [&mut node.v4, &mut node.v6].into_iter().flatten() {
                    side.failed_observers = observers;
                }
            } else {
                node.intent = Intent::Draining;
            }
        }
        missing.map_or(Ok(()), Err)
    }
}

/// Plays requests against a world as it is and as it would be.
pub fn simulate<'a>(
    world: &World,
    changes: &[WhatIf],
    requests: impl IntoIterator<Item = &'a Request>,
) -> Result<Forecast, WhatIfError> {
    let mut snapshot = world.fleet().snapshot().clone();
    changes.iter().try_for_each(|change| change.apply(&mut snapshot))?;
    let changed = World::new(snapshot, world.routes().clone())?;
    let mut forecast = Forecast::default();
    let (mut ranker, mut before, mut after) =
        (Ranker::default(), Answer::default(), Answer::default());
    for request in requests {
        ranker.rank(world, request, &mut before);
        ranker.rank(&changed, request, &mut after);
        forecast.note(world.fleet(), &before, &after);
    }
    Ok(forecast)
}

impl Forecast {
    /// Sites and nodes of both fleets are the same ones, so that indexes are too.
    fn note(&mut self, fleet: &Fleet, before: &Answer, after: &Answer) {
        self.requests += 1;
        self.panic.0 += u64::from(before.panic);
        self.panic.1 += u64::from(after.panic);
        let (was, is) = (before.servers.first(), after.servers.first());
        self.unserved += u64::from(is.is_none() && was.is_some());
        if let (Some(was), Some(is)) = (was, is) {
            self.moved += u64::from(was.node != is.node);
            self.further += u64::from(is.near > was.near);
        }
        if let Some(was) = was {
            let node = &fleet.node(was.node).name;
            self.nodes.entry(node.clone()).or_default().before += 1;
            self.sites.entry(fleet.site(was.site).name.clone()).or_default().before += 1;
        }
        if let Some(is) = is {
            let node = &fleet.node(is.node).name;
            self.nodes.entry(node.clone()).or_default().after += 1;
            self.sites.entry(fleet.site(is.site).name.clone()).or_default().after += 1;
        }
    }
}
