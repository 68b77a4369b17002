//! Stale responses that may be served, and those that may not (RFC 9111 §4.2.4, RFC 5861).

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use http::{StatusCode, header};
use weir_benches_content::Content;
use weir_edge_fill::{Ask, How, upstream::UpstreamError};
use weir_edge_freshness::RequestControl;

use crate::script::{Origin, Reply, World, good};

const FIRST: Content = Content { object: 50, version: 1, size: 30_000 };

/// The first response under this `Cache-Control`; from then on whatever `later` says, half a
/// second away.
fn origin(
    control: &'static str,
    later: impl Fn() -> Result<Option<StatusCode>, UpstreamError> + Send + Sync + 'static,
) -> Arc<Origin> {
    Origin::new(move |index, seen| {
        if index == 0 {
            let mut reply = good(&FIRST, seen);
            reply.headers.insert(header::CACHE_CONTROL, control.parse().unwrap());
            return Ok(reply);
        }
        let wait = Duration::from_millis(500);
        let mut reply = Reply { wait, ..good(&FIRST.at_version(2), seen) };
        if let Some(status) = later()? {
            reply.status = status;
            reply.headers.remove(header::CACHE_CONTROL);
        }
        Ok(reply)
    })
}

fn refused() -> UpstreamError {
    UpstreamError::Connect { upstream: "origin".into(), reason: "refused".into() }
}

/// RFC 5861 §3: at once, and one request behind all of them.
#[tokio::test(start_paused = true)]
async fn rfc5861_3_stale_while_revalidate() {
    let world = World::new(origin("max-age=60, stale-while-revalidate=30", || Ok(None)));
    let ask = world.ask("/a");
    world.read_right(&ask, &FIRST).await;
    world.clock.advance_millis(80_000);
    let started = tokio::time::Instant::now();
    join_all((0..50).map(|_| async {
        assert_eq!(world.found(&ask).await.how, How::StaleWhileRevalidate);
        world.read_right(&ask, &FIRST).await;
    }))
    .await;
    assert!(started.elapsed() < Duration::from_millis(100));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.origin.requests(), 2);
    assert_eq!(world.found(&ask).await.how, How::Hit);
    world.read_right(&ask, &FIRST.at_version(2)).await;
    assert_eq!(world.origin.requests(), 2);
}

/// What forbids it: the window's end, the response's own word, and the request's.
#[tokio::test(start_paused = true)]
async fn stale_while_revalidate_has_limits() {
    let none = RequestControl::default();
    let cases = [
        ("max-age=60, stale-while-revalidate=30", 91, none),
        ("max-age=60, stale-while-revalidate=30, must-revalidate", 80, none),
        ("max-age=60, stale-while-revalidate=30, proxy-revalidate", 80, none),
        ("s-maxage=60, stale-while-revalidate=30", 80, none),
        ("max-age=60, stale-while-revalidate=30, no-cache", 80, none),
        ("max-age=60", 61, none),
        ("max-age=60, stale-while-revalidate=30", 80, RequestControl { no_cache: true, ..none }),
        ("max-age=60, stale-while-revalidate=30", 80, RequestControl { max_age: Some(70), ..none }),
        (
            "max-age=60, stale-while-revalidate=30",
            80,
            RequestControl { min_fresh: Some(1), ..none },
        ),
    ];
    for (said, after, control) in cases {
        let world = World::new(origin(said, || Ok(None)));
        world.read_right(&world.ask("/a"), &FIRST).await;
        world.clock.advance_millis(after * 1000);
        let ask = Ask { control, ..world.ask("/a") };
        let how = world.found(&ask).await.how;
        assert!(matches!(how, How::Replaced { .. }), "{said} {control:?}: {how:?}");
    }
}

