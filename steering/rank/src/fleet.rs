//! A snapshot made ready: names are indexes, what does not depend on the request is judged once.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    holdings::Holdings,
    place::{Country, Point},
    reason::Reasons,
    request::Family,
    rotation::{Cause, Rotation},
    snapshot::{Intent, Node, Rules, Site, Snapshot, SnapshotError},
};

/// A fleet at one moment, indexed. Sites stand by name, nodes by site and name, so that the order
/// in which a snapshot lists them says nothing.
#[derive(Debug, Clone)]
pub struct Fleet {
    snapshot: Snapshot,
    pub(crate) sites: Vec<SiteView>,
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) asns: HashMap<u32, Vec<u16>>,
    pub(crate) countries: HashMap<Country, Vec<u16>>,
    /// All sites but last resorts.
    pub(crate) default_order: Vec<u16>,
    /// Last resorts, by name.
    pub(crate) resorts: Vec<u16>,
    /// Copies by the hash of the title.
    hot: HashMap<u64, u8>,
}

/// What is looked at of a site.
#[derive(Debug, Clone)]
pub(crate) struct SiteView {
    pub(crate) nodes: Range<u32>,
    /// What its clients draw by.
    pub(crate) seed: u64,
    pub(crate) point: Option<Point>,
    pub(crate) announced_only: bool,
    pub(crate) last_resort: bool,
}

/// What is looked at of a node.
#[derive(Debug, Clone)]
pub(crate) struct NodeView {
    /// What it draws by.
    pub(crate) seed: u64,
    /// What it fails together with.
    pub(crate) domain: u64,
    pub(crate) capacity: u32,
    /// Reasons that hold for every request, by family.
    reasons: [Reasons; 2],
    /// Observers cannot reach it, or nobody heard of it.
    dead: [bool; 2],
    pub(crate) reported_at_ms: u64,
    pub(crate) shunned_until_ms: u64,
    pub(crate) holdings: Option<Holdings>,
    /// Its share once it has been back for long.
    full_share: u16,
    spare: u16,
    rotation: Rotation,
}

impl NodeView {
    fn new(node: &Node, snapshot: &Snapshot) -> Self {
        let (health, rules) = (&node.health, &snapshot.rules);
        let rotation = health.rotation;
        let heard = health.reported_at_ms > 0;
        let cause = if rotation.cause == Cause::Load { Reasons::LOAD } else { Reasons::HEALTH };
        let common = Reasons::DRAINING
            .only(node.intent != Intent::Serving)
            .and(Reasons::EPOCH.only(health.purge_epoch < snapshot.purge_epoch))
            .and(cause.only(!rotation.serving))
            .and(Reasons::HEALTH.only(!heard));
        let sides = [node.v4, node.v6];
        let lost = sides.map(|side| side.is_some_and(|it| it.failed_observers >= rules.observers));
        let domain = node.domain.as_ref().map_or_else(
            || format!("node {}", node.name),
            |domain| format!("domain {} {domain}", node.site),
        );
        let settled = rotation.since_ms.saturating_add(rules.ramp_ms);
        Self {
            seed: xxh3_64(node.name.as_bytes()),
            domain: xxh3_64(domain.as_bytes()),
            capacity: node.capacity_mbps.max(1),
            reasons: [0, 1].map(|family| {
                let unreachable = Reasons::HEALTH.only(lost[family]);
                common.and(Reasons::FAMILY.only(sides[family].is_none())).and(unreachable)
            }),
            dead: lost.map(|lost| lost || !heard),
            reported_at_ms: health.reported_at_ms,
            shunned_until_ms: health.shunned_until_ms,
            holdings: health.holdings.clone(),
            full_share: rotation.share(rules, health.spare, settled),
            spare: health.spare,
            rotation,
        }
    }

    pub(crate) fn reasons(&self, family: Family) -> Reasons {
        self.reasons[family as usize]
    }

    pub(crate) fn is_dead(&self, family: Family) -> bool {
        self.dead[family as usize]
    }

    pub(crate) fn share(&self, rules: &Rules, now_ms: u64) -> u16 {
        if now_ms.saturating_sub(self.rotation.since_ms) >= rules.ramp_ms {
            self.full_share
        } else {
            self.rotation.share(rules, self.spare, now_ms)
        }
    }
}

