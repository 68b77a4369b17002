//! Scripts of what goes wrong between two requests: who must not wait, who must not be
//! answered with another's answer, and what must survive.

mod late;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::Instant;
use weir_benches_content::{Checker, Content, Expected};
use weir_edge_fill::{Answer, Ask, How, upstream::UpstreamError};
use weir_edge_freshness::RequestControl;

use crate::script::{MIB, Origin, Reply, Step, World, good, truncated, whole};

static SHORT: Content = Content { object: 7, version: 1, size: 100_000 };
static FILM: Content = Content { object: 8, version: 1, size: 3 * MIB + 99 };

fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// An answer whose length is not known until it ends is joined by those who come meanwhile.
#[tokio::test(start_paused = true)]
async fn latecomers_join_a_body_of_unknown_length() {
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&FILM);
        reply.declared = None;
        reply.steps.insert(20, Step::Wait(Duration::from_millis(900)));
        reply.steps.insert(40, Step::Wait(Duration::from_millis(900)));
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let late = (0..10).map(|i| {
        let (world, ask) = (&world, &ask);
        async move {
            tokio::time::sleep(Duration::from_millis(i * 170)).await;
            world.read_right(ask, &FILM).await;
        }
    });
    join_all(late).await;
    assert_eq!(world.origin.requests(), 1);
    assert_eq!(world.engine.under_way(), 0);
}

