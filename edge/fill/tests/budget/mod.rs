//! Clients that have more fetched than they take.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use http::HeaderMap;
use tokio::time::{Instant, sleep};
use weir_benches_content::Content;
use weir_edge_fill::{
    Ask,
    account::{Account, Burst},
};

use super::script::{MIB, Origin, Reply, Step, World, good, headers};

static FILM: Content = Content { object: 1, version: 1, size: 32 * MIB };

fn world() -> World {
    World::new(Origin::new(|_, seen| Ok(good(&FILM, seen))))
}

/// A new client that begins with so many MiB.
fn client(mib: u64) -> Arc<Account> {
    Arc::new(Account::new(Burst::of(mib * MIB), Instant::now()))
}

fn by(client: &Arc<Account>, ask: Ask) -> Ask {
    Ask { client: Some(Arc::clone(client)), ..ask }
}

/// An ask for a range, with the field that a client would send.
fn part(world: &World, client: &Arc<Account>, path: &str, first: u64, last: u64) -> Ask {
    let fields: HeaderMap = headers(&[("range", &format!("bytes={first}-{last}"))]);
    let ask = by(client, world.ask_range(path, first, last));
    Ask { alone_headers: Arc::new(fields), ..ask }
}

fn fetched(world: &World) -> u64 {
    world.engine.counters().upstream_bytes.load(std::sync::atomic::Ordering::Relaxed)
}

/// Who asks for a hundred bytes each of many cold objects gets two chunks, then a hundred bytes.
#[tokio::test(start_paused = true)]
async fn small_ranges_of_cold_objects_are_passed_exactly() {
    let (world, client) = (world(), client(2));
    for number in 0..200 {
        let ask = part(&world, &client, &format!("/{number}"), 5 * MIB, 5 * MIB + 99);
        world.read_right(&ask, &FILM).await;
    }
    assert_eq!(world.origin.requests(), 200);
    assert_eq!(world.origin.seen(1).range.as_deref(), Some("bytes=5242880-6291455"));
    assert_eq!(world.origin.seen(2).range.as_deref(), Some("bytes=5242880-5242979"));
    assert_eq!(fetched(&world), 2 * MIB);
    // What is there, or comes for others, is everybody's.
    let ask = part(&world, &client, "/1", 5 * MIB + 100, 5 * MIB + 199);
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 200);
    // Time gives back a chunk and more.
    sleep(Duration::from_secs(40)).await;
    world.read_right(&part(&world, &client, "/x", 0, 99), &FILM).await;
    assert_eq!(world.origin.seen(200).range.as_deref(), Some("bytes=0-1048575"));
}

/// The end of an object of which nothing is known brings all of it: where that cannot be paid for,
/// the end alone.
#[tokio::test(start_paused = true)]
async fn ends_of_unknown_objects_are_dear() {
    let ends = async |client: &Arc<Account>| {
        let world = World::new(Origin::new(|_, _| Ok(super::script::whole(&FILM))));
        let fields: HeaderMap = headers(&[("range", "bytes=-100")]);
        let ask = Ask { alone_headers: Arc::new(fields), ..by(client, world.ask("/a")) };
        match world.engine.resolve(&ask).await.unwrap() {
            weir_edge_fill::Answer::Passed(_) => "passed",
            weir_edge_fill::Answer::Object(_) => "kept",
        }
    };
    let client = client(8);
    assert_eq!(ends(&client).await, "kept");
    client.spend(1, Instant::now());
    assert_eq!(ends(&client).await, "passed");
}

/// All at once get no more than one after the other.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_counts() {
    let origin =
        Origin::new(|_, seen| Ok(Reply { wait: Duration::from_millis(300), ..good(&FILM, seen) }));
    let (world, client) = (World::new(origin), client(2));
    let asks: Vec<_> = (0..50).map(|n| part(&world, &client, &format!("/{n}"), 0, 99)).collect();
    join_all(asks.iter().map(|ask| world.read_right(ask, &FILM))).await;
    assert_eq!(fetched(&world), 2 * MIB);
}

/// Who asks for a part of an object whose other parts are here.
#[tokio::test(start_paused = true)]
async fn missing_chunks_of_known_objects_count_as_well() {
    let (world, client) = (world(), client(1));
    let nobody = world.ask_range("/a", 0, 99);
    world.read_right(&nobody, &FILM).await;
    client.spend(MIB, Instant::now());
    let ask = part(&world, &client, "/a", 7 * MIB, 7 * MIB + 99);
    let found = world.found(&ask).await;
    let range = 7 * MIB..7 * MIB + 100;
    assert!(world.engine.affords_ranges(&ask, &found, std::slice::from_ref(&range)).is_none());
    let large = 7 * MIB..9 * MIB;
    assert!(world.engine.affords_ranges(&ask, &found, &[large]).is_some(), "it takes as much");
    let here = 0..100;
    assert!(world.engine.affords_ranges(&ask, &found, &[here]).is_some(), "it is here");
    let due = Instant::now() + Duration::from_secs(2);
    let passed = world.engine.exactly(&ask, due).await.unwrap();
    assert_eq!(super::script::drain(passed.response.body).await.0, FILM.bytes(range));
}

