//! Decisions that are written down, made again, and played with another fleet.

use expect_test::expect;

use crate::{testing::*, *};

fn request() -> Request {
    Request {
        place: Place::degrees(0.0, -1.0),
        country: Country::parse("PE"),
        title: "title/8812".into(),
        session: 7,
        ..Request::new(NOW, "200.48.1.9".parse().unwrap())
    }
}

#[test]
fn a_record_is_one_line() {
    let world = world(fleet_of(2, 2, &routes_none()));
    let line = Record::of(&world, &request(), &rank(&world, &request())).line();
    expect![[r#"{"schema":1,"decision":"3a0f784bcbc99843","snapshot":{"map":118,"health":90233},"request":{"now_ms":1795000000000,"client":"200.48.1.9","country":"PE","place":{"latitude":0,"longitude":-1000000},"title":"title/8812","session":7,"want":4},"answer":{"servers":[{"node":"s00-c0","site":"s00","near":0},{"node":"s00-c1","site":"s00","near":0},{"node":"s01-c0","site":"s01","near":1},{"node":"s01-c1","site":"s01","near":1}],"sites":[{"site":"s00","basis":"geo","nodes":"s00-c0=1 s00-c1=2"},{"site":"s01","basis":"geo","nodes":"s01-c0=3 s01-c1=4"}],"miss":"none"}}"#]].assert_eq(&line);
    assert_eq!(replay(&world, line.as_bytes()).unwrap(), Replay::Identical);
    assert_eq!(replay(&world, format!("{line}\n").as_bytes()).unwrap(), Replay::Identical);
}

#[test]
fn another_fleet_is_noticed() {
    let snapshot = fleet_of(2, 2, &routes_none());
    let one = world(snapshot.clone());
    let line = Record::of(&one, &request(), &rank(&one, &request())).line();
    let mut newer = snapshot.clone();
    newer.id.health += 1;
    let newer = replay(&world(newer), line.as_bytes()).unwrap();
    assert_eq!(newer, Replay::OtherSnapshot(snapshot.id));
    let mut forged = snapshot;
    forged.nodes[0].intent = Intent::Draining;
    let forged = replay(&world(forged), line.as_bytes()).unwrap();
    assert!(matches!(forged, Replay::Differs(now) if now.contains("s00-c0=D")));
}

#[test]
fn what_is_no_record_is_refused() {
    let world = world(fleet_of(1, 1, &routes_none()));
    let line = Record::of(&world, &request(), &rank(&world, &request())).line();
    let check = |line: &str, expected: &str| {
        let why = replay(&world, line.as_bytes()).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    };
    check("", "it is no decision: EOF");
    check(&line[..line.len() - 9], "it is no decision");
    check(&line.replace("\"schema\":1", "\"schema\":2"), "its schema is 2");
    check(&line.replace("title/8812", &"x".repeat(300)), "its request has a title");
    check(&line.replace("\"want\":4", "\"want\":99"), "its request has wanted servers");
    check(&line.replace("\"now_ms\"", "\"colour\""), "unknown field `colour`");
    check(&"x".repeat(RECORD_MAX + 1), "at most 1048576 are read");
}

#[test]
fn a_drain_is_played_before_it_is_done() {
    let world = world(fleet_of(2, 3, &routes_none()));
    let asked = |title: u32| Request { title: format!("title/{title}"), ..request() };
    let requests: Vec<Request> = (0..3_000).map(asked).collect();
    let drain = [WhatIf::Drain("s00-c1".into())];
    let forecast = simulate(&world, &drain, &requests).unwrap();
    let node = |name: &str| forecast.nodes[name];
    assert_eq!(forecast.requests, 3_000);
    assert_eq!(node("s00-c1").after, 0);
    assert_eq!(forecast.moved, node("s00-c1").before);
    assert_eq!(node("s00-c0").after + node("s00-c2").after, 3_000);
    assert_eq!((forecast.further, forecast.unserved, forecast.panic), (0, 0, (0, 0)));
    let away = simulate(&world, &[WhatIf::DrainSite("s00".into())], &requests).unwrap();
    assert_eq!((away.further, away.sites["s01"].after), (3_000, 3_000));
    let dead = simulate(&world, &[WhatIf::Kill("s00-c1".into())], &requests).unwrap();
    assert_eq!(dead.nodes["s00-c1"].after, 0);
    for (change, expected) in [
        (WhatIf::Drain("s09-c1".into()), "there is no node `s09-c1`"),
        (WhatIf::DrainSite("s09".into()), "there is no site `s09`"),
    ] {
        let why = simulate(&world, &[change], &requests).unwrap_err().to_string();
        assert_eq!(why, expected);
    }
}