/// Who seeks far ahead of a slow fill does not wait for all that lies between.
#[tokio::test(start_paused = true)]
async fn a_seek_overtakes_a_running_fill() {
    let big = Content::new(9, 1, 40 * MIB);
    let origin = Origin::new(move |index, seen| {
        let mut reply = good(&big, seen);
        if index == 0 {
            for at in (1..40).rev() {
                reply.steps.insert(at * 16, Step::Wait(Duration::from_millis(1500)));
            }
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let from_start = async {
        world.read_right(&world.ask("/big"), &big).await;
    };
    let seek = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let started = Instant::now();
        world.read_right(&world.ask_range("/big", 30 * MIB, 30 * MIB + 9), &big).await;
        assert!(started.elapsed() < Duration::from_millis(600), "{:?}", started.elapsed());
    };
    tokio::join!(from_start, seek);
    assert_eq!(world.origin.requests(), 2);
}

/// Head and first byte share one deadline.
#[tokio::test(start_paused = true)]
async fn an_answer_is_there_within_the_deadline() {
    let slow = Duration::from_millis(1900);
    let scripts: [fn(Reply, Duration) -> Reply; 3] = [
        // Both the head and the first byte are slow.
        |mut reply, slow| {
            reply.wait = slow;
            reply.steps.insert(0, Step::Wait(slow));
            reply
        },
        // The answer is not to be shared, and asking alone takes as long again.
        |mut reply, slow| {
            reply.wait = slow;
            reply.headers.insert(header::CACHE_CONTROL, value("private"));
            reply
        },
        // The part that was asked for does not help, so everything is asked for.
        |mut reply, slow| {
            reply.wait = slow;
            reply.headers.remove(header::ETAG);
            reply
        },
    ];
    for script in scripts {
        let origin = Origin::new(move |_, seen| Ok(script(good(&FILM, seen), slow)));
        let world = World::new(origin);
        let ask = world.ask_range("/a", MIB + 1, MIB + 2);
        let answers = (0..3).map(|_| async {
            let started = Instant::now();
            if let Ok(Answer::Object(found)) = world.engine.resolve(&ask).await {
                let _late = world.engine.open(&ask, &found, Some(MIB + 1..MIB + 3)).await;
            }
            assert!(started.elapsed() <= Duration::from_millis(2010), "{:?}", started.elapsed());
        });
        join_all(answers).await;
    }
}

/// What one client says of itself decides nothing for the others.
#[tokio::test(start_paused = true)]
async fn one_clients_fields_do_not_stop_sharing() {
    for (name, text) in
        [(header::CACHE_CONTROL, value("no-store")), (header::AUTHORIZATION, value("Basic eDp5"))]
    {
        let origin = Origin::new(|_, seen| {
            let wait = Duration::from_millis(100);
            Ok(Reply { wait, ..good(&SHORT, seen) })
        });
        let world = World::new(origin);
        let ask = world.ask("/a");
        let headers = Arc::new(HeaderMap::from_iter([(name, text)]));
        let control = RequestControl::parse(&headers);
        let (headers, alone_headers) = (Arc::clone(&headers), headers);
        let odd = Ask { headers, alone_headers, control, ..ask.clone() };
        world.read_right(&odd, &SHORT).await;
        assert_eq!(world.engine.cache().stats().objects, 0);
        join_all((0..10).map(|_| world.read_right(&ask, &SHORT))).await;
        assert_eq!(world.origin.requests(), 2);
    }
}

/// An error about the client is not kept, and does not stop sharing when it is over.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_remembered() {
    let origin = Origin::new(|index, seen| {
        let mut reply = Reply { wait: Duration::from_millis(100), ..good(&SHORT, seen) };
        if index == 0 {
            reply.status = StatusCode::TOO_MANY_REQUESTS;
            reply.headers.clear();
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let Ok(Answer::Passed(passed)) = world.engine.resolve(&ask).await else { panic!("kept") };
    assert_eq!(passed.response.status, StatusCode::TOO_MANY_REQUESTS);
    join_all((0..10).map(|_| world.read_right(&ask, &SHORT))).await;
    assert_eq!(world.origin.requests(), 2);
}

/// RFC 9111 §4.3.4: what a 304 says of storing counts.
#[tokio::test(start_paused = true)]
async fn a_304_may_forbid_to_keep() {
    for control in ["no-store", "private", "private, max-age=60"] {
        let origin = Origin::new(move |index, seen| {
            let mut reply = good(&SHORT, seen);
            if index > 0 {
                reply.headers.insert(header::CACHE_CONTROL, value(control));
            }
            Ok(reply)
        });
        let world = World::new(origin);
        let ask = world.ask("/a");
        world.read_right(&ask, &SHORT).await;
        world.clock.advance_millis(61_000);
        world.read_right(&ask, &SHORT).await;
        let before = world.origin.requests();
        let answer = world.engine.resolve(&ask).await.unwrap();
        assert!(matches!(answer, Answer::Passed(_)), "{control}");
        assert_eq!(world.origin.requests(), before + 1);
    }
}

/// `Vary` on fields that the origin never sees selects nothing.
#[tokio::test(start_paused = true)]
async fn vary_on_what_is_not_sent() {
    let origin = Origin::new(|_, seen| {
        let mut reply = good(&SHORT, seen);
        reply.headers.insert(header::VARY, value("origin, Accept-Encoding, cookie"));
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    world.read_right(&ask, &SHORT).await;
    world.read_right(&ask, &SHORT).await;
    assert_eq!(world.origin.requests(), 1);
    // A client whose fields do go there is another matter.
    let headers = HeaderMap::from_iter([(header::ACCEPT, value("*/*"))]);
    let ask = Ask { headers: Arc::new(headers), ..world.ask("/b") };
    world.read_right(&ask, &SHORT).await;
    world.read_right(&ask, &SHORT).await;
    assert_eq!(world.origin.requests(), 3);
}

/// A connection that breaks while missing chunks are brought says nothing against those that
/// are here.
#[tokio::test(start_paused = true)]
async fn a_broken_refill_leaves_the_rest() {
    let origin = Origin::new(|index, seen| match index {
        1..5 => Err(truncated(0)),
        _ => Ok(good(&FILM, seen)),
    });
    let world = World::new(origin);
    let first = world.ask_range("/a", 0, 9);
    world.read_right(&first, &FILM).await;
    let (_, end) = world.read(&world.ask_range("/a", MIB, MIB + 9)).await;
    assert!(end.is_err());
    let seen = world.origin.requests();
    world.read_right(&first, &FILM).await;
    assert_eq!(world.origin.requests(), seen, "what was here is gone");
    world.read_right(&world.ask("/a"), &FILM).await;
}

/// A length that nobody can send costs nothing when its sender gives up.
#[tokio::test(start_paused = true)]
async fn an_absurd_length() {
    for length in [1_u64 << 39, 1 << 49, 1 << 62, u64::MAX] {
        let origin = Origin::new(move |_, seen| {
            let mut reply = good(&SHORT, seen);
            reply.headers.remove(header::ETAG);
            reply.declared = Some(length);
            reply.steps.push(Step::Fail(truncated(SHORT.size)));
            Ok(reply)
        });
        let world = World::new(origin);
        let started = std::time::Instant::now();
        for _ in 0..2 {
            let (bytes, end) = world.read(&world.ask("/a")).await;
            assert!(end.is_err());
            let expected = Expected::range(&SHORT, 0..bytes.len() as u64);
            assert!(Checker::check(expected, &bytes).is_clean());
        }
        assert_eq!(world.engine.under_way(), 0);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

/// Ranges at the end of what can be counted.
#[tokio::test(start_paused = true)]
async fn absurd_ranges() {
    let world = World::new(Origin::new(|_, seen| Ok(good(&SHORT, seen))));
    for (path, last) in [("/a", u64::MAX - 2), ("/b", u64::MAX - 1), ("/c", 1 << 63)] {
        world.read_right(&world.ask_range(path, 0, last), &SHORT).await;
    }
}

/// Two keys of one hash are two objects, on their way too.
// RFC 9111 §4 [reuse.uri]
#[tokio::test(start_paused = true)]
async fn keys_of_one_hash() {
    let other = Content::new(77, 1, 50_000);
    let late = |content: Content| {
        Origin::new(move |_, seen| {
            let wait = Duration::from_millis(100);
            Ok(Reply { wait, ..good(&content, seen) })
        })
    };
    let world = World::new(late(SHORT));
    let ask = world.ask("/a");
    let twin = Ask { key: "/b".into(), upstream: late(other), ..ask.clone() };
    tokio::join!(world.read_right(&ask, &SHORT), world.read_right(&twin, &other));
    tokio::join!(world.read_right(&twin, &other), world.read_right(&ask, &SHORT));
}

/// A slow follower of a body of unknown length is served to its end though a purge came.
#[tokio::test(start_paused = true)]
async fn a_purge_does_not_cut_a_slow_follower() {
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&FILM);
        reply.declared = None;
        for at in [16, 33, 50] {
            reply.steps.insert(at, Step::Wait(Duration::from_millis(500)));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    let found = world.found(&ask).await;
    let reader = world.engine.open(&ask, &found, None).await.unwrap();
    let mut stream = Box::pin(reader.into_stream());
    let mut bytes = stream.next().await.unwrap().unwrap().to_vec();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.purge(&ask);
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    assert!(Checker::check(Expected::all(&FILM), &bytes).is_clean());
}

/// Thousands of one-byte pieces are not thousands of buffers.
#[tokio::test(start_paused = true)]
async fn a_drip_of_single_bytes() {
    let origin = Origin::new(|_, seen| {
        let mut reply = good(&FILM, seen);
        let bytes = FILM.all();
        reply.steps = (0..bytes.len()).map(|at| Step::Send(bytes.slice(at..=at))).collect();
        Ok(reply)
    });
    let world = World::new(origin);
    let started = std::time::Instant::now();
    let ask = world.ask("/a");
    join_all((0..20).map(|_| world.read_right(&ask, &FILM))).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(world.origin.requests(), 1);
}

/// A purge lets an object be shared again at once, where its origin has been put right.
#[tokio::test(start_paused = true)]
async fn a_purge_forgets_that_nothing_was_shared() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&SHORT, seen);
        if index == 0 {
            reply.headers.insert(header::CACHE_CONTROL, value("private"));
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    assert!(matches!(world.engine.resolve(&ask).await, Ok(Answer::Passed(_))));
    world.purge(&ask);
    world.read_right(&ask, &SHORT).await;
    assert_eq!(world.found(&ask).await.how, How::Hit);
}

/// Many threads at the moment when a head becomes known: still one request.
#[test]
fn one_request_on_many_threads() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        for strong in [true, false] {
            let origin = Origin::new(move |_, seen| {
                let mut reply = good(&SHORT, seen);
                if !strong {
                    reply.headers.remove(header::ETAG);
                }
                Ok(reply)
            });
            let world = Arc::new(World::new(origin));
            for round in 0..300 {
                let path = format!("/{round}");
                let readers = (0..8).map(|_| {
                    let (world, ask) = (Arc::clone(&world), world.ask(&path));
                    tokio::spawn(async move { world.read_right(&ask, &SHORT).await })
                });
                for reader in join_all(readers).await {
                    reader.unwrap();
                }
            }
            assert_eq!(world.origin.requests(), 300, "strong: {strong}");
        }
    });
}

/// Failures that come before the first byte are answers, each within its time.
#[tokio::test(start_paused = true)]
async fn slots_are_given_back() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FILM, seen);
        match index % 4 {
            0 => reply.steps.truncate(3),
            1 => reply.wait = Duration::from_secs(3600),
            2 => {
                let upstream = "origin".into();
                return Err(UpstreamError::Connect { upstream, reason: "refused".into() });
            }
            _ => reply.steps.insert(2, Step::Wait(Duration::from_secs(3600))),
        }
        reply.headers.remove(header::ETAG);
        Ok(reply)
    });
    let world = World::new(origin);
    for round in 0..20 {
        let asks: Vec<_> = (0..16).map(|i| world.ask(&format!("/{round}-{i}"))).collect();
        join_all(asks.iter().map(|ask| world.read(ask))).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.engine.under_way(), 0);
    assert_eq!(world.engine.slots_free(), 64);
}