/// A revalidation that fails leaves what is there, until its window ends.
#[tokio::test(start_paused = true)]
async fn a_revalidation_behind_the_scenes_may_fail() {
    let world = World::new(origin("max-age=60, stale-while-revalidate=30", || Err(refused())));
    let ask = world.ask("/a");
    world.read_right(&ask, &FIRST).await;
    world.clock.advance_millis(80_000);
    for _ in 0..3 {
        world.read_right(&ask, &FIRST).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(world.origin.requests(), 4);
    world.clock.advance_millis(20_000);
    assert!(world.engine.resolve(&ask).await.is_err());
}

/// RFC 5861 §4 and RFC 9111 §4.2.4: which error a stale response stands in for.
// RFC 9111 §5.2.2.2 [must-revalidate.disconnected]
#[tokio::test(start_paused = true)]
async fn rfc5861_4_stale_if_error() {
    const GONE: Option<StatusCode> = None;
    const BAD: Option<StatusCode> = Some(StatusCode::SERVICE_UNAVAILABLE);
    let check =
        async |said: &'static str, trouble: Option<StatusCode>, after: u64, served: bool| {
            let later = move || trouble.map(Some).ok_or_else(refused);
            let world = World::new(origin(said, later));
            let ask =
                world.ask_under("/a", |policy| policy.stale_if_error = Duration::from_secs(100));
            world.read_right(&ask, &FIRST).await;
            world.clock.advance_millis(after * 1000);
            let found = world.engine.resolve(&ask).await;
            let how = match found {
                Ok(weir_edge_fill::Answer::Object(found)) => Some(found.how),
                _ => None,
            };
            let expected = served.then_some(How::StaleOnError);
            assert_eq!(how, expected, "{said} {trouble:?} after {after} s");
        };
    // Its own word counts for both.
    for trouble in [GONE, BAD] {
        check("max-age=60, stale-if-error=30", trouble, 80, true).await;
        check("max-age=60, stale-if-error=30", trouble, 91, false).await;
        check("max-age=60, stale-if-error=30, must-revalidate", trouble, 80, false).await;
        check("max-age=60, stale-if-error=30, no-cache", trouble, 80, false).await;
    }
    // The service's word only while we are disconnected.
    check("max-age=60", GONE, 150, true).await;
    check("max-age=60", GONE, 161, false).await;
    check("max-age=60", BAD, 80, false).await;
    for forbids in
        ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "no-cache"]
    {
        check(forbids, GONE, 80, false).await;
    }
}

/// RFC 9111 §5.2.1.4: who asks for validation gets no stale response.
#[tokio::test(start_paused = true)]
async fn no_cache_wants_an_answer() {
    let world = World::new(origin("max-age=60, stale-if-error=600", || Err(refused())));
    let ask = world.ask("/a");
    world.read_right(&ask, &FIRST).await;
    let control = RequestControl { no_cache: true, ..RequestControl::default() };
    assert!(world.engine.resolve(&Ask { control, ..ask }).await.is_err());
}

/// RFC 9111 §3: a server error that says for how long it holds is kept so long, unless a
/// stale response may stand in for it; one that says nothing is not kept.
#[tokio::test(start_paused = true)]
async fn errors_that_state_a_lifetime() {
    for (said, requests) in [("max-age=5", 1), ("max-age=0", 3), ("", 3)] {
        let world = World::new(Origin::new(move |_, seen| {
            let mut reply = good(&FIRST, seen);
            reply.status = StatusCode::BAD_GATEWAY;
            reply.headers.clear();
            reply.headers.insert(header::CACHE_CONTROL, said.parse().unwrap());
            Ok(reply)
        }));
        for _ in 0..3 {
            let _an_error = world.read(&world.ask("/a")).await;
        }
        assert_eq!(world.origin.requests(), requests, "{said}");
    }
}

/// Milliseconds count.
#[tokio::test(start_paused = true)]
async fn negative_answers_are_kept_for_a_moment() {
    let world = World::new(Origin::new(|_, seen| {
        let mut reply = good(&FIRST, seen);
        reply.status = StatusCode::NOT_FOUND;
        reply.headers.clear();
        Ok(reply)
    }));
    let ask = world.ask_under("/a", |policy| policy.negative_ttl = Duration::from_millis(250));
    for (wait, requests) in [(0, 1), (249, 1), (1, 2), (249, 2)] {
        world.clock.advance_millis(wait);
        assert_eq!(world.found(&ask).await.object().status, StatusCode::NOT_FOUND);
        assert_eq!(world.origin.requests(), requests, "after {wait} ms");
    }
    let never = world.ask_under("/b", |policy| policy.negative_ttl = Duration::ZERO);
    for requests in [3, 4] {
        let _passed = world.engine.resolve(&never).await;
        assert_eq!(world.origin.requests(), requests);
    }
}

/// RFC 9110 §6.6.1: a 304 without a date is of the time it came, not of the date that is stored.
#[tokio::test(start_paused = true)]
async fn rfc9110_6_6_1_a_304_without_a_date_makes_fresh() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&FIRST, seen);
        reply.headers.insert(header::CACHE_CONTROL, "max-age=3".parse().unwrap());
        if index == 0 {
            // When the clock of this world begins.
            let date = "Tue, 14 Nov 2023 22:13:20 GMT".parse().unwrap();
            reply.headers.insert(header::DATE, date);
        }
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = world.ask("/a");
    world.read_right(&ask, &FIRST).await;
    for turn in 1..4 {
        world.clock.advance_millis(4_000);
        assert_eq!(world.found(&ask).await.how, How::Revalidated, "turn {turn}");
        world.clock.advance_millis(2_000);
        assert_eq!(world.found(&ask).await.how, How::Hit, "turn {turn}");
        assert_eq!(world.origin.requests(), turn + 1);
    }
}
