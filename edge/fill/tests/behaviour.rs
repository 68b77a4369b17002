//! Behaviour scripts: clients, origin and clock on one page, ending in what the origin was
//! asked. The clock is tokio's paused one, so waits cost nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod between;
mod budget;
mod combine;
mod faults;
mod guard;
mod heads;
mod hedge;
mod lag;
mod model;
mod remains;
mod script;
mod stale;
mod together;
mod variants;
mod windows;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use http::StatusCode;
use script::{MIB, Origin, Reply, Step, World, good, headers, truncated, whole};
use weir_benches_content::{Checker, Content, Expected};
use weir_edge_fill::{Answer, Ask, Failover, How, upstream::UpstreamError};

static FILM: Content = Content { object: 1, version: 1, size: 3 * MIB + 12_345 };

#[tokio::test(start_paused = true)]
async fn one_request_fetches_for_a_hundred() {
    let origin = Origin::new(|_, _| {
        let wait = Duration::from_millis(300);
        Ok(Reply { wait, ..whole(&FILM) })
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    join_all((0..100).map(|_| world.read_right(&ask, &FILM))).await;
    assert_eq!(world.origin.requests(), 1);
    assert_eq!(world.engine.under_way(), 0);
}

/// The first byte reaches every follower when it reaches us, not when the object is whole.
#[tokio::test(start_paused = true)]
async fn followers_stream_while_it_arrives() {
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&FILM);
        reply.steps.insert(1, Step::Wait(Duration::from_millis(1500)));
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let started = tokio::time::Instant::now();
    let readers = (0..10).map(|_| async {
        let found = world.found(&ask).await;
        let reader = world.engine.open(&ask, &found, None).await.unwrap();
        let mut stream = Box::pin(reader.into_stream());
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!(first.len(), 64 << 10);
        started.elapsed()
    });
    let times = join_all(readers).await;
    assert!(times.iter().all(|time| *time < Duration::from_millis(100)), "{times:?}");
    assert_eq!(world.origin.requests(), 1);
}

/// A fill belongs to nobody: it goes on when the client that started it leaves.
#[tokio::test(start_paused = true)]
async fn a_fill_survives_its_client() {
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&FILM);
        reply.steps.insert(1, Step::Wait(Duration::from_millis(500)));
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let found = world.found(&ask).await;
    drop(world.engine.open(&ask, &found, None).await.unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_request_is_a_hit_until_it_is_stale() {
    let world = World::new(Origin::new(|_, seen| Ok(good(&FILM, seen))));
    let ask = world.ask("/a");
    world.read_right(&ask, &FILM).await;
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.found(&ask).await.how, How::Hit);
    assert_eq!(world.origin.requests(), 1);
    world.clock.advance_millis(61_000);
    assert_eq!(world.found(&ask).await.how, How::Revalidated);
    assert_eq!(world.origin.seen(1).if_none_match.as_deref(), Some("\"1-1\""));
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 2);
}

/// A changed object is a new generation; none of the old bytes are served with the new.
// RFC 9111 §4 [reuse.newest]
// RFC 9111 §4.3.3 [validated.full]
#[tokio::test(start_paused = true)]
async fn a_stale_object_is_replaced() {
    let new = FILM.at_version(2);
    let origin = Origin::new(move |index, seen| {
        Ok(good(if index == 0 { FILM } else { FILM.at_version(2) }, seen))
    });
    fn good(content: Content, seen: &script::Seen) -> Reply {
        script::good(&content, seen)
    }
    let world = World::new(origin);
    let ask = world.ask("/a");
    world.read_right(&ask, &FILM).await;
    world.clock.advance_millis(61_000);
    world.read_right(&ask, &new).await;
    world.read_right(&ask, &new).await;
    assert_eq!(world.origin.requests(), 2);
}

