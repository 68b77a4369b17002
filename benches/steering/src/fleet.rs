//! The fleet and the prefixes that are measured: 1,000 nodes in 100 sites, and a million prefixes
//! of the lengths that the world's tables have.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use weir_steering_rank::{
    ContentKey, Country, Health, Holdings, Hot, Intent, Node, Place, Prefix, Request, Rotation,
    RouteList, Routes, Rules, SCHEMA, SHARE, Side, Site, Snapshot, SnapshotId, Source, World,
};

use crate::{Options, figures::BenchError};

pub(crate) const NOW: u64 = 1_795_000_000_000;
const SITES: usize = 100;
const NODES: usize = 10;
const TITLES: u32 = 20_000;
/// Titles that a node holds.
const HELD: u32 = 10_000;
/// Of each family, in full and in short. The world's tables have a little more of IPv4.
const FOUR: (usize, usize) = (800_000, 80_000);
const SIX: (usize, usize) = (200_000, 20_000);
/// How many in a thousand of the announced prefixes have which length.
const LENGTHS_FOUR: [(u8, u32); 12] = [
    (24, 620),
    (23, 100),
    (22, 115),
    (21, 50),
    (20, 43),
    (19, 25),
    (18, 14),
    (17, 8),
    (16, 14),
    (15, 3),
    (14, 3),
    (13, 5),
];
const LENGTHS_SIX: [(u8, u32); 9] =
    [(48, 470), (44, 90), (40, 110), (36, 60), (32, 140), (29, 40), (33, 30), (34, 30), (47, 30)];

/// What the parts of the bench share.
pub(crate) struct Made {
    pub(crate) list: RouteList,
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) snapshot: Snapshot,
    pub(crate) world: World,
}

impl Made {
    pub(crate) fn new(options: &Options) -> Result<Self, BenchError> {
        let mut random = SmallRng::seed_from_u64(options.seed);
        let pick = |(full, short)| if options.quick { short } else { full };
        let prefixes = prefixes(&mut random, pick(FOUR), pick(SIX));
        let mut list = RouteList::default();
        for prefix in &prefixes {
            // Each is heard by the sites of one network, some by two, with one of a few MEDs.
            let site = random.random_range(0..SITES);
            let heard = if random.random_ratio(1, 4) { 2 } else { 1 };
            for next in 0..heard {
                let site = format!("site-{:02}", (site + next) % SITES);
                let source = Source::Bgp(format!("{site}/rtr1"));
                let med = [0, 10, 100][random.random_range(0..3)];
                list.push(*prefix, None, &site, &source, (100, med))?;
            }
        }
        let routes = Arc::new(list.build()?);
        let snapshot = snapshot(&mut random, &routes);
        let world = World::new(snapshot.clone(), routes.clone())?;
        Ok(Self { list, prefixes, routes, snapshot, world })
    }

    /// A request of a client: seven in ten lie in a prefix.
    pub(crate) fn request(&self, random: &mut SmallRng) -> Request {
        let client = if random.random_ratio(7, 10) {
            let prefix = self.prefixes[random.random_range(0..self.prefixes.len())];
            within(random, prefix)
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(random.random()))
        };
        // The square makes the first titles asked for most.
        let title = (random.random::<f64>().powi(2) * f64::from(TITLES)) as u32;
        let place =
            Place::degrees(random.random_range(-60.0..60.0), random.random_range(-180.0..180.0));
        Request {
            asn: random.random_ratio(1, 2).then(|| random.random_range(1..70_000)),
            country: Country::parse("PE"),
            place: place.filter(|_| random.random_ratio(8, 10)),
            service: "vod".to_owned(),
            title: format!("title/{title}"),
            rendition: ["360", "720", "1080"][random.random_range(0..3)].to_owned(),
            session: random.random(),
            ..Request::new(NOW + random.random_range(0..900), client)
        }
    }
}

fn within(random: &mut SmallRng, prefix: Prefix) -> IpAddr {
    match prefix.network() {
        IpAddr::V4(four) => {
            let host = random.random::<u32>().checked_shr(prefix.length().into()).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(four.to_bits() | host))
        }
        IpAddr::V6(six) => {
            let host = random.random::<u128>().checked_shr(prefix.length().into()).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() | host))
        }
    }
}

