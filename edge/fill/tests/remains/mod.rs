//! What stays in the cache, and what does not: after answers that do not fit together, after
//! bodies that broke off, after purges that came in between. Each script is what told one
//! mutation of the engine from the engine itself.

use std::{sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    join,
};
use http::header;
use weir_benches_content::{Checker, Content, Expected};
use weir_edge_fill::{
    Ask,
    upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse},
};

use crate::script::{MIB, Origin, Reply, Step, World, etag, good, truncated, whole};

static FILM: Content = Content { object: 2, version: 1, size: 3 * MIB + 12_345 };

/// No longer than what a fill keeps for its followers: none of them loses a chunk by a purge.
static SHORT: Content = Content { object: 3, version: 1, size: MIB + 300_000 };

/// Whether these are the first bytes of it.
fn begins(content: &Content, bytes: &[u8]) -> bool {
    Checker::check(Expected::range(content, 0..bytes.len() as u64), bytes).is_clean()
}

/// Objects in the table and chunks in RAM.
fn kept(world: &World) -> (usize, u64) {
    let stats = world.engine.cache().stats();
    (usize::try_from(stats.objects).unwrap(), stats.ram_chunks)
}

async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A connection that is gone in the middle of a chunk: whole chunks stay, that one does not.
#[tokio::test(start_paused = true)]
async fn a_chunk_that_broke_off_is_not_kept() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FILM, seen);
        if index == 0 {
            // One chunk and a half, then silence, which contradicts nothing.
            reply.headers.remove(header::ETAG);
            reply.steps.insert(24, Step::Wait(Duration::from_secs(3600)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let (bytes, end) = world.read(&world.ask("/a")).await;
    assert!(end.is_err() && begins(&FILM, &bytes));
    a_moment().await;
    assert_eq!(kept(&world), (1, 1));
    // Its head says nothing by which the rest could be told to be of the same bytes.
    let mut read = world.read(&world.ask("/a")).await;
    if read.1.is_err() {
        assert!(begins(&FILM, &read.0));
        read = world.read(&world.ask("/a")).await;
    }
    assert!(read.1.is_ok() && read.0.len() as u64 == FILM.size && begins(&FILM, &read.0));
}

/// What is sent as the rest of a body is looked at, also where a server does not know what a
/// condition is: another tag, or another place, is another body's.
#[tokio::test(start_paused = true)]
async fn another_tag_or_place_is_no_rest() {
    let new = FILM.at_version(2);
    for what in ["tag", "first byte", "last byte", "size", "no place", "200"] {
        let origin = Origin::new(move |index, seen| {
            let mut seen = seen.clone();
            seen.if_match = None;
            let now = if index > 0 && what == "tag" { new } else { FILM };
            let mut reply = good(&now, &seen);
            if index == 0 {
                reply.steps.truncate(20);
                reply.steps.push(Step::Fail(truncated(20 << 16)));
            }
            if index == 1 {
                let (first, last, size) = (20 << 16, FILM.size - 1, FILM.size);
                let place = match what {
                    "first byte" => format!("bytes {}-{last}/{size}", first + 32),
                    "last byte" => format!("bytes {first}-{}/{size}", last - 32),
                    "size" => format!("bytes {first}-{last}/{}", size + 32),
                    _ => format!("bytes {first}-{last}/{size}"),
                };
                reply.headers.insert(header::CONTENT_RANGE, place.parse().unwrap());
                // The bytes belong to the place that is named, so only looking at it helps.
                let shifted = |from, to| vec![Step::Send(FILM.bytes(from..to))];
                match what {
                    "first byte" => {
                        reply.steps = shifted(first + 32, last + 1);
                        reply.steps.push(Step::Send(FILM.bytes(0..32)));
                    }
                    "no place" => drop(reply.headers.remove(header::CONTENT_RANGE)),
                    "200" => {
                        reply = whole(&FILM);
                        reply.headers.remove(header::ETAG);
                    }
                    _ => {}
                }
            }
            Ok(reply)
        });
        let world = World::new(origin);
        let (bytes, end) = world.read(&world.ask("/a")).await;
        assert!(end.is_err(), "{what}: taken");
        assert!(begins(&FILM, &bytes), "{what}: spliced");
        a_moment().await;
        assert_eq!(kept(&world), (0, 0), "{what}: something stayed");
        world.read_right(&world.ask("/a"), if what == "tag" { &new } else { &FILM }).await;
    }
}

/// A part that is not the one that was asked for is not kept, and nobody gets its bytes for
/// others.
#[tokio::test(start_paused = true)]
async fn a_part_of_another_place_is_refused() {
    for what in ["first byte", "last byte", "weak tag", "no tag"] {
        let origin = Origin::new(move |index, seen| {
            let mut reply = good(&FILM, seen);
            if index > 0 {
                return Ok(reply);
            }
            assert_eq!(seen.range.as_deref(), Some("bytes=1048576-2097151"));
            let size = FILM.size;
            let (from, to) = match what {
                "first byte" => (MIB + 32, 2 * MIB),
                "last byte" => (MIB, 2 * MIB + 32),
                _ => (MIB, 2 * MIB),
            };
            let place = format!("bytes {from}-{}/{size}", to - 1);
            reply.headers.insert(header::CONTENT_RANGE, place.parse().unwrap());
            reply.declared = Some(to - from);
            reply.steps = vec![Step::Send(FILM.bytes(from..to))];
            match what {
                "weak tag" => drop(reply.headers.insert(header::ETAG, "W/\"x\"".parse().unwrap())),
                "no tag" => drop(reply.headers.remove(header::ETAG)),
                _ => {}
            }
            Ok(reply)
        });
        let world = World::new(origin);
        let part = world.ask_range("/a", MIB, MIB + 99);
        let contradicts = what.ends_with("byte");
        if contradicts {
            let (bytes, end) = world.read(&part).await;
            assert!(end.is_err() && bytes.is_empty(), "{what}: taken");
        } else {
            // Its bytes may be right, but nothing vouches for what would be joined to them.
            world.read_right(&part, &FILM).await;
            assert_eq!(world.origin.seen(1).range, None, "{what}: not asked for everything");
        }
        world.read_right(&part, &FILM).await;
        world.read_right(&world.ask("/a"), &FILM).await;
    }
}

/// A body of unknown length is in nobody's way after a purge: neither while it comes nor when
/// it has ended.
#[tokio::test(start_paused = true)]
async fn a_purge_holds_against_a_body_of_unknown_length() {
    let new = SHORT.at_version(2);
    let origin = Origin::new(move |index, seen| {
        let mut reply = good(if index == 0 { &SHORT } else { &new }, seen);
        reply.declared = None;
        if index == 0 {
            reply.steps.insert(20, Step::Wait(Duration::from_millis(500)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let purged = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.purge(&ask);
        world.read_right(&ask, &new).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.read_right(&ask, &new).await;
    };
    // Who was there before may read on.
    join!(world.read_right(&ask, &SHORT), purged);
    assert_eq!(world.origin.requests(), 2);
    assert_eq!(kept(&world), (1, 2), "chunks of what was purged stayed");
}

/// A purge between the request and its answer: the answer is for those who wait, and whoever
/// comes while its body does asks anew.
#[tokio::test(start_paused = true)]
async fn a_purge_before_the_head_holds_while_the_body_comes() {
    let new = SHORT.at_version(2);
    let origin = Origin::new(move |index, seen| {
        let mut reply = good(if index == 0 { &SHORT } else { &new }, seen);
        if index == 0 {
            reply.wait = Duration::from_millis(200);
            reply.steps.insert(20, Step::Wait(Duration::from_millis(500)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let purged = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.purge(&ask);
        // Its head is here, the most of its body is not.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(kept(&world).0, 0);
        world.read_right(&ask, &new).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.read_right(&ask, &new).await;
    };
    join!(world.read_right(&ask, &SHORT), purged);
    assert_eq!(world.origin.requests(), 2);
    assert_eq!(kept(&world), (1, 2), "chunks of what was purged stayed");
}

/// A purge while the origin is asked whether a stale object still holds: its yes is for those
/// who asked, and brings nothing back.
#[tokio::test(start_paused = true)]
async fn a_purge_during_a_revalidation_holds() {
    let origin = Origin::new(|_, seen| {
        let wait = Duration::from_millis(200);
        Ok(Reply { wait, ..good(&FILM, seen) })
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    world.read_right(&ask, &FILM).await;
    world.clock.advance_millis(61_000);
    let purged = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.purge(&ask);
    };
    let (read, ()) = join!(world.read(&ask), purged);
    assert!(begins(&FILM, &read.0));
    assert_eq!(world.origin.seen(1).if_none_match, Some(etag(&FILM)));
    a_moment().await;
    // What the readers of that answer had to ask for again stays in RAM until others need its
    // place, where nobody finds it: its fill began after the purge and is not marked by it.
    assert_eq!(kept(&world).0, 0, "it came back");
    let before = world.origin.requests();
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.seen(before).if_none_match, None);
}

/// Chunks that are brought for an object which is purged meanwhile are let go.
#[tokio::test(start_paused = true)]
async fn what_a_purged_refill_brought_is_let_go() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FILM, seen);
        if index == 1 {
            reply.steps.insert(20, Step::Wait(Duration::from_millis(500)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    world.read_right(&world.ask_range("/a", 0, 9), &FILM).await;
    let purged = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.purge(&ask);
    };
    join!(world.read_right(&ask, &FILM), purged);
    a_moment().await;
    assert_eq!((world.origin.requests(), kept(&world)), (2, (0, 0)));
}

/// The same where the purge was there first: a reader of the old bytes goes on to its end.
#[tokio::test(start_paused = true)]
async fn what_a_refill_after_a_purge_brought_is_let_go() {
    let world = World::new(Origin::new(|_, seen| Ok(good(&FILM, seen))));
    let ask = world.ask("/a");
    world.read_right(&world.ask_range("/a", 0, 9), &FILM).await;
    let found = world.found(&ask).await;
    let reader = world.engine.open(&ask, &found, None).await.unwrap();
    world.purge(&ask);
    let mut bytes = Vec::new();
    let mut stream = Box::pin(reader.into_stream());
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    assert!(begins(&FILM, &bytes) && bytes.len() as u64 == FILM.size);
    a_moment().await;
    assert_eq!((world.origin.requests(), kept(&world)), (2, (0, 0)));
}

/// A chunk is missing and the origin has another object by now: the one that can never be
/// whole again is forgotten, and the next reader gets the new one.
#[tokio::test(start_paused = true)]
async fn an_object_that_lost_a_chunk_and_changed_is_forgotten() {
    let new = FILM.at_version(2);
    let origin =
        Origin::new(move |index, seen| Ok(good(if index == 0 { &FILM } else { &new }, seen)));
    let world = World::new(origin);
    world.read_right(&world.ask_range("/a", 0, 9), &FILM).await;
    let found = world.found(&world.ask("/a")).await;
    let reader = world.engine.open(&world.ask("/a"), &found, None).await.unwrap();
    let mut stream = Box::pin(reader.into_stream());
    let mut bytes = Vec::new();
    let error = loop {
        match stream.next().await {
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
            Some(Err(error)) => break error,
            None => panic!("two versions make no object"),
        }
    };
    assert!(error.taints() && begins(&FILM, &bytes), "{error}");
    a_moment().await;
    assert_eq!(kept(&world), (0, 0));
    world.read_right(&world.ask("/a"), &new).await;
    assert_eq!(Arc::strong_count(&world.engine), 1, "something still runs");
}

/// Two versions are on their way at once: a reader of the new one never joins the fill of the
/// old one, however near that has come to what it needs.
#[tokio::test(start_paused = true)]
async fn a_fill_of_an_older_version_is_not_joined() {
    let new = FILM.at_version(2);
    let origin = Origin::new(move |index, seen| {
        if index > 0 {
            return Ok(good(&new, seen));
        }
        // Nothing by which it could be asked about again.
        let mut reply = whole(&FILM);
        reply.headers.remove(header::ETAG);
        for at in [20, 22, 24] {
            reply.steps.insert(at, Step::Wait(Duration::from_millis(1500)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let newer = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.clock.advance_millis(61_000);
        world.read_right(&world.ask_range("/a", 0, 9), &new).await;
        world.read_right(&ask, &new).await;
    };
    join!(world.read_right(&ask, &FILM), newer);
    assert_eq!(world.origin.requests(), 3);
}

/// Followers have each piece when we have it, not with the next one or at the end.
#[tokio::test(start_paused = true)]
async fn each_piece_reaches_its_followers_as_it_comes() {
    const GAP: Duration = Duration::from_millis(100);
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&FILM);
        reply.steps = reply.steps.into_iter().flat_map(|step| [Step::Wait(GAP), step]).collect();
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let begun = tokio::time::Instant::now();
    let followers = (0..3).map(|_| async {
        let found = world.found(&ask).await;
        let reader = world.engine.open(&ask, &found, None).await.unwrap();
        let mut stream = Box::pin(reader.into_stream());
        let (mut bytes, mut pieces) = (Vec::new(), 0);
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.unwrap());
            pieces += 1;
            let late = begun.elapsed() - GAP * pieces;
            assert!(late < GAP / 2, "piece {pieces} is {late:?} late");
        }
        assert!(bytes.len() as u64 == FILM.size && begins(&FILM, &bytes));
    });
    join_all(followers).await;
}

/// An adapter that dies: at once, or in the middle of a body.
#[derive(Debug)]
struct Dying {
    in_body: bool,
}

impl Upstream for Dying {
    fn id(&self) -> &str {
        "dying"
    }

    fn send(&self, _: UpstreamRequest) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        assert!(self.in_body, "a death that this script asked for");
        let Reply { status, headers, declared: content_length, .. } = whole(&FILM);
        let first = futures::stream::iter([Ok(FILM.bytes(0..100))]);
        let death = futures::stream::once(async { panic!("a death that this script asked for") });
        let body = first.chain(death).boxed();
        std::future::ready(Ok(UpstreamResponse { status, headers, content_length, body })).boxed()
    }
}

/// Whatever becomes of the task that fetches, those who wait for it are released at once.
#[tokio::test(start_paused = true)]
async fn the_death_of_a_fill_releases_its_followers() {
    for in_body in [false, true] {
        let world = World::new(Origin::new(|_, seen| Ok(good(&FILM, seen))));
        let dying = Arc::new(Dying { in_body });
        let ask = Ask { upstream: dying, ..world.ask("/a") };
        let begun = tokio::time::Instant::now();
        for (bytes, end) in join_all((0..5).map(|_| world.read(&ask))).await {
            assert!(end.is_err() && begins(&FILM, &bytes), "in the body: {in_body}");
        }
        assert!(begun.elapsed() < Duration::from_millis(10), "{:?}", begun.elapsed());
        a_moment().await;
        assert_eq!((world.engine.under_way(), world.engine.slots_free()), (0, 64));
        world.read_right(&world.ask("/a"), &FILM).await;
    }
}

/// RFC 9111 §4.3.3: a 304 that speaks of another tag says nothing of what is stored.
#[tokio::test(start_paused = true)]
async fn a_304_about_another_tag_renews_nothing() {
    let new = FILM.at_version(2);
    let origin = Origin::new(move |index, seen| {
        Ok(match index {
            0 => good(&FILM, seen),
            1 => {
                let mut reply = good(&FILM, seen);
                reply.headers.insert(header::ETAG, etag(&new).parse().unwrap());
                reply
            }
            _ => good(&new, seen),
        })
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    world.read_right(&ask, &FILM).await;
    world.clock.advance_millis(61_000);
    world.read_right(&ask, &new).await;
    assert_eq!(world.origin.seen(1).if_none_match, Some(etag(&FILM)));
    assert_eq!(world.origin.seen(2).if_none_match, None);
}

/// A body of unknown length that takes longer than it is fresh is joined by nobody new.
#[tokio::test(start_paused = true)]
async fn what_grows_is_not_joined_when_it_is_stale() {
    let new = FILM.at_version(2);
    let origin = Origin::new(move |index, seen| {
        let mut reply = good(if index == 0 { &FILM } else { &new }, seen);
        reply.declared = None;
        if index == 0 {
            reply.steps.insert(20, Step::Wait(Duration::from_millis(500)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.clock.advance_millis(61_000);
        world.read_right(&ask, &new).await;
    };
    join!(world.read_right(&ask, &FILM), later);
    assert_eq!(world.origin.requests(), 2);
}
