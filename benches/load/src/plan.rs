//! What load to put on: how many connections and streams, which objects, until when.

use std::{ops::Range, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use weir_benches_content::{Content, Expected, NameError};

use crate::connection::{Ask, Protocol, Server};

/// A bounded run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whom to ask.
    pub server: Arc<Server>,
    /// How.
    pub protocol: Protocol,
    /// Connections, at least 1.
    pub connections: usize,
    /// Requests at once on each connection; HTTP/1.1 opens a connection for each.
    pub streams: usize,
    /// Paths made with [`Content::name`], asked for at random.
    pub paths: Vec<String>,
    /// Share of range requests, 0 to 1.
    pub ranges: f64,
    /// Requests in all.
    pub requests: u64,
    /// Time in all.
    pub time: Duration,
    /// Time for one exchange.
    pub deadline: Duration,
    /// Versions that may be served.
    pub versions: (u64, u64),
    /// Seeds the choice of objects and ranges.
    pub seed: u64,
    /// More fields on every request.
    pub headers: Vec<(String, String)>,
}

/// The requests of one stream, in a seeded order.
#[derive(Debug)]
pub(crate) struct Asks {
    objects: Vec<(String, Content)>,
    rng: SmallRng,
    ranges: f64,
    deadline: Duration,
    versions: (u64, u64),
    headers: Vec<(String, String)>,
}

impl Asks {
    /// Reads what the paths name.
    pub(crate) fn new(plan: &Plan, stream: u64) -> Result<Self, NameError> {
        let objects = plan.paths.iter().map(|path| Ok((path.clone(), Content::from_path(path)?)));
        Ok(Self {
            objects: objects.collect::<Result<_, NameError>>()?,
            rng: SmallRng::seed_from_u64(plan.seed.wrapping_add(stream)),
            ranges: plan.ranges,
            deadline: plan.deadline,
            versions: plan.versions,
            headers: plan.headers.clone(),
        })
    }

    pub(crate) fn next(&mut self) -> Ask {
        let (path, content) = &self.objects[self.rng.random_range(0..self.objects.len())];
        let range = (content.size > 0 && self.rng.random_bool(self.ranges)).then(|| {
            let start = self.rng.random_range(0..content.size);
            start..self.rng.random_range(start..content.size) + 1
        });
        let place: Range<u64> = range.clone().unwrap_or(0..content.size);
        let (oldest, newest) = self.versions;
        let expected = Expected::range(content, place).versions(oldest, newest);
        Ask {
            path: path.clone(),
            range,
            headers: self.headers.clone(),
            expected: Some(expected),
            deadline: self.deadline,
        }
    }
}