/// A range of a cold object fetches the chunks it touches, and only those.
// RFC 9111 §3.3 [partial.ranges]
// RFC 9111 §3.4 [combine.validator]
#[tokio::test(start_paused = true)]
async fn a_cold_range_fetches_its_chunks() {
    let world = World::new(Origin::new(|_, seen| Ok(good(&FILM, seen))));
    let ask = world.ask_range("/a", MIB + 5, MIB + 9);
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.seen(0).range.as_deref(), Some("bytes=1048576-2097151"));
    // Another range of the same chunk is there.
    world.read_right(&world.ask_range("/a", 2 * MIB - 7, 2 * MIB - 1), &FILM).await;
    assert_eq!(world.origin.requests(), 1);
    // The rest is asked for on the strong validator only.
    world.read_right(&world.ask("/a"), &FILM).await;
    assert_eq!(world.origin.seen(1).if_match.as_deref(), Some("\"1-1\""));
    assert_eq!(world.origin.seen(1).range.as_deref(), Some("bytes=0-1048575"));
    assert_eq!(world.origin.seen(2).range.as_deref(), Some("bytes=2097152-3158072"));
    assert_eq!(world.origin.requests(), 3);
}

/// Ranges that overlap collapse as well.
#[tokio::test(start_paused = true)]
async fn cold_ranges_collapse() {
    let origin = Origin::new(|_, seen| {
        let wait = Duration::from_millis(100);
        Ok(Reply { wait, ..good(&FILM, seen) })
    });
    let world = World::new(origin);
    let asks: Vec<_> = (0..50).map(|i| world.ask_range("/a", i * 10, MIB - 1 - i)).collect();
    join_all(asks.iter().map(|ask| world.read_right(ask, &FILM))).await;
    assert_eq!(world.origin.requests(), 1);
}

/// An origin that knows no ranges answers with everything, which is kept.
#[tokio::test(start_paused = true)]
async fn an_origin_without_ranges() {
    let world = World::new(Origin::new(|_, _| Ok(whole(&FILM))));
    world.read_right(&world.ask_range("/a", 2 * MIB, 2 * MIB + 100), &FILM).await;
    world.read_right(&world.ask("/a"), &FILM).await;
    assert_eq!(world.origin.requests(), 1);
}

