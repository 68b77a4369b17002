//! What the control plane reads of operators, other processes and strangers: route files,
//! snapshots, lines of its own log, databases of places.

use std::sync::{Arc, LazyLock};

use weir_steering_geo::{Geo, Kind};
use weir_steering_playback::{ASKED_MAX, Asked, Document};
use weir_steering_rank::{
    Confirm, FileChecks, Limits, Record, Replay, Request, RouteDiff, RouteList, Routes, Snapshot,
    World, explain, rank, replay,
};

const CHECKS: FileChecks<'_> =
    FileChecks { name: "operator", is_site: &|site| site.len() == 3, reserved: false };

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let snapshot = include_bytes!("../corpus/snapshot/two-sites.json");
    let snapshot = serde_json::from_slice(snapshot).expect("it stands in the corpus");
    World::new(snapshot, Arc::new(Routes::default())).expect("it is sound")
});

pub(crate) fn routes(input: &[u8]) {
    let list = match RouteList::parse(input, &CHECKS) {
        Ok(list) => list,
        Err(why) => {
            // Whatever a file holds, it is told in bounded words.
            assert!(why.to_string().len() < 100_000);
            return;
        }
    };
    let built = list.build().expect("what is read can be built");
    let mut again = RouteList::default();
    again.append(&list).expect("as many as before");
    assert_eq!(again.build().expect("the same").digest(), built.digest());
    let diff = RouteDiff::of(&list, &again);
    assert_eq!((diff.added, diff.removed, diff.changed, diff.same), (0, 0, 0, built.len()));
    assert_eq!(diff.judge(Limits::default(), Confirm::No), Ok(()));
    for client in ["200.48.1.9", "10.0.0.1", "2800:200::1"] {
        let client = client.parse().expect("an address");
        for at in [None, Some("s00")] {
            if let Some(found) = built.find(at, client) {
                assert!(found.prefix.contains(client) && !found.offers.is_empty());
            }
        }
    }
}

pub(crate) fn snapshot(input: &[u8]) {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(input) else { return };
    let Ok(world) = World::new(snapshot, Arc::new(Routes::default())) else { return };
    for now_ms in [0, 1_795_000_000_000, u64::MAX] {
        for client in ["200.48.1.9", "2800:200::1"] {
            let request = Request {
                title: "title/8812".to_owned(),
                ..Request::new(now_ms, client.parse().expect("an address"))
            };
            let answer = rank(&world, &request);
            let line = Record::of(&world, &request, &answer).line();
            assert_eq!(replay(&world, line.as_bytes()).expect("a line"), Replay::Identical);
            explain(&world, &request);
        }
    }
}

pub(crate) fn record(input: &[u8]) {
    let Ok(record) = Record::parse(input) else { return };
    let line = record.line();
    assert_eq!(Record::parse(line.as_bytes()).expect("what is written is read"), record);
    let _ = replay(&WORLD, line.as_bytes()).expect("what is read is made again");
    explain(&WORLD, &record.request);
}

pub(crate) fn geo(input: &[u8]) {
    let geo = Geo::default();
    for kind in [Kind::Places, Kind::Networks] {
        let taken = geo.load(kind, input.to_vec()).is_ok();
        assert_eq!(taken, geo.summary(kind).is_some());
    }
    for client in ["200.48.1.9", "200.49.1.9", "2800:200::1", "9.9.9.9"] {
        geo.locate(client.parse().expect("an address"));
    }
}

pub(crate) fn question(input: &[u8]) {
    let Ok(query) = str::from_utf8(input) else { return };
    let asked = Asked::parse(query);
    assert!(asked.seen.len() <= ASKED_MAX);
    for seen in &asked.seen {
        // Whatever is kept may stand in a document.
        Document::new([&*seen.pathway], 1, "https://h/").expect("a pathway");
    }
}
