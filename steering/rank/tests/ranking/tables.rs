//! One fleet of three sites with three nodes each, changed in one way at a time.

use std::{net::IpAddr, sync::Arc};

use expect_test::{Expect, expect};

use crate::{testing::*, *};

fn client() -> IpAddr {
    "200.48.1.9".parse().unwrap()
}

/// Near the site `s00`, then `s01`.
fn request() -> Request {
    Request {
        place: Place::degrees(0.0, -1.0),
        title: "title/8812".into(),
        rendition: "1080".into(),
        session: 7,
        ..Request::new(NOW, client())
    }
}

/// As a record says it: the servers, the tags, and each site.
fn told(world: &World, request: &Request) -> String {
    let answer = rank(world, request);
    let told = Record::of(world, request, &answer).answer;
    let servers: Vec<String> =
        told.servers.iter().map(|it| format!("{}:{}", it.node, it.near)).collect();
    let mut out = servers.join(" ");
    let tags = [
        (told.panic, " panic"),
        (told.desperate, " desperate"),
        (told.stale_map, " stale"),
        (told.cold, " cold"),
    ];
    out.extend(tags.into_iter().filter(|(is, _)| *is).map(|(_, tag)| tag));
    if told.miss != Miss::None {
        out += &format!(" miss={}", told.miss.word());
    }
    for site in &told.sites {
        let nodes = site.nodes.replace(&format!("{}-", site.site), "");
        let spilled = if site.spilled { " spilled" } else { "" };
        out += &format!("\n{} {}{spilled}: {nodes}", site.site, site.basis.word());
    }
    out
}

#[track_caller]
fn check(change: impl FnOnce(&mut Snapshot, &mut Request), expected: &Expect) {
    let mut snapshot = fleet_of(3, 3, &routes_none());
    let mut request = request();
    change(&mut snapshot, &mut request);
    expected.assert_eq(&told(&world(snapshot), &request));
}

fn node<'a>(snapshot: &'a mut Snapshot, name: &str) -> &'a mut Node {
    snapshot.nodes.iter_mut().find(|node| node.name == name).unwrap()
}

fn site(snapshot: &mut Snapshot, name: &str, change: impl Fn(&mut Node)) {
    snapshot.nodes.iter_mut().filter(|node| node.site == name).for_each(change);
}

fn out(node: &mut Node, cause: Cause) {
    node.health.rotation = Rotation { serving: false, cause, ..Rotation::new(NOW - 60_000) };
}

