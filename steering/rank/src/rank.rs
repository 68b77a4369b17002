//! Ranking: a snapshot and a request in, servers in their order out. No clock, no randomness, no
//! I/O: the same again for ever.
//!
//! Sites stand in the order of nearness alone ([`near`]); each of their nodes is judged
//! ([`judge`]); within a site a title finds its node by weighted rendezvous ([`order`]); then
//! servers are picked so that they do not fail together ([`pick`]).

mod judge;
mod near;
mod order;
mod pick;

use xxhash_rust::xxh3::Xxh3;

use crate::{
    answer::{Answer, DecisionId, Near, Standing, TOLD_SITES},
    reason::{Miss, Reasons},
    request::Request,
    world::World,
};
use judge::Bench;
use order::Drawn;

/// Ranks, and keeps the room it needs from one request to the next.
#[derive(Debug, Default)]
pub struct Ranker {
    near: near::Order,
    /// The sites that were judged, by their rank.
    sites: Vec<Near>,
    bench: Bench,
    drawn: Vec<Drawn>,
    candidates: Vec<pick::Candidate>,
}

/// Ranks one request. Who ranks many keeps a [`Ranker`] and an answer.
pub fn rank(world: &World, request: &Request) -> Answer {
    let mut answer = Answer::default();
    Ranker::default().rank(world, request, &mut answer);
    answer
}

impl Ranker {
    /// Ranks a request into an answer, whose room is used again: after a few requests nothing is
    /// allocated any more.
    pub fn rank(&mut self, world: &World, request: &Request, answer: &mut Answer) {
        answer.clear();
        let snapshot = world.fleet().snapshot();
        answer.snapshot = snapshot.id;
        answer.decision = decision(world, request);
        let age = request.now_ms.saturating_sub(snapshot.at_ms);
        answer.stale_map = age > snapshot.rules.stale_after_ms;
        self.near.begin(world, request, answer);
        self.near.extend(world, request, TOLD_SITES);
        self.sites.clear();
        self.bench.begin(world, request, answer);
        for rank in 0..self.near.sites().len() {
            self.judge(world, request, self.near.sites()[rank]);
        }
        self.bench.weigh_up(world);
        for rank in 0..self.sites.len() {
            self.settle(world, rank);
        }
        answer.near.extend_from_slice(&self.sites);
        answer.judged.extend_from_slice(self.bench.judged());
        answer.cold = self.bench.chill(world);
        self.pick(world, request, answer);
        answer.miss = miss(world, answer);
    }

    /// Judges the next site.
    fn judge(&mut self, world: &World, request: &Request, near: Near) {
        self.bench.judge(world, request, self.sites.len(), near);
        self.sites.push(near);
    }

    /// Whether a judged site panics, or sends this client on.
    fn settle(&mut self, world: &World, rank: usize) {
        let near = &mut self.sites[rank];
        near.panic = self.bench.panics(world, rank);
        near.spilled = !near.panic && self.bench.spills(world, rank, near.site);
    }
}

/// The id of a decision: everything that it depends on, hashed.
fn decision(world: &World, request: &Request) -> DecisionId {
    let id = world.fleet().snapshot().id;
    let mut hash = Xxh3::new();
    for number in [id.map, id.health, world.routes().digest(), request.now_ms, request.session] {
        hash.update(&number.to_le_bytes());
    }
    hash.update(&crate::prefix::bytes(request.client));
    hash.update(&[request.want, u8::from(request.client.is_ipv4())]);
    hash.update(&request.asn.map_or(0, |asn| u64::from(asn) + 1).to_le_bytes());
    hash.update(request.country.as_ref().map_or("", |country| country.as_str()).as_bytes());
    if let Some(place) = request.place {
        hash.update(&place.latitude.to_le_bytes());
        hash.update(&place.longitude.to_le_bytes());
    }
    for text in [request.at.as_deref().unwrap_or(""), &request.service, &request.title] {
        hash.update(text.as_bytes());
        hash.update(&[0xff]);
    }
    hash.update(request.rendition.as_bytes());
    DecisionId(hash.digest())
}

/// Why the first server is not of the nearest site: the reason that keeps away most of the capacity
/// of the nearest one that has nodes.
fn miss(world: &World, answer: &Answer) -> Miss {
    let Some(first) = answer.servers.first().filter(|first| first.near > 0) else {
        return Miss::None;
    };
    if answer.stale_map {
        return Miss::StaleMap;
    }
    let kinds = [Miss::Policy, Miss::Health, Miss::Load, Miss::Content];
    let mut kept_away = [0_u64; 4];
    let nearer = answer.judged.iter().filter(|judged| judged.near < first.near);
    let nearest = nearer.clone().map(|judged| judged.near).min();
    for judged in nearer.filter(|judged| Some(judged.near) == nearest) {
        // A silent node is passed by for what is wrong with it.
        let silent = Reasons::HEALTH.only(judged.standing > Standing::Suspect);
        let kind = Miss::of(judged.reasons.and(silent));
        if let Some(at) = kinds.iter().position(|it| *it == kind) {
            kept_away[at] += u64::from(world.fleet().nodes[judged.node as usize].capacity);
        }
    }
    let most = (0..kinds.len()).rev().max_by_key(|at| kept_away[*at]);
    match most.filter(|at| kept_away[*at] > 0) {
        Some(at) => kinds[at],
        // Nothing speaks against any of its nodes: they have less and less room.
        None if nearest.is_some() => Miss::Load,
        // A site without a node that could serve is one that the operator left empty.
        None => Miss::Policy,
    }
}
