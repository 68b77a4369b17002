//! The order of sites for a client, by nearness alone: longest prefix, network, place or country,
//! default. What state they are in is not looked at.

use std::mem;

use crate::{
    answer::{Answer, Basis, Near},
    place::Point,
    request::Request,
    world::World,
};

/// Sites in their order, as far as it was asked for.
#[derive(Debug, Default)]
pub(super) struct Order {
    sites: Vec<Near>,
    /// Which are in it, a bit each.
    seen: Vec<u64>,
    /// The nearest of those that are left, while they are sorted.
    best: Vec<(i32, u16)>,
}

impl Order {
    /// The sites so far.
    pub(super) fn sites(&self) -> &[Near] {
        &self.sites
    }

    /// Begins with those that hear the client's prefix.
    pub(super) fn begin(&mut self, world: &World, request: &Request, answer: &mut Answer) {
        self.sites.clear();
        self.seen.clear();
        self.seen.resize(world.fleet().sites.len().div_ceil(64), 0);
        if let Some(found) = world.routes().find(request.at.as_deref(), request.client) {
            answer.prefix = Some(found.prefix);
            for site in found.offers.iter().filter_map(|offer| world.offered(offer.site)) {
                self.add(world, site, Basis::Prefix);
            }
        }
    }

    /// Goes on until there are `wanted` sites, or all.
    pub(super) fn extend(&mut self, world: &World, request: &Request, wanted: usize) {
        let fleet = world.fleet();
        let network = request.asn.and_then(|asn| fleet.asns.get(&asn));
        self.all(world, network.map_or(&[], Vec::as_slice), Basis::Asn, wanted);
        if let Some(place) = request.place {
            self.around(world, place.point(), Basis::Geo, wanted);
        } else {
            let country = request.country.and_then(|country| fleet.countries.get(&country));
            self.all(world, country.map_or(&[], Vec::as_slice), Basis::Country, wanted);
        }
        // Of a client whose place nobody knows, the neighbours of its nearest site are near.
        let first = self.sites.first().filter(|_| request.place.is_none());
        if let Some(point) = first.and_then(|near| fleet.sites[usize::from(near.site)].point) {
            self.around(world, point, Basis::Neighbour, wanted);
        }
        self.all(world, &fleet.default_order, Basis::Default, wanted);
    }

    fn all(&mut self, world: &World, sites: &[u16], basis: Basis, wanted: usize) {
        for site in sites {
            if self.sites.len() >= wanted {
                return;
            }
            self.add(world, *site, basis);
        }
    }

    fn around(&mut self, world: &World, point: Point, basis: Basis, wanted: usize) {
        let missing = wanted.saturating_sub(self.sites.len());
        if missing == 0 {
            return;
        }
        let mut best = mem::take(&mut self.best);
        best.clear();
        // The nearest `missing`, best first: most sites fail the one comparison with the worst.
        for (site, view) in (0_u16..).zip(&world.fleet().sites) {
            let Some(other) = view.point.filter(|_| !view.last_resort && !self.is_seen(site))
            else {
                continue;
            };
            // The greater stands first; of equals the one whose name is first.
            let nearness = point.nearness(other);
            if best.len() == missing && best[missing - 1].0 >= nearness {
                continue;
            }
            let at = best.partition_point(|(than, _)| *than >= nearness);
            if best.len() == missing {
                best.pop();
            }
            best.insert(at, (nearness, site));
        }
        for (_, site) in &best {
            self.add(world, *site, basis);
        }
        self.best = best;
    }

    fn add(&mut self, world: &World, site: u16, basis: Basis) {
        let last = world.fleet().sites[usize::from(site)].last_resort;
        if !last && !self.see(site) {
            self.sites.push(Near { site, basis, panic: false, spilled: false });
        }
    }

    fn is_seen(&self, site: u16) -> bool {
        self.seen[usize::from(site) / 64] & (1 << (site % 64)) != 0
    }

    /// Marks it; whether it was marked before.
    fn see(&mut self, site: u16) -> bool {
        let was = self.is_seen(site);
        self.seen[usize::from(site) / 64] |= 1 << (site % 64);
        was
    }
}
