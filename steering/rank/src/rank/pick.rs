//! Servers out of what was judged: the first two never fail together where that can be had, and
//! one of them stands elsewhere.

use super::{
    Ranker,
    order::{Drawn, draw},
};
use crate::{
    answer::{Answer, Basis, Near, Server, Standing},
    holdings::ContentKey,
    reason::Reasons,
    request::Request,
    snapshot::SHARE,
    world::World,
};

/// Servers of one site, while others have some.
const OF_A_SITE: usize = 2;

/// A node that may serve, in the order of sites and draws.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    server: Server,
    domain: u64,
    /// Its site has no weight left for this client.
    spilled: bool,
    /// Its place among all candidates.
    number: u32,
    taken: bool,
}

impl Ranker {
    pub(super) fn pick(&mut self, world: &World, request: &Request, answer: &mut Answer) {
        let wanted = request.wanted();
        self.candidates.clear();
        for rank in 0..self.bench.len() {
            self.line_up(world, request, rank);
            if self.is_enough(wanted) {
                break;
            }
        }
        if !self.is_enough(2) || !world.fleet().resorts.is_empty() {
            self.further(world, request);
        }
        // Never empty: what is left is better than nothing, a drained node last.
        for reasons in [
            Reasons::HEALTH.and(Reasons::LOAD).and(Reasons::CONTENT).and(Reasons::CLIENTS),
            Reasons::DRAINING,
        ] {
            if !self.candidates.is_empty() {
                break;
            }
            self.bench.waive(reasons);
            answer.panic = true;
            answer.desperate = reasons.has(Reasons::DRAINING);
            for rank in 0..self.bench.len() {
                self.line_up(world, request, rank);
            }
        }
        self.choose(world, wanted, answer);
        let silent = answer.servers.first().is_some_and(|it| it.standing > Standing::Suspect);
        if silent || answer.servers.len() < 2 {
            // One server is none when it fails, and a silent one may have failed: another may
            // fetch what only this one holds.
            if silent {
                answer.servers.clear();
            }
            self.bench.waive(Reasons::CONTENT.and(Reasons::CLIENTS));
            self.candidates.clear();
            for rank in 0..self.bench.len() {
                self.line_up(world, request, rank);
            }
            for candidate in &mut self.candidates {
                let node = candidate.server.node;
                candidate.taken = answer.servers.iter().any(|server| server.node == node);
            }
            self.choose(world, wanted, answer);
        }
        let panics = |it: &Server| self.bench.waived(usize::from(it.near)).has(Reasons::HEALTH);
        answer.panic |= answer.servers.iter().any(panics);
        answer.panic &= !answer.servers.is_empty();
        answer.desperate &= !answer.servers.is_empty();
    }

    /// Enough good ones, of more than one site.
    fn is_enough(&self, wanted: usize) -> bool {
        let good = || self.candidates.iter().filter(|it| it.is_heard() && !it.spilled);
        let first = good().next().map(|it| it.server.site);
        good().nth(wanted - 1).is_some() && good().any(|it| Some(it.server.site) != first)
    }

    /// Judges the sites beyond those that are told of, until there are enough; last resorts last.
    fn further(&mut self, world: &World, request: &Request) {
        if !self.is_enough(2) {
            self.near.extend(world, request, usize::MAX);
        }
        let mut at = self.sites.len();
        while !self.is_enough(2) && at < self.near.sites().len() {
            self.take_in(world, request, self.near.sites()[at]);
            at += 1;
        }
        for site in &world.fleet().resorts {
            let basis = Basis::LastResort;
            let near = Near { site: *site, basis, panic: false, spilled: false };
            self.take_in(world, request, near);
        }
    }

    fn take_in(&mut self, world: &World, request: &Request, near: Near) {
        let rank = self.sites.len();
        self.judge(world, request, near);
        self.settle(world, rank);
        self.line_up(world, request, rank);
    }

