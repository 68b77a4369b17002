//! Fleets for tests.

use std::sync::Arc;

use crate::{
    Country, Health, Intent, Node, Place, Rotation, RouteList, Routes, Rules, SCHEMA, SHARE, Side,
    Site, Snapshot, SnapshotId,
};

/// The moment at which fleets of tests are made.
pub(crate) const NOW: u64 = 1_795_000_000_000;

/// No prefixes at all.
pub(crate) fn routes_none() -> Arc<Routes> {
    Arc::new(RouteList::default().build().unwrap())
}

/// Sites `s00`, `s01`, … from west to east along the equator, each with nodes `s00-c0`, … that are
/// all well.
pub(crate) fn fleet_of(sites: u32, nodes: u32, routes: &Routes) -> Snapshot {
    let site = |at: u32| Site {
        place: Place::degrees(0.0, f64::from(at) * 3.0),
        country: Country::parse(if at.is_multiple_of(2) { "PE" } else { "CO" }),
        ..Site::new(format!("s{at:02}"))
    };
    let all = (0..sites).flat_map(|site| (0..nodes).map(move |node| (site, node)));
    Snapshot {
        schema: SCHEMA,
        id: SnapshotId { map: 118, health: 90_233 },
        at_ms: NOW - 500,
        routes: routes.digest(),
        purge_epoch: 7,
        rules: Rules::default(),
        sites: (0..sites).map(site).collect(),
        nodes: all.map(|(site, number)| node(site, number)).collect(),
        default_order: vec!["s00".into()],
        asns: Vec::new(),
        countries: Vec::new(),
        hot: Vec::new(),
    }
}

fn node(site: u32, number: u32) -> Node {
    Node {
        name: format!("s{site:02}-c{number}"),
        site: format!("s{site:02}"),
        domain: None,
        base: format!("https://c{number}.s{site:02}.cdn.example"),
        capacity_mbps: 10_000,
        v4: Some(Side::default()),
        v6: Some(Side::default()),
        intent: Intent::Serving,
        health: Health {
            reported_at_ms: NOW - 600,
            spare: SHARE * 6 / 10,
            faults: Vec::new(),
            rotation: Rotation::new(NOW - 3_600_000),
            purge_epoch: 7,
            holdings: None,
            shunned_until_ms: 0,
        },
    }
}