/// Prefixes in the blocks of some tens of thousands of networks, as registries give them out:
/// announced whole, in parts, or both.
fn prefixes(random: &mut SmallRng, four: usize, six: usize) -> Vec<Prefix> {
    let length = |random: &mut SmallRng, lengths: &[(u8, u32)]| {
        let all: u32 = lengths.iter().map(|(_, share)| share).sum();
        let mut lot = random.random_range(0..all);
        let found = lengths.iter().find(|(_, share)| {
            let here = lot < *share;
            lot = lot.saturating_sub(*share);
            here
        });
        found.map_or(24, |(length, _)| *length)
    };
    let mut all = BTreeSet::new();
    while all.len() < four {
        // A block of 16 bits between 1 and 223, then 20 prefixes in it.
        let block = random.random_range(1_u32 << 8..224 << 8) << 16;
        for _ in 0..random.random_range(1..40) {
            let address = Ipv4Addr::from_bits(block | u32::from(random.random::<u16>()));
            all.extend(Prefix::around(address.into(), length(random, &LENGTHS_FOUR)));
        }
    }
    let mut all: Vec<Prefix> = all.into_iter().take(four).collect();
    let mut more = BTreeSet::new();
    while more.len() < six {
        // A block of 32 bits in 2000::/4, then some prefixes in it.
        let block = (0x2000_0000 | random.random_range(0..0x1000_0000_u128)) << 96;
        for _ in 0..random.random_range(1..12) {
            let address = Ipv6Addr::from_bits(block | random.random::<u128>() >> 32);
            more.extend(Prefix::around(address.into(), length(random, &LENGTHS_SIX)));
        }
    }
    all.extend(more.into_iter().take(six));
    all
}

fn snapshot(random: &mut SmallRng, routes: &Routes) -> Snapshot {
    let mut sites = Vec::new();
    let mut nodes = Vec::new();
    // Nodes of a site hold one of sixteen halves of the titles.
    let filters: Vec<Holdings> = (0..16).map(|version| holdings(random, version)).collect();
    for at in 0..SITES {
        let name = format!("site-{at:02}");
        for number in 0..NODES {
            nodes.push(node(random, &name, number, &filters));
        }
        let place =
            Place::degrees(random.random_range(-55.0..60.0), random.random_range(-170.0..170.0));
        sites.push(Site { place, country: Country::parse("PE"), ..Site::new(name) });
    }
    Snapshot {
        schema: SCHEMA,
        id: SnapshotId { map: 1, health: 1 },
        at_ms: NOW,
        routes: routes.digest(),
        purge_epoch: 10,
        rules: Rules::default(),
        default_order: vec!["site-00".to_owned()],
        sites,
        nodes,
        asns: Vec::new(),
        countries: Vec::new(),
        hot: (0..200).map(|at| Hot { title: format!("title/{at}"), copies: 3 }).collect(),
    }
}

fn holdings(random: &mut SmallRng, version: u64) -> Holdings {
    let keys: Vec<ContentKey> = (0..HELD)
        .flat_map(|_| {
            let title = format!("title/{}", random.random_range(0..TITLES));
            ["360", "720", "1080"].map(|rendition| ContentKey::new(&title, rendition))
        })
        .collect();
    Holdings::of(version, &keys)
}

fn node(random: &mut SmallRng, site: &str, number: usize, filters: &[Holdings]) -> Node {
    let lot = random.random_range(0..100);
    let rotation =
        Rotation { serving: lot >= 6, ..Rotation::new(NOW - random.random_range(0..200_000)) };
    Node {
        name: format!("{site}-c{number}"),
        site: site.to_owned(),
        domain: Some(format!("rack-{}", number % 3)),
        base: format!("https://c{number}.{site}.cdn.example"),
        capacity_mbps: [10_000, 25_000, 100_000][random.random_range(0..3)],
        v4: Some(Side::default()),
        v6: random.random_ratio(9, 10).then(Side::default),
        intent: if lot == 50 { Intent::Draining } else { Intent::Serving },
        health: Health {
            reported_at_ms: NOW - random.random_range(0..1_500),
            spare: random.random_range(0..SHARE),
            faults: Vec::new(),
            rotation,
            purge_epoch: if lot == 51 { 9 } else { 10 },
            holdings: Some(filters[random.random_range(0..filters.len())].clone()),
            shunned_until_ms: 0,
        },
    }
}

/// The same fleet a second later, with other health.
pub(crate) fn changed(made: &Made, number: u64) -> Snapshot {
    let mut random = SmallRng::seed_from_u64(number);
    let mut snapshot = made.snapshot.clone();
    snapshot.id.health += number;
    for node in &mut snapshot.nodes {
        node.health.spare = random.random_range(0..SHARE);
        node.health.rotation.serving = random.random_ratio(9, 10);
        node.health.reported_at_ms = NOW - random.random_range(0..6_000);
    }
    snapshot
}
