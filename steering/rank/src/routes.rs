//! Which sites hear which prefixes: longest match over both families, for the whole network and
//! for each site's private addresses by itself.
//!
//! Built once from a sorted list and never changed; a new list makes new routes. Where a prefix
//! comes from several sources their offers stand in one order: preference, MED, then the file
//! before BGP, then names.

mod bogon;
mod build;
mod diff;
mod file;
mod table;

use std::net::IpAddr;

pub use bogon::Block;
pub use build::{ROUTES_MAX, RouteList, RoutesError, Source};
pub use diff::{Change, Confirm, Limits, Refusal, RouteDiff};
pub use file::{ERRORS_MAX, FILE_MAX, FileChecks, FileError, LineError, LineWhy};

use crate::prefix::{Prefix, bytes};
use table::Table;

/// An offer of a site to serve a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Offer {
    /// Index into [`Routes::sites`].
    pub site: u16,
    /// Index into [`Routes::sources`].
    pub source: u16,
    /// More is better.
    pub preference: u16,
    /// Less is better.
    pub med: u32,
}

/// The prefixes of both families.
#[derive(Debug, Default)]
struct Families {
    v4: Table,
    v6: Table,
}

impl Families {
    fn find(&self, address: IpAddr) -> Option<table::Leaf> {
        let table = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        table.find(&bytes(address))
    }
}

/// All prefixes.
#[derive(Debug, Default)]
pub struct Routes {
    digest: u64,
    count: usize,
    sites: Vec<String>,
    sources: Vec<Source>,
    everywhere: Families,
    /// By site, sorted by its name.
    scopes: Vec<(u16, Families)>,
    offers: Vec<Offer>,
    /// Where the offers of a target begin; one more than there are targets.
    begins: Vec<u32>,
}

/// A prefix that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a> {
    /// The longest that the address lies in.
    pub prefix: Prefix,
    /// It is of the site that the connection came in at.
    pub scoped: bool,
    /// Who hears it, the best first; never empty.
    pub offers: &'a [Offer],
}

impl Routes {
    /// The sites that are named, by [`Offer::site`].
    pub fn sites(&self) -> &[String] {
        &self.sites
    }

    /// Where routes come from, by [`Offer::source`].
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// What these routes are, as a number: equal routes have equal digests wherever they are built.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many prefixes, those of each site counted by themselves.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        let families = |families: &Families| families.v4.bytes() + families.v6.bytes();
        families(&self.everywhere)
            + self.scopes.iter().map(|(_, scope)| families(scope)).sum::<usize>()
            + self.offers.capacity() * size_of::<Offer>()
            + self.begins.capacity() * size_of::<u32>()
    }

    /// The longest prefix that `address` lies in, for a connection that came in at the site `at`.
    /// Of two of one length the site's own is meant.
    pub fn find(&self, at: Option<&str>, address: IpAddr) -> Option<Match<'_>> {
        let address = address.to_canonical();
        let everywhere = self.everywhere.find(address);
        let own = at.and_then(|at| self.scope(at)).and_then(|scope| scope.find(address));
        let scoped = match (own, everywhere) {
            (Some(own), Some(everywhere)) => own.length >= everywhere.length,
            (own, _) => own.is_some(),
        };
        let leaf = if scoped { own } else { everywhere }?;
        let target = leaf.target as usize;
        let offers = self.begins[target] as usize..self.begins[target + 1] as usize;
        let prefix = Prefix::around(address, leaf.length)?;
        Some(Match { prefix, scoped, offers: &self.offers[offers] })
    }

    fn scope(&self, at: &str) -> Option<&Families> {
        let name = |site: &u16| self.sites[usize::from(*site)].as_str();
        let found = self.scopes.binary_search_by(|(site, _)| name(site).cmp(at)).ok()?;
        Some(&self.scopes[found].1)
    }
}
