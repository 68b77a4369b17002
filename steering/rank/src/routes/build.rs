//! Routes from a list of offers.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{
    Families, Offer, Routes,
    table::{TARGETS_MAX, Table},
};
use crate::prefix::Prefix;

/// Most offers of one list.
pub const ROUTES_MAX: usize = 4_000_000;
/// Most names of sites, and of sources.
const NAMES_MAX: usize = u16::MAX as usize;

/// Where a route comes from. The order is the last tie-break: the file before BGP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// An operator's file, by its name.
    File(String),
    /// A BGP session, by its name.
    Bgp(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => write!(f, "file {name}"),
            Self::Bgp(name) => write!(f, "BGP session {name}"),
        }
    }
}

/// An offer on its way in; its names are those of a [`RouteList`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: Prefix,
    /// The site whose clients alone are meant, by name; for all where there is none.
    pub(super) at: Option<u16>,
    pub(super) offer: Offer,
}

/// Why there are no routes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutesError {
    /// Longer than anything real.
    #[error("more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        most: usize,
    },
    /// The default route is a default order.
    #[error("{0} covers everything: name the sites in the default order instead")]
    Everything(Prefix),
}

/// Offers, with every name once.
#[derive(Debug, Clone, Default)]
pub struct RouteList {
    sites: Vec<String>,
    sources: Vec<Source>,
    site_ids: HashMap<String, u16>,
    source_ids: HashMap<Source, u16>,
    routes: Vec<Route>,
}

impl RouteList {
    /// Adds an offer of `site` for `prefix`; for the clients that came in at `at` only, where one
    /// is named.
    pub fn push(
        &mut self,
        prefix: Prefix,
        at: Option<&str>,
        site: &str,
        source: &Source,
        (preference, med): (u16, u32),
    ) -> Result<(), RoutesError> {
        if prefix.length() == 0 {
            return Err(RoutesError::Everything(prefix));
        }
        if self.routes.len() >= ROUTES_MAX {
            return Err(RoutesError::TooMany { what: "routes", most: ROUTES_MAX });
        }
        let at = at.map(|at| self.site(at)).transpose()?;
        let site = self.site(site)?;
        let source = match self.source_ids.get(source) {
            Some(id) => *id,
            None => {
                let id = id(self.sources.len(), "sources")?;
                self.sources.push(source.clone());
                self.source_ids.insert(source.clone(), id);
                id
            }
        };
        self.routes.push(Route { prefix, at, offer: Offer { site, source, preference, med } });
        Ok(())
    }

    fn site(&mut self, name: &str) -> Result<u16, RoutesError> {
        if let Some(id) = self.site_ids.get(name) {
            return Ok(*id);
        }
        let id = id(self.sites.len(), "sites")?;
        self.sites.push(name.to_owned());
        self.site_ids.insert(name.to_owned(), id);
        Ok(id)
    }

    /// How many offers.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Adds all of another list: a file beside BGP sessions.
    pub fn append(&mut self, other: &Self) -> Result<(), RoutesError> {
        for route in &other.routes {
            let Offer { site, source, preference, med } = route.offer;
            let at = route.at.map(|at| other.sites[usize::from(at)].as_str());
            let site = &other.sites[usize::from(site)];
            let source = &other.sources[usize::from(source)];
            self.push(route.prefix, at, site, source, (preference, med))?;
        }
        Ok(())
    }

    pub(super) fn at(&self, route: &Route) -> Option<&str> {
        route.at.map(|at| self.sites[usize::from(at)].as_str())
    }

    pub(super) fn site_of(&self, route: &Route) -> &str {
        &self.sites[usize::from(route.offer.site)]
    }

    fn source_of(&self, route: &Route) -> &Source {
        &self.sources[usize::from(route.offer.source)]
    }

