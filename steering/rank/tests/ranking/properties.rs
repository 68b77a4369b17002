//! What holds for every fleet and every request.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::{testing::*, *};

/// A fleet in which everything may be wrong with everybody.
fn fleet() -> impl Strategy<Value = Snapshot> {
    let node = (
        prop_oneof![6 => Just(Intent::Serving), 1 => Just(Intent::Draining), 1 => Just(Intent::Disabled)],
        prop_oneof![3 => Just(true), 1 => Just(false)],
        any::<bool>(),
        (0_u8..4, 0_u8..4, 0_u8..3, 0_u8..3),
        (0_u64..8_000, 0_u16..=SHARE, 6_u64..8),
        (proptest::option::weighted(0.3, any::<bool>()), 0_u8..3, 1_u32..40_000),
    );
    let barred = proptest::collection::vec(prop_oneof![4 => Just(false), 1 => Just(true)], 5);
    (1_u32..5, 1_u32..5, proptest::collection::vec(node, 16), barred).prop_map(
        |(sites, nodes, states, barred)| {
            let mut snapshot = fleet_of(sites, nodes, &routes_none());
            for (site, barred) in snapshot.sites.iter_mut().zip(barred) {
                site.announced_only = barred;
            }
            for (node, state) in snapshot.nodes.iter_mut().zip(states) {
                let (intent, serving, full, sides, (silent, spare, epoch), rest) = state;
                let (four, six, lost4, lost6) = sides;
                let (holds, domain, capacity) = rest;
                node.intent = intent;
                node.capacity_mbps = capacity;
                node.v4 = (four > 0).then_some(Side { failed_observers: lost4 });
                node.v6 = (six > 0).then_some(Side { failed_observers: lost6 });
                node.domain = (domain > 0).then(|| format!("rack-{domain}"));
                let health = &mut node.health;
                health.rotation.serving = serving;
                health.rotation.cause = if full { Cause::Load } else { Cause::Health };
                health.reported_at_ms = NOW - silent;
                health.spare = spare;
                health.purge_epoch = epoch;
                health.holdings = holds.map(|holds| {
                    let keys = [ContentKey::new("t", "r")];
                    Holdings::of(1, if holds { &keys } else { &[] })
                });
            }
            snapshot
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let clients = ["200.48.1.9", "2800:200::9", "10.0.0.1", "::ffff:9.9.9.9"];
    let place = proptest::option::of((-20_i32..40).prop_map(|east| (0.0, f64::from(east))));
    (0_usize..4, place, any::<u64>(), 0_u8..10, 0_u64..30_000).prop_map(
        move |(client, place, session, want, late)| Request {
            place: place.and_then(|(north, east)| Place::degrees(north, east)),
            title: if session % 3 == 0 { String::new() } else { "t".into() },
            rendition: "r".into(),
            session,
            want,
            ..Request::new(NOW + late, clients[client].parse::<IpAddr>().unwrap())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_answer_is_sound(snapshot in fleet(), request in request()) {
        let world = world(snapshot.clone());
        let answer = rank(&world, &request);
        let fleet = world.fleet();
        let family = request.family();
        let side = |node: &Node| if family == Family::V4 { node.v4 } else { node.v6 };
        prop_assert!(answer.servers.len() <= usize::from(WANT_MAX));
        for (at, server) in answer.servers.iter().enumerate() {
            let (node, site) = (fleet.node(server.node), fleet.site(server.site));
            prop_assert_eq!(&node.site, &site.name);
            // Nobody twice.
            prop_assert!(answer.servers[..at].iter().all(|it| it.node != server.node));
            // Policy, family and purges hold in every panic; drains in all but the last one.
            prop_assert!(!site.announced_only);
            prop_assert!(side(node).is_some());
            prop_assert!(node.health.purge_epoch >= snapshot.purge_epoch);
            prop_assert!(node.is_wanted() || answer.desperate);
        }
        let may = |node: &&Node| {
            let site = fleet.site(fleet.find_site(&node.site).unwrap());
            !site.announced_only && side(node).is_some() && node.health.purge_epoch >= 7
        };
        let may: Vec<&Node> = fleet.snapshot().nodes.iter().filter(may).collect();
        // Never empty while anybody may serve, and desperate only while nobody else may.
        prop_assert_eq!(answer.servers.is_empty(), may.is_empty());
        // What is wanted is there twice where two nodes of the fleet are fit for it.
        let fit = may.iter().filter(|node| node.is_wanted() && node.health.rotation.serving);
        let dead = |node: &&&Node| side(node).is_some_and(|side| side.failed_observers > 1);
        let fit = fit.filter(|node| !dead(node)).count();
        prop_assert!(answer.servers.len() >= fit.min(2));
        prop_assert!(!answer.desperate || may.iter().all(|node| !node.is_wanted()));
        // A silent node is never first while anybody better is in the answer.
        if let Some(first) = answer.servers.first().filter(|it| it.standing > Standing::Suspect) {
            prop_assert!(answer.servers.iter().all(|it| it.standing >= first.standing));
        }
        // The first two do not fail together, where any candidate stands apart.
        if let [first, second, rest @ ..] = &*answer.servers {
            let domain = |server: &Server| {
                let node = fleet.node(server.node);
                node.domain.as_ref().map_or(node.name.clone(), |it| format!("{} {it}", node.site))
            };
            let apart = rest.iter().any(|it| domain(it) != domain(first));
            prop_assert!(!apart || domain(second) != domain(first));
        }
        // Each candidate of the near sites once, with its reason.
        let nodes = answer.near.iter().map(|near| {
            let name = &fleet.site(near.site).name;
            fleet.snapshot().nodes.iter().filter(|node| node.site == *name).count()
        });
        prop_assert_eq!(nodes.sum::<usize>(), answer.judged.len());
    }

    #[test]
    fn the_order_of_the_input_says_nothing(snapshot in fleet(), request in request()) {
        let one = world(snapshot.clone());
        let mut turned = snapshot;
        turned.nodes.reverse();
        turned.sites.reverse();
        let other = world(turned);
        prop_assert_eq!(rank(&one, &request), rank(&other, &request));
    }

    #[test]
    fn a_ranker_remembers_nothing(
        snapshots in proptest::collection::vec((fleet(), request()), 2..5),
    ) {
        let (mut ranker, mut answer) = (Ranker::default(), Answer::default());
        for (snapshot, request) in snapshots {
            let world = world(snapshot);
            ranker.rank(&world, &request, &mut answer);
            prop_assert_eq!(&answer, &rank(&world, &request));
        }
    }

    #[test]
    fn families_are_judged_apart(snapshot in fleet(), mut request in request()) {
        request.client = "200.48.1.9".parse().unwrap();
        let four = rank(&world(snapshot.clone()), &request);
        let mut broken = snapshot;
        for node in &mut broken.nodes {
            node.v6 = None;
        }
        prop_assert_eq!(four, rank(&world(broken), &request));
    }

    #[test]
    fn what_is_written_is_made_again(snapshot in fleet(), request in request()) {
        let text = serde_json::to_vec(&snapshot).unwrap();
        let read: Snapshot = serde_json::from_slice(&text).unwrap();
        let (one, other) = (world(snapshot), world(read));
        let mut request = request;
        request.want = request.want.min(WANT_MAX);
        let line = Record::of(&one, &request, &rank(&one, &request)).line();
        prop_assert_eq!(replay(&other, line.as_bytes()).unwrap(), Replay::Identical);
        prop_assert_eq!(explain(&one, &request), explain(&other, &request));
    }
}

#[test]
fn titles_are_spread_in_proportion_to_capacity_and_share() {
    let mut snapshot = fleet_of(1, 4, &routes_none());
    snapshot.nodes[0].capacity_mbps = 20_000;
    snapshot.nodes[1].health.spare = 1_500;
    snapshot.nodes[2].health.rotation = Rotation::new(NOW - 15_000);
    let weights = [2.0, 0.5, 0.5, 1.0];
    let world = world(snapshot);
    let (mut ranker, mut answer) = (Ranker::default(), Answer::default());
    let mut request = Request::new(NOW, "9.9.9.9".parse().unwrap());
    let (mut won, all) = ([0_u32; 4], 40_000);
    for title in 0..all {
        request.title = format!("title/{title}");
        ranker.rank(&world, &request, &mut answer);
        won[answer.servers[0].node as usize] += 1;
    }
    for (won, weight) in won.iter().zip(weights) {
        let expected = f64::from(all) * weight / 4.0;
        assert!((f64::from(*won) - expected).abs() < 0.05 * expected, "{won} of {expected}");
    }
}

#[test]
fn a_node_that_goes_moves_its_own_titles_only() {
    let snapshot = fleet_of(1, 5, &routes_none());
    let mut less = snapshot.clone();
    less.nodes.retain(|node| node.name != "s00-c2");
    let (before, after) = (world(snapshot), world(less));
    for title in 0..2_000 {
        let mut request = Request::new(NOW, "9.9.9.9".parse().unwrap());
        request.title = format!("title/{title}");
        let name = |world: &World| {
            let first = rank(world, &request).servers[0].node;
            world.fleet().node(first).name.clone()
        };
        let was = name(&before);
        assert!(was == "s00-c2" || was == name(&after));
    }
}