#[test]
fn all_is_well() {
    check(
        |_, _| {},
        &expect![[r#"
            s00-c0:0 s00-c2:0 s01-c0:1 s01-c1:1
            s00 geo: c0=1 c1=ok c2=2
            s01 geo: c0=3 c1=4 c2=ok
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
}

#[test]
fn one_letter_for_each_reason() {
    check(
        |it, _| {
            node(it, "s00-c0").intent = Intent::Draining;
            node(it, "s00-c1").health.purge_epoch = 6;
            node(it, "s00-c2").v4 = None;
            out(node(it, "s01-c0"), Cause::Load);
            node(it, "s01-c1").health.shunned_until_ms = NOW + 1;
            node(it, "s02-c0").health.holdings = Some(Holdings::of(1, &[]));
            out(node(it, "s02-c1"), Cause::Health);
        },
        &expect![[r#"
            s01-c2:1 s02-c2:2 miss=policy
            s00 geo: c0=D c1=E c2=V
            s01 geo: c0=L c1=T c2=1
            s02 geo: c0=C c1=H c2=2"#]],
    );
}

#[test]
fn a_reason_that_has_passed_is_none() {
    check(
        |it, _| {
            node(it, "s00-c0").health.shunned_until_ms = NOW;
            node(it, "s00-c1").v6 = None;
        },
        &expect![[r#"
            s00-c0:0 s00-c2:0 s01-c0:1 s01-c1:1
            s00 geo: c0=1 c1=ok c2=2
            s01 geo: c0=3 c1=4 c2=ok
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
}

#[test]
fn panic_ignores_load_and_health_and_keeps_the_rest() {
    check(
        |it, _| {
            out(node(it, "s00-c0"), Cause::Load);
            out(node(it, "s00-c1"), Cause::Health);
            it.sites[1].services = vec!["live".into()];
            site(it, "s02", |node| node.intent = Intent::Draining);
        },
        &expect![[r#"
            s00-c0:0 s00-c2:0 s00-c1:0 panic
            s00 geo: c0=1L c1=3H c2=2
            s01 geo: c0=P c1=P c2=P
            s02 geo: c0=D c1=D c2=D"#]],
    );
}

#[test]
fn a_site_with_some_room_keeps_so_many_of_its_clients() {
    let mut snapshot = fleet_of(3, 4, &routes_none());
    for name in ["s00-c1", "s00-c2"] {
        out(node(&mut snapshot, name), Cause::Load);
    }
    let world = world(snapshot);
    let stays = |session: u64| {
        let answer = rank(&world, &Request { session, ..request() });
        let first = &answer.servers[0];
        assert_eq!(answer.miss, if first.near == 0 { Miss::None } else { Miss::Load });
        assert!(!answer.panic && first.near < 2);
        first.near == 0
    };
    // Half of its weight is left, and a site is built for 1.4 of what it carries.
    let stayed = (0..10_000).filter(|session| stays(*session)).count();
    assert!((6_800..7_200).contains(&stayed), "{stayed} of 10,000");
}

#[test]
fn half_of_a_site_is_enough() {
    check(
        |it, _| {
            it.nodes.retain(|node| node.name != "s00-c2");
            out(node(it, "s00-c1"), Cause::Load);
        },
        &expect![[r#"
            s00-c0:0 s01-c0:1 s01-c1:1 s01-c2:1
            s00 geo: c0=1 c1=L
            s01 geo: c0=2 c1=3 c2=4
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
}

#[test]
fn a_site_without_room_is_left_for_the_next() {
    check(
        |it, _| site(it, "s00", |node| out(node, Cause::Load)),
        &expect![[r#"
            s01-c0:1 s01-c1:1 s02-c0:2 s02-c1:2 miss=load
            s00 geo spilled: c0=L c1=L c2=L
            s01 geo: c0=1 c1=2 c2=ok
            s02 geo: c0=3 c1=4 c2=ok"#]],
    );
}

#[test]
fn a_node_is_dead_when_two_observers_say_so_in_that_family() {
    check(
        |it, _| {
            node(it, "s00-c0").v4 = Some(Side { failed_observers: 2 });
            node(it, "s00-c1").v4 = Some(Side { failed_observers: 2 });
        },
        &expect![[r#"
            s00-c2:0 s01-c0:1 s01-c1:1 s01-c2:1
            s00 geo: c0=H c1=H c2=1
            s01 geo: c0=2 c1=3 c2=4
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
    // One observer may be wrong, and the other family is another matter.
    check(
        |it, _| {
            node(it, "s00-c0").v4 = Some(Side { failed_observers: 1 });
            node(it, "s00-c1").v6 = Some(Side { failed_observers: 2 });
        },
        &expect![[r#"
            s00-c0:0 s00-c2:0 s01-c0:1 s01-c1:1
            s00 geo: c0=1 c1=ok c2=2
            s01 geo: c0=3 c1=4 c2=ok
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
}

#[test]
fn who_is_late_stands_last_and_who_is_silent_never_first() {
    check(
        |it, _| {
            node(it, "s00-c1").health.reported_at_ms = NOW - 4_000;
            site(it, "s01", |node| node.health.reported_at_ms = NOW - 6_000);
        },
        &expect![[r#"
            s00-c0:0 s00-c2:0 s02-c0:2 s02-c1:2
            s00 geo: c0=1 c1=late c2=2
            s01 geo spilled: c0=silent c1=silent c2=silent
            s02 geo: c0=3 c1=4 c2=ok"#]],
    );
    check(
        |it, _| site(it, "s00", |node| node.health.reported_at_ms = NOW - 6_000),
        &expect![[r#"
            s01-c0:1 s01-c1:1 s02-c0:2 s02-c1:2 miss=health
            s00 geo spilled: c0=silent c1=silent c2=silent
            s01 geo: c0=1 c1=2 c2=ok
            s02 geo: c0=3 c1=4 c2=ok"#]],
    );
}

#[test]
fn a_stale_map_says_so_and_silence_says_nothing() {
    check(
        |it, request| {
            request.now_ms += 60_000;
            out(node(it, "s00-c1"), Cause::Load);
        },
        &expect![[r#"
            s00-c0:0 s00-c2:0 s01-c0:1 s01-c1:1 stale
            s00 geo: c0=1 c1=L c2=2
            s01 geo: c0=3 c1=4 c2=ok
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
}

#[test]
fn the_first_two_do_not_fail_together() {
    check(
        |it, _| {
            site(it, "s00", |node| node.domain = Some("rack-1".into()));
            node(it, "s00-c2").domain = Some("rack-2".into());
        },
        &expect![[r#"
            s00-c0:0 s00-c2:0 s01-c0:1 s01-c1:1
            s00 geo: c0=1 c1=ok c2=2
            s01 geo: c0=3 c1=4 c2=ok
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
    check(
        |it, _| site(it, "s00", |node| node.domain = Some("rack-1".into())),
        &expect![[r#"
            s00-c0:0 s01-c0:1 s00-c2:0 s01-c1:1
            s00 geo: c0=1 c1=ok c2=3
            s01 geo: c0=2 c1=4 c2=ok
            s02 geo: c0=ok c1=ok c2=ok"#]],
    );
}

#[test]
fn content_beats_nearness_among_the_near_and_the_nearest_fetches_what_nobody_has() {
    let key = ContentKey::new("title/8812", "1080");
    check(
        |it, _| {
            for node in &mut it.nodes {
                node.health.holdings = Some(Holdings::of(1, &[]));
            }
            node(it, "s01-c0").health.holdings = Some(Holdings::of(1, &[key]));
        },
        &expect![[r#"
            s01-c0:1 s00-c0:0 s00-c2:0 s01-c1:1 miss=content
            s00 geo: c0=2C c1=C c2=3C
            s01 geo: c0=1 c1=4C c2=C
            s02 geo: c0=C c1=C c2=C"#]],
    );
    check(
        |it, _| {
            for node in &mut it.nodes {
                node.health.holdings = Some(Holdings::of(1, &[]));
            }
        },
        &expect![[r#"
            s00-c0:0 s00-c2:0 s01-c0:1 s01-c1:1 cold
            s00 geo: c0=1C c1=C c2=2C
            s01 geo: c0=3C c1=4C c2=C
            s02 geo: c0=C c1=C c2=C"#]],
    );
}

#[test]
fn sites_that_may_not_serve_are_passed_by() {
    check(
        |it, _| {
            it.sites[0].announced_only = true;
            it.sites[1].countries = vec![Country::parse("CO").unwrap()];
        },
        &expect![[r#"
            s02-c0:2 s02-c1:2 s02-c2:2 miss=policy
            s00 geo: c0=P c1=P c2=P
            s01 geo: c0=P c1=P c2=P
            s02 geo: c0=1 c1=2 c2=3"#]],
    );
}

#[test]
fn a_last_resort_stands_behind_all_others() {
    check(
        |it, _| it.sites[0].last_resort = true,
        &expect![[r#"
        s01-c0:0 s01-c1:0 s02-c0:1 s00-c0:2
        s01 geo: c0=1 c1=2 c2=ok
        s02 geo: c0=3 c1=ok c2=ok"#]],
    );
}

#[test]
fn nobody_is_left() {
    check(
        |it, _| it.nodes.iter_mut().for_each(|node| node.intent = Intent::Draining),
        &expect![[r#"
            s00-c0:0 s00-c2:0 s01-c0:1 s01-c1:1 panic desperate
            s00 geo: c0=1D c1=D c2=2D
            s01 geo: c0=3D c1=4D c2=D
            s02 geo: c0=D c1=D c2=D"#]],
    );
    check(
        |it, _| it.nodes.iter_mut().for_each(|node| node.v4 = None),
        &expect![[r#"

            s00 geo: c0=V c1=V c2=V
            s01 geo: c0=V c1=V c2=V
            s02 geo: c0=V c1=V c2=V"#]],
    );
    check(
        |it, _| {
            it.nodes.clear();
            it.sites.clear();
            it.default_order.clear();
        },
        &expect![""],
    );
}

/// A world with prefixes.
fn routed(lines: &str) -> (World, Request) {
    let checks = FileChecks { name: "operator", is_site: &|_| true, reserved: false };
    let list = RouteList::parse(lines.as_bytes(), &checks).unwrap();
    let routes = Arc::new(list.build().unwrap());
    let snapshot = fleet_of(4, 1, &routes);
    (World::new(snapshot, routes).unwrap(), request())
}

fn order(world: &World, request: &Request) -> String {
    let answer = rank(world, request);
    let name =
        |near: &Near| format!("{} {}", world.fleet().site(near.site).name, near.basis.word());
    answer.near.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[test]
fn nearness_goes_from_prefix_to_default() {
    let (world, request) = routed(
        "200.48.0.0/16 s03\n200.48.0.0/16 s02 preference=50\n100.64.0.0/10 s02 at=s02\n\
         100.64.0.0/10 s01 at=s01\n2800:200::/32 s03",
    );
    let ask = |change: &dyn Fn(&mut Request)| {
        let mut request = request.clone();
        change(&mut request);
        order(&world, &request)
    };
    assert_eq!(ask(&|_| {}), "s03 prefix, s02 prefix, s00 geo, s01 geo");
    let unknown = |it: &mut Request| it.place = None;
    assert_eq!(ask(&unknown), "s03 prefix, s02 prefix, s01 neighbour, s00 neighbour");
    let elsewhere = |it: &mut Request| {
        it.client = "9.9.9.9".parse().unwrap();
        it.place = None;
    };
    assert_eq!(ask(&elsewhere), "s00 default, s01 default, s02 default, s03 default");
    let country = |it: &mut Request| {
        elsewhere(it);
        it.country = Country::parse("CO");
    };
    assert_eq!(ask(&country), "s01 country, s03 country, s00 neighbour, s02 neighbour");
    // The same private address, from two sites.
    for (at, expected) in [("s02", "s02 prefix"), ("s01", "s01 prefix"), ("s03", "s00 geo")] {
        let private = ask(&|it| {
            it.client = "100.64.3.4".parse().unwrap();
            it.at = Some(at.into());
        });
        assert!(private.starts_with(expected), "{at}: {private}");
    }
    for six in ["2800:200::9", "::ffff:200.48.1.9"] {
        let six = ask(&|it| it.client = six.parse().unwrap());
        assert!(six.starts_with("s03 prefix"), "{six}");
    }
}

#[test]
fn networks_come_behind_prefixes_and_before_places() {
    let mut snapshot = fleet_of(4, 1, &routes_none());
    snapshot.asns.push(AsnRule { asn: 6147, sites: vec!["s03".into(), "s02".into()] });
    let world = world(snapshot);
    let request = Request { asn: Some(6147), ..request() };
    assert_eq!(order(&world, &request), "s03 asn, s02 asn, s00 geo, s01 geo");
}

#[test]
fn a_snapshot_of_other_prefixes_is_refused() {
    let mut snapshot = fleet_of(1, 1, &routes_none());
    snapshot.routes = 7;
    let why = World::new(snapshot, routes_none()).unwrap_err().to_string();
    assert!(why.starts_with("it belongs to the prefixes 0000000000000007"), "{why}");
}

#[test]
fn hot_titles_stand_on_several_nodes() {
    let mut snapshot = fleet_of(1, 6, &routes_none());
    snapshot.hot.push(Hot { title: "title/8812".into(), copies: 3 });
    let world = world(snapshot);
    let first = |title: &str, session: u64| {
        let request = Request { title: title.into(), session, ..request() };
        rank(&world, &request).servers[0].node
    };
    let nodes = |title: &str| {
        (0..200).map(|session| first(title, session)).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(nodes("title/8812").len(), 3);
    assert_eq!(nodes("title/1").len(), 1);
}