    /// Adds the candidates of a site, best first.
    fn line_up(&mut self, world: &World, request: &Request, rank: usize) {
        let near = self.sites[rank];
        let fleet = world.fleet();
        let waived = self.bench.waived(rank);
        let panic = waived.has(Reasons::LOAD);
        let title = ContentKey::new(&request.title, &request.rendition).0;
        let judged = self.bench.of(rank);
        let weight = |at: u32| {
            let it = &judged[at as usize];
            let capacity = u64::from(fleet.nodes[it.node as usize].capacity);
            // In panic everybody carries what he can: the rest alone would break down.
            capacity * u64::from(if panic { SHARE } else { it.share })
        };
        let seed = |at: u32| fleet.nodes[judged[at as usize].node as usize].seed;
        self.drawn.clear();
        for (at, it) in (0_u32..).zip(judged) {
            if it.reasons.without(waived).is_none() {
                self.drawn.push(Drawn { draw: draw(title, seed(at), weight(at)), at });
            }
        }
        let standing = |drawn: &Drawn| judged[drawn.at as usize].standing;
        let order = |a: &Drawn, b: &Drawn| {
            standing(a).cmp(&standing(b)).then(a.draw.total_cmp(&b.draw)).then(a.at.cmp(&b.at))
        };
        self.drawn.sort_unstable_by(order);
        let copies = fleet.copies(&request.title);
        if copies > 1 {
            let good = self.drawn.iter().take_while(|it| standing(it) == Standing::Good).count();
            let hot = &mut self.drawn[..good.min(copies)];
            for drawn in hot.iter_mut() {
                drawn.draw = draw(request.session, seed(drawn.at), weight(drawn.at));
            }
            hot.sort_unstable_by(order);
        }
        let near_rank = u16::try_from(rank).expect("no more than SITES_MAX");
        let from = u32::try_from(self.candidates.len()).expect("no more than NODES_MAX");
        self.candidates.extend((from..).zip(&self.drawn).map(|(number, drawn)| {
            let it = &judged[drawn.at as usize];
            Candidate {
                server: Server {
                    node: it.node,
                    site: near.site,
                    near: near_rank,
                    basis: near.basis,
                    standing: it.standing,
                },
                domain: fleet.nodes[it.node as usize].domain,
                spilled: near.spilled,
                number,
                taken: false,
            }
        }));
    }

    /// Takes servers from the candidates, behind those that the answer has.
    fn choose(&mut self, world: &World, wanted: usize, answer: &mut Answer) {
        // Whatever is known to be silent stands behind whatever is not, then come last resorts.
        let order = |it: &Candidate| (it.standing(), it.is_resort(), it.spilled, it.number);
        self.candidates.sort_unstable_by_key(order);
        if answer.servers.is_empty() {
            self.take(|_| true, answer);
        }
        let Some(first) = answer.servers.first().copied() else { return };
        let domain = world.fleet().nodes[first.node as usize].domain;
        let apart = |it: &Candidate| it.domain != domain;
        if answer.servers.len() == 1 && self.take(|it| it.is_heard() && apart(it), answer).is_none()
        {
            self.take(apart, answer);
        }
        let elsewhere = |it: &Candidate| it.server.site != first.site;
        while answer.servers.len() < wanted {
            let last = answer.servers.len() + 1 == wanted;
            let together = answer.servers.iter().all(|it| it.site == first.site);
            if last && self.take(Candidate::is_resort, answer).is_some() {
                return;
            }
            if last && together && self.take(elsewhere, answer).is_some() {
                return;
            }
            let of_site = |site: u16| answer.servers.iter().filter(|it| it.site == site).count();
            let mut left = self.candidates.iter().filter(|it| !it.taken);
            let next = left.find(|it| of_site(it.server.site) < OF_A_SITE).map(|it| it.number);
            if self.take(|it| next.is_none_or(|next| next == it.number), answer).is_none() {
                return;
            }
        }
    }

    /// Takes the first that fits.
    fn take(
        &mut self,
        fits: impl Fn(&Candidate) -> bool,
        answer: &mut Answer,
    ) -> Option<Candidate> {
        let found = self.candidates.iter_mut().find(|it| !it.taken && fits(it))?;
        found.taken = true;
        answer.servers.push(found.server);
        Some(*found)
    }
}

impl Candidate {
    fn is_heard(&self) -> bool {
        self.server.standing <= Standing::Suspect
    }

    /// Of those that are heard, sites and draws have the say.
    fn standing(&self) -> Standing {
        self.server.standing.max(Standing::Suspect)
    }

    fn is_resort(&self) -> bool {
        self.server.basis == Basis::LastResort
    }
}