/// Who opens and leaves costs what was to spare, then little more than what was sent.
#[tokio::test(start_paused = true)]
async fn who_leaves_at_once_is_not_filled_for() {
    let (world, client) = (world(), client(8));
    let mut sent = 0;
    for number in 0..100 {
        let ask = by(&client, world.ask(&format!("/{number}")));
        let found = world.found(&ask).await;
        let reader = world.engine.open(&ask, &found, None).await.unwrap();
        let mut body = Box::pin(reader.into_stream());
        for _ in 0..4 {
            sent += body.next().await.unwrap().unwrap().len() as u64;
        }
        drop(body);
        // Long enough for every fill to come to its end, if it would.
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.engine.under_way(), 0, "they have stopped");
    let most = 8 * MIB + 2 * MIB + sent / 2 * 3;
    assert!(fetched(&world) <= most, "{} for {sent}", fetched(&world));
}

/// A fill that nobody reads any more goes on while it is worth it; what came in whole chunks stays.
#[tokio::test(start_paused = true)]
async fn a_fill_without_readers_stops_at_a_chunk() {
    let origin = Origin::new(|_, seen| {
        let mut reply = good(&FILM, seen);
        reply.steps.insert(1, Step::Wait(Duration::from_millis(100)));
        Ok(reply)
    });
    let (world, client) = (World::new(origin), client(64));
    let ask = by(&client, world.ask("/a"));
    let found = world.found(&ask).await;
    let reader = world.engine.open(&ask, &found, None).await.unwrap();
    drop(reader);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.engine.under_way(), 0);
    assert!(fetched(&world) <= 2 * MIB, "{}", fetched(&world));
    world.read_right(&by(&client, world.ask("/a")), &FILM).await;
    assert_eq!(world.origin.seen(1).range.as_deref(), Some("bytes=1048576-33554431"));
    assert_eq!(world.origin.requests(), 2);
}

/// Who has nothing left still gets all it takes, and its fill stays a little ahead of it.
#[tokio::test(start_paused = true)]
async fn who_takes_everything_gets_everything() {
    let (world, client) = (world(), client(1));
    client.spend(100 * MIB, Instant::now());
    world.read_right(&by(&client, world.ask("/a")), &FILM).await;
    // In windows: 16 KiB, then twice as far as it has come, up to 8 MiB more.
    assert_eq!((world.origin.requests(), fetched(&world)), (13, FILM.size));
    let ranges: Vec<_> = (0..3).map(|at| world.origin.seen(at).range.unwrap()).collect();
    assert_eq!(ranges, ["bytes=0-16383", "bytes=16384-32767", "bytes=32768-65535"]);
    // A slow one, too: more requests, and no byte twice that was in a whole chunk.
    client.spend(1000 * MIB, Instant::now());
    let ask = by(&client, world.ask("/slow"));
    let found = world.found(&ask).await;
    let reader = world.engine.open(&ask, &found, Some(0..4 * MIB)).await.unwrap();
    let mut body = Box::pin(reader.into_stream());
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.unwrap());
        sleep(Duration::from_secs(11)).await;
    }
    assert_eq!(bytes, FILM.bytes(0..4 * MIB));
    assert!(fetched(&world) <= FILM.size + 6 * MIB, "{}", fetched(&world));
}

/// Another client that asks along pays, and has the fill go on.
#[tokio::test(start_paused = true)]
async fn who_has_something_left_pays_for_both() {
    let (world, poor, rich) = (world(), client(1), client(64));
    poor.spend(100 * MIB, Instant::now());
    let ask = by(&poor, world.ask("/a"));
    let found = world.found(&ask).await;
    let stuck = world.engine.open(&ask, &found, None).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(fetched(&world) < MIB, "it waits for its reader");
    world.read_right(&by(&rich, world.ask("/a")), &FILM).await;
    // Two windows for who has nothing, and the rest at once.
    assert_eq!((world.origin.requests(), fetched(&world)), (3, FILM.size));
    assert_eq!(world.origin.seen(2).range.as_deref(), Some("bytes=32768-33554431"));
    drop(stuck);
}