impl Fleet {
    /// Checks a snapshot and makes it ready.
    pub fn new(mut snapshot: Snapshot) -> Result<Self, SnapshotError> {
        snapshot.check()?;
        snapshot.sites.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        snapshot.nodes.sort_unstable_by(|a, b| (&a.site, &a.name).cmp(&(&b.site, &b.name)));
        let ids: BTreeMap<&str, u16> =
            snapshot.sites.iter().map(|site| &*site.name).zip(0_u16..).collect();
        let indexes = |names: &[String]| -> Vec<u16> {
            // The check has looked that they are there; one that is named twice counts once.
            let mut found: Vec<u16> = Vec::with_capacity(names.len());
            for id in names.iter().filter_map(|name| ids.get(&**name)) {
                if !found.contains(id) {
                    found.push(*id);
                }
            }
            found
        };
        let mut sites = Vec::with_capacity(snapshot.sites.len());
        let mut rest = 0..0_u32;
        for site in &snapshot.sites {
            let all = &snapshot.nodes[rest.end as usize..];
            let own = all.partition_point(|node| node.site == site.name);
            rest = rest.end..rest.end + u32::try_from(own).expect("no more than NODES_MAX");
            sites.push(SiteView {
                nodes: rest.clone(),
                seed: xxh3_64(site.name.as_bytes()),
                point: site.place.map(|place| place.point()),
                announced_only: site.announced_only,
                last_resort: site.last_resort,
            });
        }
        let mut default_order = Vec::with_capacity(sites.len());
        let mut listed = vec![false; sites.len()];
        for id in indexes(&snapshot.default_order).into_iter().chain(ids.values().copied()) {
            let at = usize::from(id);
            if !std::mem::replace(&mut listed[at], true) && !sites[at].last_resort {
                default_order.push(id);
            }
        }
        let resorts = ids.values().copied().filter(|id| sites[usize::from(*id)].last_resort);
        let mut countries: HashMap<Country, Vec<u16>> = HashMap::new();
        for rule in &snapshot.countries {
            countries.insert(rule.country, indexes(&rule.sites));
        }
        for id in &default_order {
            if let Some(country) = snapshot.sites[usize::from(*id)].country {
                let own = countries.entry(country).or_default();
                if !own.contains(id) {
                    own.push(*id);
                }
            }
        }
        Ok(Self {
            asns: snapshot.asns.iter().map(|rule| (rule.asn, indexes(&rule.sites))).collect(),
            countries,
            resorts: resorts.collect(),
            hot: snapshot
                .hot
                .iter()
                .map(|hot| (xxh3_64(hot.title.as_bytes()), hot.copies))
                .collect(),
            nodes: snapshot.nodes.iter().map(|node| NodeView::new(node, &snapshot)).collect(),
            default_order,
            sites,
            snapshot,
        })
    }

    /// What it was made of, sites and nodes in order.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A site by its index.
    pub fn site(&self, index: u16) -> &Site {
        &self.snapshot.sites[usize::from(index)]
    }

    /// A node by its index.
    pub fn node(&self, index: u32) -> &Node {
        &self.snapshot.nodes[index as usize]
    }

    /// The index of a node.
    pub fn find(&self, name: &str) -> Option<u32> {
        let at = self.snapshot.nodes.iter().position(|node| node.name == name)?;
        u32::try_from(at).ok()
    }

    /// The index of a site.
    pub fn find_site(&self, name: &str) -> Option<u16> {
        let at = self.snapshot.sites.binary_search_by(|site| (*site.name).cmp(name)).ok()?;
        u16::try_from(at).ok()
    }

    /// On how many nodes of a site a title stands.
    pub(crate) fn copies(&self, title: &str) -> usize {
        if self.hot.is_empty() {
            return 1;
        }
        self.hot.get(&xxh3_64(title.as_bytes())).map_or(1, |copies| usize::from(*copies).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fleet_of, routes_none};

    #[test]
    fn the_order_of_a_snapshot_says_nothing() {
        let one = fleet_of(5, 3, &routes_none());
        let mut other = one.clone();
        other.sites.reverse();
        other.nodes.reverse();
        let (one, other) = (Fleet::new(one).unwrap(), Fleet::new(other).unwrap());
        assert_eq!(one.snapshot(), other.snapshot());
        assert_eq!(one.default_order, other.default_order);
        let node = one.find("s02-c1").unwrap();
        assert_eq!(one.node(node).site, "s02");
        assert_eq!(one.sites[usize::from(one.find_site("s02").unwrap())].nodes, 6..9);
    }
}
