//! What cannot be had again waits for who reads it, without a disk: bounded, and never for ever.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{StreamExt, join};
use http::header;
use tokio::time::{Instant, sleep};
use weir_benches_content::{Checker, Content, Expected};
use weir_edge_fill::{Ask, upstream::UpstreamError};

use crate::script::{MIB, Origin, Reply, World, drain, whole};

/// Larger than the RAM of these scripts.
static FILM: Content = Content { object: 5, version: 1, size: 60 * MIB + 12_345 };
const RAM: u64 = 16 * MIB;

/// A body that cannot be asked for again: without an ETag, or without a length as well.
fn once(declared: bool) -> Reply {
    let mut reply = whole(&FILM);
    reply.headers.remove(header::ETAG);
    reply.declared = reply.declared.filter(|_| declared);
    reply
}

/// Reads with a pause after each MiB, and checks every byte.
async fn read_slowly(
    world: &World,
    ask: &Ask,
    pause: impl Fn(u64) -> Duration,
) -> Result<(), UpstreamError> {
    let found = world.found(ask).await;
    let reader = world.engine.open(ask, &found, None).await?;
    let mut stream = Box::pin(reader.into_stream());
    let (mut bytes, mut paused) = (Vec::new(), 0);
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
        while bytes.len() as u64 / MIB > paused {
            sleep(pause(paused)).await;
            paused += 1;
        }
    }
    let verdict = Checker::check(Expected::all(&FILM), &bytes);
    assert!(verdict.is_clean(), "{verdict:?}");
    Ok(())
}

fn left_behind(world: &World) -> u64 {
    world.engine.counters().left_behind.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_to_the_end() {
    for declared in [true, false] {
        let world = World::with_memory(Origin::new(move |_, _| Ok(once(declared))), RAM);
        let ask = world.ask("/a");
        let second = |_| Duration::from_secs(1);
        read_slowly(&world, &ask, second).await.unwrap();
        assert_eq!((world.origin.requests(), left_behind(&world)), (1, 0), "{declared}");
        assert_eq!(world.engine.under_way(), 0);
    }
}

/// The fast one waits for the slow one, and both get everything of one request.
#[tokio::test(start_paused = true)]
async fn readers_of_different_speed_share_a_fill() {
    let world = World::with_memory(Origin::new(|_, _| Ok(once(true))), RAM);
    let ask = world.ask("/a");
    let (slow, fast) = join!(
        read_slowly(&world, &ask, |_| Duration::from_secs(2)),
        read_slowly(&world, &ask, |_| Duration::ZERO),
    );
    slow.unwrap();
    fast.unwrap();
    assert_eq!((world.origin.requests(), left_behind(&world)), (1, 0));
}

/// Who takes nothing for too long is cut, and costs the others that time once.
#[tokio::test(start_paused = true)]
async fn a_stuck_reader_is_left_behind() {
    let world = World::with_memory(Origin::new(|_, _| Ok(once(true))), RAM);
    let ask = world.ask("/a");
    let begun = Instant::now();
    let fast = async {
        read_slowly(&world, &ask, |_| Duration::ZERO).await.unwrap();
        begun.elapsed()
    };
    let stuck = |at| if at == 5 { Duration::from_secs(3600) } else { Duration::ZERO };
    let (cut, took) = join!(read_slowly(&world, &ask, stuck), fast);
    assert!(cut.is_err(), "bytes that are nowhere were read");
    assert!(took < Duration::from_secs(32), "the other one waited {took:?}");
    assert!(left_behind(&world) >= 1);
    assert_eq!(world.engine.slots_free(), 64);
}

/// A reader that goes away holds up nobody.
#[tokio::test(start_paused = true)]
async fn a_reader_that_is_gone_is_not_waited_for() {
    let world = World::with_memory(Origin::new(|_, _| Ok(once(true))), RAM);
    let ask = world.ask("/a");
    let gone = async {
        let found = world.found(&ask).await;
        let reader = world.engine.open(&ask, &found, None).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        drop(reader);
    };
    let begun = Instant::now();
    let fast = async {
        read_slowly(&world, &ask, |_| Duration::ZERO).await.unwrap();
        begun.elapsed()
    };
    let ((), took) = join!(gone, fast);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(left_behind(&world), 0);
}

/// What is kept for slow readers is bounded: the upstream is read no faster than they read.
#[tokio::test(start_paused = true)]
async fn what_is_kept_for_slow_readers_is_bounded() {
    let world = World::with_memory(Origin::new(|_, _| Ok(once(true))), RAM);
    let ask = world.ask("/a");
    let found = world.found(&ask).await;
    let reader = world.engine.open(&ask, &found, None).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    let brought = world.engine.counters().upstream_bytes.load(Ordering::Relaxed);
    // Half the RAM, the window, and what was on its way.
    assert!(brought <= RAM / 2 + 8 * MIB, "{brought} bytes for a reader that reads none");
    drop(reader);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.engine.under_way(), 0, "it goes on when nobody is behind");
}

/// Readers outlive their fills, in any number: what is kept for them has one bound all the same.
#[tokio::test(start_paused = true)]
async fn what_is_kept_when_fills_have_ended_is_bounded() {
    static CLIP: Content = Content { object: 6, version: 1, size: 4 * MIB };
    const READERS: u64 = 40;
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&CLIP);
        reply.headers.remove(header::ETAG);
        Ok(reply)
    });
    let world = World::with_memory(origin, RAM);
    let mut readers = Vec::new();
    for number in 0..READERS {
        let ask = world.ask(&format!("/{number}"));
        let found = world.found(&ask).await;
        readers.push(world.engine.open(&ask, &found, None).await.unwrap());
    }
    // None of them reads on: those who are waited for have been waited for.
    sleep(Duration::from_secs(600)).await;
    assert_eq!(world.engine.slots_free(), 64);
    let mut whole = 0;
    for reader in readers {
        whole += u64::from(drain(reader.into_stream()).await.1.is_ok());
    }
    assert!((1..=(RAM / 2 + RAM) / CLIP.size).contains(&whole), "{whole} could read on");
    assert!(left_behind(&world) >= READERS / 2, "{}", left_behind(&world));
}

/// Slow readers do not hold the places of fills that others wait for.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_gets_it() {
    let world = World::with(Origin::new(|_, _| Ok(once(true))), RAM, 2, |clock| clock);
    let mut stuck = Vec::new();
    for path in ["/a", "/b"] {
        let ask = world.ask(path);
        let found = world.found(&ask).await;
        stuck.push(world.engine.open(&ask, &found, None).await.unwrap());
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.engine.slots_free(), 0, "both wait for their readers");
    let begun = Instant::now();
    read_slowly(&world, &world.ask("/c"), |_| Duration::ZERO).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(left_behind(&world) >= 1);
}
