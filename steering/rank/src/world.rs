//! A fleet and the prefixes that belong to it: what a request is ranked by.

use std::sync::Arc;

use crate::{
    fleet::Fleet,
    routes::Routes,
    snapshot::{Snapshot, SnapshotError},
};

/// Everything but the request.
#[derive(Debug, Clone)]
pub struct World {
    fleet: Fleet,
    routes: Arc<Routes>,
    /// The fleet's site of each name in the routes; a site that is gone offers nothing.
    offered: Vec<Option<u16>>,
}

impl World {
    /// Refuses a snapshot that is not sound, and one that was made with other prefixes: what it
    /// says could not be made again.
    pub fn new(snapshot: Snapshot, routes: Arc<Routes>) -> Result<Self, SnapshotError> {
        if snapshot.routes != routes.digest() {
            let (wanted, found) = (snapshot.routes, routes.digest());
            return Err(SnapshotError::Routes { wanted, found });
        }
        let fleet = Fleet::new(snapshot)?;
        let offered = routes.sites().iter().map(|name| fleet.find_site(name)).collect();
        Ok(Self { fleet, routes, offered })
    }

    /// The fleet.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The prefixes.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The fleet's site of an offer.
    pub fn offered(&self, site: u16) -> Option<u16> {
        self.offered[usize::from(site)]
    }
}
