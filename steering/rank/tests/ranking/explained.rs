//! A decision as people read it.

use std::sync::Arc;

use expect_test::expect;

use crate::{testing::*, *};

fn lima() -> (World, Request) {
    let mut list = RouteList::default();
    let bgp = Source::Bgp("s00/rtr1".into());
    let prefix = Prefix::parse("200.48.0.0/16").unwrap();
    list.push(prefix, None, "s00", &bgp, (100, 10)).unwrap();
    let routes = Arc::new(list.build().unwrap());
    let mut snapshot = fleet_of(3, 4, &routes);
    let held = Holdings::of(3, &[ContentKey::new("title/8812", "1080")]);
    for node in &mut snapshot.nodes[0..4] {
        node.health.holdings = Some(held.clone());
    }
    snapshot.nodes[1].health.spare = 1_500;
    snapshot.nodes[1].health.faults = vec!["disk".into()];
    snapshot.nodes[1].health.rotation =
        Rotation { serving: false, cause: Cause::Health, ..Rotation::new(NOW - 9_000) };
    snapshot.nodes[2].health.holdings = Some(Holdings::of(3, &[]));
    snapshot.nodes[3].intent = Intent::Draining;
    snapshot.nodes[4].health.reported_at_ms = 0;
    snapshot.nodes[5].health.reported_at_ms = NOW - 5_500;
    let request = Request {
        country: Country::parse("PE"),
        asn: Some(6147),
        title: "title/8812".into(),
        rendition: "1080".into(),
        ..Request::new(NOW, "200.48.1.9".parse().unwrap())
    };
    (World::new(snapshot, routes).unwrap(), request)
}

#[test]
fn every_step_is_told() {
    let (world, request) = lima();
    expect![[]].assert_eq(&explain(&world, &request));
}

#[test]
fn so_it_is_when_nothing_is_known() {
    let (world, _) = lima();
    let request = Request::new(NOW + 90_000, "2800:200::1".parse().unwrap());
    expect![[]].assert_eq(&explain(&world, &request));
}

#[test]
fn and_when_nobody_may_serve() {
    let mut snapshot = fleet_of(1, 1, &routes_none());
    snapshot.sites[0].announced_only = true;
    let request = Request::new(NOW, "9.9.9.9".parse().unwrap());
    expect![[]].assert_eq(&explain(&world(snapshot), &request));
}
