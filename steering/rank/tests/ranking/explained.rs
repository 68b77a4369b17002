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
    expect![[r#"
        client 200.48.1.9   time 2026-11-18T11:06:40Z   decision e18d7750de67f92b (map v118, health v90233)
          1 nearness    200.48.0.0/16 from BGP session s00/rtr1 (longest match, MED 10), AS6147, country PE   -> prefix: site s00
          2 candidates  0 s00 (prefix)   c0 ok 40 %   c1 H (disk)   c2 C   c3 D (draining)
                        1 s02 (country)   c0 ok 40 %   c1 ok 40 %   c2 ok 40 %   c3 ok 40 %
                        2 s01 (neighbour)   c0 H (never heard)   c1 silent 40 %   c2 ok 40 %   c3 ok 40 %
          3 content     title/8812 1080: held by s00-c0, s00-c1, s00-c3
          4 weight      c0 10 Gbit/s x 1.00   c1 excluded   c2 excluded   c3 excluded
          5 answer      s00-c0, s02-c0 (rank 1), s02-c3 (rank 1), s02-c1 (rank 1)   miss: none
          would change if: s00-c0 drained -> s02-c0 (country); prefix withdrawn -> s00-c0 (country)
    "#]].assert_eq(&explain(&world, &request));
}

#[test]
fn so_it_is_when_nothing_is_known() {
    let (world, _) = lima();
    let request = Request::new(NOW + 90_000, "2800:200::1".parse().unwrap());
    expect![[r#"
        client 2800:200::1   time 2026-11-18T11:08:10Z   decision 32b89f98c4d41145 (map v118, health v90233)
          1 nearness    nothing is known   -> default: site s00
          2 candidates  0 s00 (default)   c0 ok 40 %   c1 H (disk)   c2 ok 40 %   c3 D (draining)
                        1 s01 (default)   c0 H (never heard)   c1 silent 40 %   c2 ok 40 %   c3 ok 40 %
                        2 s02 (default)   c0 ok 40 %   c1 ok 40 %   c2 ok 40 %   c3 ok 40 %
          3 content     not asked
          4 weight      c0 10 Gbit/s x 1.00   c1 excluded   c2 10 Gbit/s x 1.00   c3 excluded
          5 answer      s00-c2, s00-c0, s01-c3 (rank 1), s01-c2 (rank 1)   [stale map]   miss: none
          would change if: s00-c2 drained -> s00-c0 (default)
    "#]].assert_eq(&explain(&world, &request));
}

#[test]
fn and_when_nobody_may_serve() {
    let mut snapshot = fleet_of(1, 1, &routes_none());
    snapshot.sites[0].announced_only = true;
    let request = Request::new(NOW, "9.9.9.9".parse().unwrap());
    expect![[r#"
        client 9.9.9.9   time 2026-11-18T11:06:40Z   decision 7dde758ee0a4f94a (map v118, health v90233)
          1 nearness    nothing is known   -> default: site s00
          2 candidates  0 s00 (default)   c0 P
          3 content     not asked
          4 weight      -
          5 answer      nobody may serve this client   miss: none
    "#]].assert_eq(&explain(&world(snapshot), &request));
}
