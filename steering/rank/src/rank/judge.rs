//! Every node of a site against the request: what speaks against it, and how much is left of the
//! site.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    answer::{Answer, Basis, Judged, Near, Standing},
    fleet::NodeView,
    holdings::ContentKey,
    prefix::bytes,
    reason::Reasons,
    request::{Family, Request},
    snapshot::{Rules, SHARE},
    world::World,
};

/// What panic does not ask.
const FEARED: Reasons = Reasons::HEALTH.and(Reasons::LOAD);

/// Judges the nodes of one request. It keeps no reference to what it judges by, so that its room
/// can be used for the next request.
#[derive(Debug, Default)]
pub(super) struct Bench {
    judged: Vec<Judged>,
    /// Where the nodes of each site begin in `judged`; one more than there are sites.
    begins: Vec<u32>,
    /// Reasons that are let through, by site.
    waived: Vec<Reasons>,
    /// What is left of each site.
    left: Vec<Left>,
    /// Too little is left of the nearest sites together.
    scarce: bool,
    /// What this client draws by.
    draw: u64,
    asked: Option<Asked>,
}

/// Capacity of a site.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    /// Of all its nodes that nobody took out.
    whole: u64,
    /// Of those that serve.
    capacity: u64,
    /// Of those by their share.
    weight: u64,
}

impl Left {
    fn is_little(self, rules: &Rules) -> bool {
        self.capacity * u64::from(SHARE) < self.whole * u64::from(rules.panic_below)
    }
}

/// What is asked of every node.
#[derive(Debug, Clone, Copy)]
struct Asked {
    family: Family,
    key: Option<ContentKey>,
    now_ms: u64,
    /// The moment that silence is measured at.
    heard_ms: u64,
}

impl Bench {
    pub(super) fn begin(&mut self, world: &World, request: &Request, answer: &Answer) {
        self.judged.clear();
        self.waived.clear();
        self.left.clear();
        self.begins.clear();
        self.begins.push(0);
        self.draw = xxh3_64_with_seed(&bytes(request.client), request.session);
        self.scarce = false;
        let made = world.fleet().snapshot().at_ms;
        self.asked = Some(Asked {
            family: request.family(),
            key: (!request.title.is_empty())
                .then(|| ContentKey::new(&request.title, &request.rendition)),
            now_ms: request.now_ms,
            // Nobody reports to a map that is not made anew.
            heard_ms: if answer.stale_map { made } else { request.now_ms },
        });
    }

    /// Those judged so far.
    pub(super) fn judged(&self) -> &[Judged] {
        &self.judged
    }

    /// The nodes of a site by its rank.
    pub(super) fn of(&self, rank: usize) -> &[Judged] {
        &self.judged[self.begins[rank] as usize..self.begins[rank + 1] as usize]
    }

    /// How many sites were judged.
    pub(super) fn len(&self) -> usize {
        self.waived.len()
    }

    /// What is let through at a site.
    pub(super) fn waived(&self, rank: usize) -> Reasons {
        self.waived[rank]
    }

    /// Lets more through, everywhere.
    pub(super) fn waive(&mut self, reasons: Reasons) {
        for waived in &mut self.waived {
            *waived = waived.and(reasons);
        }
    }

