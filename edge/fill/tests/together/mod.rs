//! Who waits for the answer to another's request, and gets it only where he might have found it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http::header;
use weir_benches_content::Content;
use weir_edge_fill::How;

use crate::script::{MIB, Origin, Reply, Step, World, headers, whole};

const USERS: usize = 20;
static FILM: Content = Content { object: 77, version: 1, size: 3 * MIB + 12_345 };

/// Greets whoever asks by the name in his cookie, 300 ms away, under these fields.
fn greeter(fields: &'static [(&'static str, &'static str)]) -> Arc<Origin> {
    Origin::new(move |_, seen| {
        let who = seen.headers.get(header::COOKIE).or(seen.headers.get(header::AUTHORIZATION));
        let text = Bytes::from(format!("hello {:?}", who.map(|who| who.to_str().unwrap())));
        Ok(Reply {
            wait: Duration::from_millis(300),
            headers: headers(fields),
            declared: Some(text.len() as u64),
            steps: vec![Step::Send(text)],
            ..whole(&FILM)
        })
    })
}

/// Requests that the origin sees of 20 users who ask at once, twice.
async fn asked(fields: &'static [(&'static str, &'static str)], by: &str) -> usize {
    let world = World::new(greeter(fields));
    for _ in 0..2 {
        join_all((0..USERS).map(|user| {
            let (world, name) = (&world, format!("user-{user}"));
            async move {
                let ask = world.ask_with("/a", &[(by, &name)]);
                let mut policy = (*ask.policy).clone();
                policy.default_ttl = Duration::ZERO;
                let ask = weir_edge_fill::Ask { policy: Arc::new(policy), ..ask };
                let (bytes, end) = world.read(&ask).await;
                end.unwrap();
                let expected = format!("hello {:?}", Some(&name));
                if fields[0].1 != "max-age=60" {
                    assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{fields:?}");
                }
            }
        }))
        .await;
    }
    world.origin.requests()
}

// RFC 9111 §5.2.2.4 [no-cache.unqualified]
#[tokio::test(start_paused = true)]
async fn what_answers_nobody_else_is_not_shared_with_who_waits() {
    for cache_control in ["no-cache", "max-age=0", "max-age=0, must-revalidate", "public, no-cache"]
    {
        let fields: &'static [_] = vec![("cache-control", cache_control), ("etag", "\"1\"")].leak();
        assert_eq!(asked(fields, "cookie").await, 2 * USERS, "{cache_control}");
    }
    // A validator, and nothing about freshness.
    assert_eq!(asked(&[("etag", "\"1\"")], "cookie").await, 2 * USERS);
    assert_eq!(asked(&[("expires", "0"), ("etag", "\"1\"")], "cookie").await, 2 * USERS);
    for cache_control in ["max-age=0, must-revalidate", "s-maxage=0", "public, no-cache"] {
        let fields: &'static [_] = vec![("cache-control", cache_control), ("etag", "\"1\"")].leak();
        assert_eq!(asked(fields, "authorization").await, 2 * USERS, "{cache_control}");
    }
    // The other way round, it would be seen.
    assert_eq!(asked(&[("cache-control", "max-age=60")], "cookie").await, 1);
}

/// Where nothing of a client goes upstream, all who wait asked the same.
#[tokio::test(start_paused = true)]
async fn who_is_nobody_in_particular_shares() {
    let world = World::new(greeter(&[("cache-control", "no-cache"), ("etag", "\"1\"")]));
    let ask = world.ask_under("/a", |policy| policy.anonymous = true);
    let read = |_| async { world.read(&ask).await.1.unwrap() };
    join_all((0..USERS).map(read)).await;
    assert_eq!(world.origin.requests(), 1);
    join_all((0..USERS).map(read)).await;
    assert_eq!(world.origin.requests(), 2);
}

/// An object that has a hole and no strong validator is fetched anew before its first byte leaves.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_completed_is_a_miss() {
    let world = World::new(Origin::new(|_, _| {
        let fields = headers(&[
            ("cache-control", "max-age=60"),
            ("last-modified", "Tue, 14 Nov 2023 12:00:00 GMT"),
        ]);
        Ok(Reply { headers: fields, ..whole(&FILM) })
    }));
    let ask = world.ask("/a");
    world.read_right(&ask, &FILM).await;
    let object = world.engine.cache().object(&ask.id, &ask.key).unwrap();
    world.engine.cache().discard_chunks(&object.id, object.generation, 2..3);
    // What of it is whole is served.
    assert_eq!(world.found(&world.ask_range("/a", 5, 2 * MIB - 1)).await.how, How::Hit);
    assert_eq!(world.origin.requests(), 1);
    let found = world.found(&ask).await;
    assert_eq!(found.how, How::Miss { status: 200 });
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 2);
}

/// RFC 9110 §14.2: a server may ignore `Range`. All of the same representation has the rest in it.
#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_from_an_answer_that_carries_everything() {
    let world = World::new(Origin::new(|_, _| Ok(whole(&FILM))));
    let ask = world.ask("/a");
    world.read_right(&ask, &FILM).await;
    let object = world.engine.cache().object(&ask.id, &ask.key).unwrap();
    for holes in [0..1, 1..2, 3..4, 0..4] {
        world.engine.cache().discard_chunks(&object.id, object.generation, holes);
        world.read_right(&ask, &FILM).await;
        let now = world.engine.cache().object(&ask.id, &ask.key).unwrap();
        assert_eq!(now.generation, object.generation, "it is the same, completed");
    }
    assert_eq!(world.origin.requests(), 5);
    // Of another representation nothing is taken.
    let other = World::new(Origin::new(|index, _| {
        Ok(whole(&FILM.at_version(if index == 0 { 1 } else { 2 })))
    }));
    let ask = other.ask("/a");
    other.read_right(&ask, &FILM).await;
    let object = other.engine.cache().object(&ask.id, &ask.key).unwrap();
    other.engine.cache().discard_chunks(&object.id, object.generation, 2..3);
    let (bytes, end) = other.read(&ask).await;
    assert!(end.is_err() && bytes.len() as u64 == 2 * MIB, "{} bytes", bytes.len());
    other.read_right(&ask, &FILM.at_version(2)).await;
}