    /// All offers: by scope and prefix, and of one prefix the best first.
    pub(super) fn sorted(&self) -> Vec<Route> {
        let mut routes = self.routes.clone();
        routes.sort_unstable_by(|a, b| {
            (self.at(a), a.prefix)
                .cmp(&(self.at(b), b.prefix))
                .then(b.offer.preference.cmp(&a.offer.preference))
                .then(a.offer.med.cmp(&b.offer.med))
                .then_with(|| self.source_of(a).cmp(self.source_of(b)))
                .then_with(|| self.site_of(a).cmp(self.site_of(b)))
        });
        routes.dedup();
        routes
    }

    /// Builds the tables. The order in which offers were added says nothing.
    pub fn build(&self) -> Result<Routes, RoutesError> {
        let sorted = self.sorted();
        let mut targets = Targets::default();
        let mut scopes: BTreeMap<Option<&str>, Vec<(Prefix, u32)>> = BTreeMap::new();
        let mut digest = Xxh3::new();
        let mut count = 0;
        for group in sorted.chunk_by(|a, b| (a.at, a.prefix) == (b.at, b.prefix)) {
            let at = self.at(&group[0]);
            let prefix = group[0].prefix;
            digest.update(at.unwrap_or("").as_bytes());
            digest.update(&[0xff, prefix.length(), u8::from(prefix.is_ipv4())]);
            digest.update(&prefix.bytes());
            for route in group {
                let Offer { preference, med, .. } = route.offer;
                digest.update(self.site_of(route).as_bytes());
                digest.update(&[0xff]);
                digest.update(self.source_of(route).to_string().as_bytes());
                digest.update(&preference.to_le_bytes());
                digest.update(&med.to_le_bytes());
            }
            let target = targets.of(group)?;
            scopes.entry(at).or_default().push((prefix, target));
            count += 1;
        }
        let families = |prefixes: &[(Prefix, u32)]| {
            let six = prefixes.partition_point(|(prefix, _)| prefix.is_ipv4());
            Families { v4: Table::of(&prefixes[..six]), v6: Table::of(&prefixes[six..]) }
        };
        let everywhere = scopes.remove(&None).map_or_else(Families::default, |all| families(&all));
        let scopes = scopes.into_iter().filter_map(|(at, prefixes)| {
            let site = self.site_ids.get(at?)?;
            Some((*site, families(&prefixes)))
        });
        Ok(Routes {
            // As that of no routes at all.
            digest: if count == 0 { 0 } else { digest.digest() },
            count,
            everywhere,
            scopes: scopes.collect(),
            sites: self.sites.clone(),
            sources: self.sources.clone(),
            offers: targets.offers,
            begins: targets.begins,
        })
    }
}

fn id(count: usize, what: &'static str) -> Result<u16, RoutesError> {
    let most = NAMES_MAX;
    if count >= most {
        return Err(RoutesError::TooMany { what, most });
    }
    u16::try_from(count).map_err(|_| RoutesError::TooMany { what, most })
}

/// Lists of offers, each once: a million prefixes share a few hundred.
#[derive(Debug)]
struct Targets {
    known: HashMap<Vec<Offer>, u32>,
    offers: Vec<Offer>,
    begins: Vec<u32>,
}

impl Default for Targets {
    fn default() -> Self {
        Self { known: HashMap::new(), offers: Vec::new(), begins: vec![0] }
    }
}

impl Targets {
    fn of(&mut self, group: &[Route]) -> Result<u32, RoutesError> {
        let offers: Vec<Offer> = group.iter().map(|route| route.offer).collect();
        if let Some(target) = self.known.get(&offers) {
            return Ok(*target);
        }
        let target = self.begins.len() - 1;
        if target >= TARGETS_MAX {
            return Err(RoutesError::TooMany { what: "sets of offers", most: TARGETS_MAX });
        }
        let target = u32::try_from(target).expect("no more than TARGETS_MAX");
        self.offers.extend_from_slice(&offers);
        self.begins.push(u32::try_from(self.offers.len()).expect("no more than ROUTES_MAX"));
        self.known.insert(offers, target);
        Ok(target)
    }
}