/// A broken body goes on where it broke, on the same entity tag; nobody notices.
#[tokio::test(start_paused = true)]
async fn a_broken_body_is_resumed() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FILM, seen);
        if index < 2 {
            reply.steps.truncate(20);
            reply.steps.push(Step::Fail(truncated(20 << 16)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    join_all((0..5).map(|_| world.read_right(&ask, &FILM))).await;
    assert_eq!(world.origin.requests(), 3);
    assert_eq!(world.origin.seen(1).range.as_deref(), Some("bytes=1310720-3158072"));
    assert_eq!(world.origin.seen(1).if_match.as_deref(), Some("\"1-1\""));
}

/// A body that falls silent is resumed as well: its followers wait once for the deadline.
#[tokio::test(start_paused = true)]
async fn a_silent_body_is_resumed() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FILM, seen);
        if index == 0 {
            reply.steps.insert(20, Step::Wait(Duration::from_secs(3600)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let started = tokio::time::Instant::now();
    join_all((0..5).map(|_| world.read_right(&ask, &FILM))).await;
    assert_eq!(world.origin.requests(), 2);
    assert_eq!(world.origin.seen(1).range.as_deref(), Some("bytes=1310720-3158072"));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

/// RFC 9110 §15.3.7: a server may send fewer bytes than it was asked for. What it sends is taken,
/// and the rest is asked for.
#[tokio::test(start_paused = true)]
async fn rfc9110_15_3_7_a_smaller_part_is_taken() {
    /// At most so many bytes of what is asked for.
    fn few(seen: &script::Seen, most: u64) -> Reply {
        let Some((first, last)) = seen.range.as_deref().map(|r| r[6..].split_once('-').unwrap())
        else {
            return good(&FILM, seen);
        };
        let first: u64 = first.parse().unwrap();
        let last = last.parse().unwrap_or(u64::MAX).min(first + most - 1);
        good(&FILM, &script::Seen { range: Some(format!("bytes={first}-{last}")), ..seen.clone() })
    }
    let check = async |(first, last), most, requests| {
        let world = World::new(Origin::new(move |_, seen| Ok(few(seen, most))));
        world.read_right(&world.ask_range("/a", first, last), &FILM).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.origin.requests(), requests, "{first}-{last} in parts of {most}");
        // What came is as good as any other.
        world.read_right(&world.ask_range("/a", first, last), &FILM).await;
        world
    };
    // A chunk of 1 MiB in four parts, and again none for who comes later.
    let world = check((5, 9), 256 << 10, 4).await;
    assert_eq!(world.origin.seen(1).range.as_deref(), Some("bytes=262144-1048575"));
    assert_eq!(world.origin.seen(1).if_match.as_deref(), Some("\"1-1\""));
    assert_eq!(world.origin.requests(), 4);
    // The last chunk, and a part that ends within no chunk's bounds.
    check((3 * MIB, FILM.size - 1), 10_000, 2).await;
    check((0, 2 * MIB), 700_000, 5).await;
    // What the client wants, and no more of it: asked for a few times, not for ever.
    check((0, 4), 5, 5).await;
}

/// A part that begins elsewhere is not what was asked for, and never taken.
#[tokio::test(start_paused = true)]
async fn a_part_from_elsewhere_is_refused() {
    let origin = Origin::new(|_, _| {
        let range = Some("bytes=1-4".to_owned());
        let seen = script::Seen { range, ..nothing() };
        Ok(good(&FILM, &seen))
    });
    fn nothing() -> script::Seen {
        let (path, headers) = ("/a".into(), headers(&[]));
        let method = http::Method::GET;
        script::Seen { method, headers, path, range: None, if_match: None, if_none_match: None }
    }
    let world = World::new(origin);
    let (bytes, end) = world.read(&world.ask_range("/a", 0, 4)).await;
    let error = end.unwrap_err().to_string();
    let told = "a 206 with `bytes 1-4/3158073` where bytes 0-1048575 were asked for";
    assert!(bytes.is_empty() && error.ends_with(told), "{error}");
}

/// Without a strong validator nothing is spliced: followers are reset, and nothing stays.
// RFC 9111 §3.3 [partial.answer]
#[tokio::test(start_paused = true)]
async fn a_broken_body_without_validator_resets_its_followers() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FILM, seen);
        reply.headers.insert("etag", "W/\"weak\"".parse().unwrap());
        if index == 0 {
            reply.steps.truncate(20);
            reply.steps.push(Step::Fail(truncated(20 << 16)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    for (bytes, end) in join_all((0..5).map(|_| world.read(&ask))).await {
        assert!(end.is_err());
        let expected = Expected::range(&FILM, 0..bytes.len() as u64);
        assert!(Checker::check(expected, &bytes).is_clean());
    }
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 2);
}

/// The object changes between a body's break and its resumption: never spliced.
#[tokio::test(start_paused = true)]
async fn a_changed_object_is_never_spliced() {
    let new = FILM.at_version(2);
    let origin = Origin::new(move |index, seen| {
        if index == 0 {
            let mut reply = good(&FILM, seen);
            reply.steps.truncate(20);
            reply.steps.push(Step::Fail(truncated(20 << 16)));
            return Ok(reply);
        }
        Ok(good(&new, seen))
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let (bytes, end) = world.read(&ask).await;
    assert!(end.is_err());
    assert!(Checker::check(Expected::range(&FILM, 0..bytes.len() as u64), &bytes).is_clean());
    world.read_right(&ask, &new).await;
}

/// A body shorter or longer than its length says leaves nothing behind, not even its whole
/// chunks.
#[tokio::test(start_paused = true)]
async fn a_contradicted_length_leaves_nothing() {
    for long in [false, true] {
        let origin = Origin::new(move |index, seen| {
            let mut reply = good(&FILM, seen);
            reply.headers.remove("etag");
            match (index, long) {
                (0, false) => reply.steps.truncate(30),
                (0, true) => reply.steps.push(Step::Send(vec![0; 100].into())),
                _ => {}
            }
            Ok(reply)
        });
        let world = World::new(origin);
        let ask = world.ask("/a");
        let (_, end) = world.read(&ask).await;
        // What is too long may have been delivered before the excess came.
        assert!(end.is_err() || long);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(world.engine.cache().stats().objects, 0);
        assert_eq!(world.engine.cache().stats().ram_used_bytes, 0);
        world.read_right(&ask, &FILM).await;
    }
}

/// Every waiter is released when the origin says nothing, and the next one asks again.
#[tokio::test(start_paused = true)]
async fn silence_releases_everybody() {
    let origin = Origin::new(|index, seen| {
        let wait = Duration::from_secs(if index == 0 { 3600 } else { 0 });
        Ok(Reply { wait, ..good(&FILM, seen) })
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let started = tokio::time::Instant::now();
    let ends = join_all((0..20).map(|_| world.read(&ask))).await;
    assert!(ends.iter().all(|(bytes, end)| bytes.is_empty() && end.is_err()));
    assert!(started.elapsed() <= Duration::from_millis(2100), "{:?}", started.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.read_right(&ask, &FILM).await;
}

/// RFC 9111 §3: private responses are nobody else's; waiters go alone at once, not in turn.
#[tokio::test(start_paused = true)]
async fn a_private_response_is_not_shared() {
    let origin = Origin::new(|_, seen| {
        let mut reply = good(&FILM, seen);
        reply.wait = Duration::from_millis(200);
        reply.headers.insert("cache-control", "private".parse().unwrap());
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let started = tokio::time::Instant::now();
    join_all((0..10).map(|_| world.read_right(&ask, &FILM))).await;
    assert_eq!(world.origin.requests(), 10);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(world.engine.cache().stats().objects, 0);
}

/// A length that nobody declared is known at the end; the object can be read again.
#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length() {
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&FILM);
        reply.declared = None;
        reply.steps.insert(10, Step::Wait(Duration::from_millis(300)));
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    join_all((0..4).map(|_| world.read_right(&ask, &FILM))).await;
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 1);
}

/// RAM that holds less than the object: what was evicted is asked for again, by range.
#[tokio::test(start_paused = true)]
async fn a_reader_behind_the_cache_refills() {
    let big = Content::new(2, 1, 40 * MIB);
    let origin = Origin::new(move |_, seen| Ok(good(&big, seen)));
    let world = World::with_memory(origin, 8 * MIB);
    let ask = world.ask("/big");
    world.read_right(&ask, &big).await;
    world.read_right(&ask, &big).await;
    assert!(world.origin.requests() > 1);
}

/// 404s are kept for a moment, so that a missing segment costs one request.
#[tokio::test(start_paused = true)]
async fn a_404_is_kept_for_a_moment() {
    let origin = Origin::new(|_, _| {
        Ok(Reply {
            wait: Duration::ZERO,
            status: StatusCode::NOT_FOUND,
            headers: headers(&[("content-type", "text/plain")]),
            declared: Some(3),
            steps: vec![Step::Send("no\n".into())],
        })
    });
    let world = World::new(origin);
    let ask = world.ask("/missing");
    for _ in 0..3 {
        assert_eq!(world.found(&ask).await.object().status, StatusCode::NOT_FOUND);
        assert_eq!(world.read(&ask).await.0, b"no\n");
    }
    assert_eq!(world.origin.requests(), 1);
    world.clock.advance_millis(1100);
    assert_eq!(world.read(&ask).await.0, b"no\n");
    assert_eq!(world.origin.requests(), 2);
}

/// A server error is not the object: it reaches who asked, and is not kept.
#[tokio::test(start_paused = true)]
async fn a_server_error_is_not_kept() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FILM, seen);
        if index == 0 {
            reply.status = StatusCode::INTERNAL_SERVER_ERROR;
            reply.headers.clear();
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    assert!(!matches!(world.engine.resolve(&ask).await, Ok(Answer::Object(_))));
    world.read_right(&ask, &FILM).await;
    let engine = Arc::clone(&world.engine);
    assert_eq!(engine.cache().stats().objects, 1);
}

static SEGMENT: Content = Content { object: 3, version: 1, size: MIB + 12_345 };

/// A purge that comes while an object is on its way: those who wait are served, nothing of it
/// stays, and whoever asks afterwards gets the new object.
#[tokio::test(start_paused = true)]
async fn a_purge_in_the_middle_of_a_fill() {
    for unknown_length in [false, true] {
        for purge_after in [50, 250] {
            let origin = Origin::new(move |index, seen| {
                let content = if index == 0 { SEGMENT } else { SEGMENT.at_version(2) };
                let mut reply = good(&content, seen);
                reply.wait = Duration::from_millis(100);
                let middle = reply.steps.len() / 2;
                reply.steps.insert(middle, Step::Wait(Duration::from_millis(300)));
                if unknown_length {
                    reply.declared = None;
                }
                Ok(reply)
            });
            let world = World::new(origin);
            let ask = world.ask("/a");
            let purge = async {
                tokio::time::sleep(Duration::from_millis(purge_after)).await;
                world.purge(&ask);
                world.read_right(&ask, &SEGMENT.at_version(2)).await;
            };
            tokio::join!(world.read_right(&ask, &SEGMENT), purge);
            world.read_right(&ask, &SEGMENT.at_version(2)).await;
            assert_eq!(world.origin.requests(), 2);
            assert_eq!(world.engine.under_way(), 0);
        }
    }
}

/// The next upstream is asked when one is gone, silent or broken, all within the deadline of
/// one; what an upstream says of the object itself is an answer.
#[tokio::test(start_paused = true)]
async fn failover() {
    let refused = || UpstreamError::Connect { upstream: "first".into(), reason: "refused".into() };
    let first: [fn() -> Result<Reply, UpstreamError>; 4] = [
        || Err(UpstreamError::Connect { upstream: "first".into(), reason: "refused".into() }),
        || Ok(Reply { wait: Duration::from_secs(3600), ..whole(&SEGMENT) }),
        || Ok(Reply { status: StatusCode::SERVICE_UNAVAILABLE, ..whole(&SEGMENT) }),
        || Ok(Reply { status: StatusCode::NOT_FOUND, ..whole(&SEGMENT) }),
    ];
    for (index, answer) in first.into_iter().enumerate() {
        let broken = Origin::new(move |_, _| answer());
        let good = Origin::new(|_, seen| Ok(good(&SEGMENT, seen)));
        let world = World::new(Arc::clone(&good));
        let both = Failover::new(vec![Arc::clone(&broken) as _, Arc::clone(&good) as _]).unwrap();
        let ask = Ask { upstream: Arc::new(both), ..world.ask("/a") };
        let started = tokio::time::Instant::now();
        if index == 3 {
            assert_eq!(world.found(&ask).await.object().status, StatusCode::NOT_FOUND);
            assert_eq!((broken.requests(), good.requests()), (1, 0));
        } else {
            world.read_right(&ask, &SEGMENT).await;
            assert_eq!((broken.requests(), good.requests()), (1, 1));
        }
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    let gone = Origin::new(move |_, _| Err(refused()));
    let world = World::new(Arc::clone(&gone));
    let both = Failover::new(vec![Arc::clone(&gone) as _, Arc::clone(&gone) as _]).unwrap();
    let ask = Ask { upstream: Arc::new(both), ..world.ask("/a") };
    assert!(world.engine.resolve(&ask).await.is_err());
    assert!(Failover::new(Vec::new()).is_none());
}

/// A body that breaks off, or falls silent, goes on at the next upstream, on the same tag.
#[tokio::test(start_paused = true)]
async fn a_broken_body_goes_on_elsewhere() {
    for silent in [false, true] {
        let broken = Origin::new(move |_, seen| {
            let mut reply = good(&FILM, seen);
            reply.steps.truncate(20);
            reply.steps.push(match silent {
                true => Step::Wait(Duration::from_secs(3600)),
                false => Step::Fail(truncated(20 << 16)),
            });
            Ok(reply)
        });
        let healthy = Origin::new(|_, seen| Ok(good(&FILM, seen)));
        let world = World::new(Arc::clone(&healthy));
        let both = vec![Arc::clone(&broken) as _, Arc::clone(&healthy) as _];
        let ask = Ask { upstream: Arc::new(Failover::new(both).unwrap()), ..world.ask("/a") };
        world.read_right(&ask, &FILM).await;
        assert_eq!((broken.requests(), healthy.requests()), (1, 1));
        assert_eq!(healthy.seen(0).if_match.as_deref(), Some("\"1-1\""));
    }
}