    /// Judges the nodes of the next site.
    pub(super) fn judge(&mut self, world: &World, request: &Request, rank: usize, near: Near) {
        let asked = self.asked.expect("begin comes first");
        let fleet = world.fleet();
        let rules = &fleet.snapshot().rules;
        let site = &fleet.sites[usize::from(near.site)];
        let barred = Reasons::POLICY.only(is_barred(world, request, near));
        let mut left = Left::default();
        let nodes = &fleet.nodes[site.nodes.start as usize..site.nodes.end as usize];
        for (index, node) in site.nodes.clone().zip(nodes) {
            let lacks = asked
                .key
                .is_some_and(|key| node.holdings.as_ref().is_some_and(|held| !held.holds(key)));
            let reasons = node
                .reasons(asked.family)
                .and(barred)
                .and(Reasons::CLIENTS.only(node.shunned_until_ms > asked.now_ms))
                .and(Reasons::CONTENT.only(lacks));
            let standing = standing(node, &asked, rules);
            let share = node.share(rules, asked.now_ms);
            let state = reasons.without(Reasons::CONTENT);
            if state.without(FEARED).is_none() {
                let capacity = u64::from(node.capacity);
                left.whole += capacity;
                if state.is_none() && standing <= Standing::Suspect {
                    left.capacity += capacity;
                    left.weight += capacity * u64::from(share) / u64::from(SHARE);
                }
            }
            let near = u16::try_from(rank).expect("no more than SITES_MAX");
            self.judged.push(Judged { node: index, near, reasons, standing, share });
        }
        self.begins.push(u32::try_from(self.judged.len()).expect("no more than NODES_MAX"));
        self.left.push(left);
        self.waived.push(Reasons::NONE);
    }

    /// Looks whether the sites so far have room for each other's clients.
    pub(super) fn weigh_up(&mut self, world: &World) {
        let mut all = Left::default();
        for left in &self.left {
            all.whole += left.whole;
            all.capacity += left.capacity;
        }
        self.scarce = all.is_little(&world.fleet().snapshot().rules);
    }

    /// Whether so little is left of a site, and of those around it, that load and health are not
    /// asked there: what is left would break down under the clients of all. While the others have
    /// room, its clients go to them instead.
    pub(super) fn panics(&mut self, world: &World, rank: usize) -> bool {
        let panics = self.scarce && self.left[rank].is_little(&world.fleet().snapshot().rules);
        self.waived[rank] = self.waived[rank].and(FEARED.only(panics));
        panics
    }

    /// Whether the client is of those for whom a site has no weight left.
    pub(super) fn spills(&self, world: &World, rank: usize, site: u16) -> bool {
        let (left, fleet) = (self.left[rank], world.fleet());
        let kept = left.weight * u64::from(fleet.snapshot().rules.overprovision);
        if kept >= left.whole * u64::from(SHARE) {
            return false;
        }
        let seed = fleet.sites[usize::from(site)].seed;
        u64::from(super::order::lot(self.draw, seed)) * left.whole >= kept
    }

    /// Where none of the nearest sites holds what is asked for, the nearest fetches it: content is
    /// not asked then. Whether that is so.
    pub(super) fn chill(&mut self, world: &World) -> bool {
        let reach = usize::from(world.fleet().snapshot().rules.content_reach);
        let ranks = || 0..self.len().min(reach.max(1));
        let without = |rank: usize, waived: Reasons| {
            let waived = self.waived(rank).and(waived);
            self.of(rank).iter().any(|judged| judged.reasons.without(waived).is_none())
        };
        let held = ranks().any(|rank| without(rank, Reasons::NONE));
        let cold = !held && ranks().any(|rank| without(rank, Reasons::CONTENT));
        if cold {
            self.waive(Reasons::CONTENT);
        }
        cold
    }
}

fn standing(node: &NodeView, asked: &Asked, rules: &Rules) -> Standing {
    let silent = asked.heard_ms.saturating_sub(node.reported_at_ms);
    if node.is_dead(asked.family) {
        Standing::Dead
    } else if silent >= rules.silent_after_ms {
        Standing::Silent
    } else if silent >= rules.suspect_after_ms {
        Standing::Suspect
    } else {
        Standing::Good
    }
}

/// Whether the site may not serve this client at all.
fn is_barred(world: &World, request: &Request, near: Near) -> bool {
    let view = &world.fleet().sites[usize::from(near.site)];
    let site = world.fleet().site(near.site);
    let announced = near.basis == Basis::Prefix || !view.announced_only;
    let service = site.services.is_empty() || site.services.contains(&request.service);
    let country = site.countries.is_empty()
        || request.country.is_some_and(|country| site.countries.contains(&country));
    !(announced && service && country)
}
