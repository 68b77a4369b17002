//! RFC 9111 §4.1: one URL, several responses.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use http::header;
use weir_benches_content::Content;
use weir_edge_fill::{Answer, Ask, How, variant::VARIANTS_MAX};
use weir_edge_freshness::{Forward, PassReason};

use crate::script::{Origin, Reply, Seen, Step, World, etag, good, headers, whole};

/// What an origin has for one value of a selecting field.
fn of(value: &str) -> Content {
    let version = 1 + value.bytes().map(u64::from).sum::<u64>() % 50_000;
    Content { object: 40, version, size: 9_000 }
}

fn field(seen: &Seen, name: &str) -> String {
    seen.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// An origin whose responses vary on `foo`, 100 ms away.
fn varying() -> Arc<Origin> {
    Origin::new(|_, seen| {
        let mut reply = good(&of(&field(seen, "foo")), seen);
        reply.wait = Duration::from_millis(100);
        reply.headers.insert(header::VARY, "Foo".parse().unwrap());
        Ok(reply)
    })
}

fn foo(world: &World, value: &str) -> Ask {
    world.ask_with("/a", &[("foo", value), ("via", "1.1 weir")])
}

// RFC 9111 §4 [reuse.vary]
#[tokio::test(start_paused = true)]
async fn each_variant_is_fetched_once() {
    let world = World::new(varying());
    for _ in 0..3 {
        for value in ["1", "2", "3"] {
            world.read_right(&foo(&world, value), &of(value)).await;
        }
    }
    // Absent is a value of its own.
    world.read_right(&world.ask_with("/a", &[("via", "1.1 weir")]), &of("")).await;
    assert_eq!(world.origin.requests(), 4);
    let found = world.found(&foo(&world, "9")).await;
    assert_eq!((found.how, found.fwd), (How::Miss { status: 200 }, Forward::VaryMiss));
    // Normalised: the same members are the same value.
    world.read_right(&foo(&world, "1, 2"), &of("1, 2")).await;
    let twice = world.ask_with("/a", &[("foo", "1"), ("foo", "2"), ("other", "x")]);
    world.read_right(&twice, &of("1, 2")).await;
    assert_eq!(world.origin.requests(), 6);
    assert_eq!(world.engine.under_way(), 0);
}

/// Nobody knows that a URL varies before its first response: those who waited for it and
/// select another one ask once for each variant.
#[tokio::test(start_paused = true)]
async fn variants_collapse_each_for_itself() {
    for unknown_length in [false, true] {
        let origin = Origin::new(move |_, seen| {
            let mut reply = good(&of(&field(seen, "foo")), seen);
            reply.wait = Duration::from_millis(100);
            reply.headers.insert(header::VARY, "foo, bar".parse().unwrap());
            if unknown_length {
                reply.declared = None;
                reply.steps.insert(1, Step::Wait(Duration::from_millis(300)));
            }
            Ok(reply)
        });
        let world = World::new(origin);
        let clients = (0..60).map(|index| ["1", "2", "3"][index % 3]);
        join_all(clients.map(async |value| {
            world.read_right(&foo(&world, value), &of(value)).await;
        }))
        .await;
        assert_eq!(world.origin.requests(), 3, "{unknown_length}");
        assert_eq!(world.engine.under_way(), 0);
    }
}

/// What is not there in one language is there in the others, whatever the error says of `Vary`.
#[tokio::test(start_paused = true)]
async fn an_error_is_one_variants() {
    let origin = Origin::new(|_, seen| {
        let value = field(seen, "foo");
        let mut reply = good(&of(&value), seen);
        if value == "none" {
            reply.status = http::StatusCode::NOT_FOUND;
        } else {
            reply.headers.insert(header::VARY, "Foo".parse().unwrap());
        }
        Ok(reply)
    });
    let world = World::new(origin);
    for value in ["1", "2"] {
        world.read_right(&foo(&world, value), &of(value)).await;
    }
    for _ in 0..2 {
        let found = world.found(&foo(&world, "none")).await;
        assert_eq!(found.object().status, http::StatusCode::NOT_FOUND);
    }
    for value in ["1", "2"] {
        world.read_right(&foo(&world, value), &of(value)).await;
    }
    assert_eq!(world.origin.requests(), 3, "none of them was asked for again");
}

/// Who can choose a field's value must not fill the cache.
#[tokio::test(start_paused = true)]
async fn the_oldest_variant_goes() {
    let world = World::new(varying());
    let values: Vec<_> = (0..VARIANTS_MAX + 6).map(|index| index.to_string()).collect();
    for value in &values {
        world.read_right(&foo(&world, value), &of(value)).await;
    }
    assert_eq!(world.engine.cache().stats().objects, VARIANTS_MAX as u64 + 1);
    let before = world.origin.requests();
    for value in &values[6..] {
        world.read_right(&foo(&world, value), &of(value)).await;
    }
    assert_eq!(world.origin.requests(), before);
    world.read_right(&foo(&world, "0"), &of("0")).await;
    assert_eq!(world.origin.requests(), before + 1);
}

/// A response that varies on more than was known is looked up by all of it from then on.
#[tokio::test(start_paused = true)]
async fn an_origin_that_varies_on_more() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&of(&(field(seen, "foo") + &field(seen, "bar"))), seen);
        let vary = ["foo", "bar", "foo, bar"][index.min(2)];
        reply.headers.insert(header::VARY, vary.parse().unwrap());
        Ok(reply)
    });
    let world = World::new(origin);
    let ask = |foo: &str, bar: &str| world.ask_with("/a", &[("foo", foo), ("bar", bar)]);
    for _ in 0..3 {
        for (a, b) in [("1", "x"), ("2", "x"), ("1", "y"), ("2", "y")] {
            world.read_right(&ask(a, b), &of(&format!("{a}{b}"))).await;
        }
    }
    // The first one was stored by `foo` alone and is asked for once more.
    assert_eq!(world.origin.requests(), 5);
}

/// A response without `Vary` after some with it is the one for all (§4.1: the most recent of
/// those that match).
#[tokio::test(start_paused = true)]
async fn an_origin_that_varies_no_more() {
    let origin = Origin::new(|index, seen| {
        let mut reply = good(&of(&field(seen, "foo")), seen);
        if index < 2 {
            reply.headers.insert(header::VARY, "foo".parse().unwrap());
        }
        Ok(reply)
    });
    let world = World::new(origin);
    for value in ["1", "2", "3"] {
        world.read_right(&foo(&world, value), &of(value)).await;
    }
    world.read_right(&foo(&world, "1"), &of("3")).await;
    assert_eq!(world.origin.requests(), 3);
    assert_eq!(world.engine.cache().stats().objects, 1);
}

#[tokio::test(start_paused = true)]
async fn a_purge_takes_every_variant() {
    let world = World::new(varying());
    for value in ["1", "2"] {
        world.read_right(&foo(&world, value), &of(value)).await;
    }
    world.purge(&world.ask("/a"));
    assert_eq!(world.engine.cache().stats().objects, 0);
    for value in ["1", "2"] {
        world.read_right(&foo(&world, value), &of(value)).await;
    }
    assert_eq!(world.origin.requests(), 4);
}

/// A variant that is on its way when its URL is purged reaches those who wait and is not kept.
#[tokio::test(start_paused = true)]
async fn a_purge_in_the_middle_of_a_variant() {
    let world = World::new(varying());
    world.read_right(&foo(&world, "1"), &of("1")).await;
    let purge = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.purge(&world.ask("/a"));
    };
    let (late, content) = (foo(&world, "2"), of("2"));
    tokio::join!(world.read_right(&late, &content), purge);
    world.read_right(&late, &content).await;
    assert_eq!(world.origin.requests(), 3);
}

/// §4.1: `*` matches nothing; and what is one person's selects nobody else's.
#[tokio::test(start_paused = true)]
async fn some_responses_are_for_one_request() {
    for (vary, reason) in [
        ("*", PassReason::VaryAny),
        ("foo, *", PassReason::VaryAny),
        ("cookie", PassReason::Vary),
        ("foo, Authorization", PassReason::Vary),
    ] {
        let origin = Origin::new(move |_, seen| {
            let mut reply = good(&of("1"), seen);
            reply.headers.insert(header::VARY, vary.parse().unwrap());
            Ok(reply)
        });
        let world = World::new(origin);
        for _ in 0..2 {
            let answer = world.engine.resolve(&foo(&world, "1")).await.unwrap();
            let Answer::Passed(passed) = answer else { panic!("{vary} was kept") };
            assert_eq!(passed.reason, Some(reason), "{vary}");
        }
        assert_eq!(world.origin.requests(), 2);
        assert_eq!(world.engine.cache().stats().objects, 0);
    }
}

/// A value that is longer than any key should be is asked for each time.
#[tokio::test(start_paused = true)]
async fn a_value_too_long_to_select_by() {
    let world = World::new(varying());
    world.read_right(&foo(&world, "1"), &of("1")).await;
    let long = "x".repeat(2000);
    for _ in 0..2 {
        world.read_right(&foo(&world, &long), &of(&long)).await;
    }
    assert_eq!(world.origin.requests(), 3);
    world.read_right(&foo(&world, "1"), &of("1")).await;
    assert_eq!(world.origin.requests(), 3);
}

/// §4.3.4: a 304 updates the variant that was asked about; one that says that the response
/// now varies on more leads to another place.
#[tokio::test(start_paused = true)]
async fn a_304_of_a_variant() {
    for (vary, requests) in [("foo", 3), ("foo, bar", 4)] {
        let origin = Origin::new(move |index, seen| {
            let content = of(&field(seen, "foo"));
            let vary = if index < 2 { "foo" } else { vary };
            let head = [("cache-control", "max-age=60"), ("vary", vary), ("x-turn", "2")];
            let mut reply = good(&content, seen);
            reply.headers.insert(header::VARY, vary.parse().unwrap());
            if seen.if_none_match.as_deref() == Some(&etag(&content)) {
                reply = Reply { headers: headers(&head), ..reply };
            }
            Ok(reply)
        });
        let world = World::new(origin);
        for value in ["1", "2"] {
            world.read_right(&foo(&world, value), &of(value)).await;
        }
        world.clock.advance_millis(61_000);
        let found = world.found(&foo(&world, "2")).await;
        assert_eq!(found.how == How::Revalidated, requests == 3, "{:?}", found.how);
        world.read_right(&foo(&world, "2"), &of("2")).await;
        assert_eq!(world.origin.requests(), requests);
        let asked = world.origin.seen(2);
        assert_eq!(asked.if_none_match, Some(etag(&of("2"))));
        // §4.3.1: with the fields that select.
        assert_eq!(field(&asked, "foo"), "2");
    }
}

/// Chunks of a variant that are gone are asked for under its own tag and fields.
#[tokio::test(start_paused = true)]
async fn a_variant_is_refilled() {
    let origin = Origin::new(|_, seen| {
        let content = of(&field(seen, "foo"));
        let mut reply = good(&Content { size: 3 << 20, ..content }, seen);
        reply.headers.insert(header::VARY, "foo".parse().unwrap());
        Ok(reply)
    });
    // So little memory that the variants push each other out.
    let world = World::with_memory(origin, 4 << 20);
    for _ in 0..3 {
        for value in ["1", "2", "3"] {
            let content = Content { size: 3 << 20, ..of(value) };
            world.read_right(&foo(&world, value), &content).await;
        }
    }
    let refills = (0..world.origin.requests()).map(|index| world.origin.seen(index));
    for seen in refills.filter(|seen| seen.if_match.is_some()) {
        assert_eq!(seen.if_match, Some(etag(&of(&field(&seen, "foo")))));
    }
    assert!(world.origin.requests() > 3);
}

/// Where nothing of a client goes upstream, `Vary` selects nothing, in whatever it says.
#[tokio::test(start_paused = true)]
async fn media_has_no_variants() {
    let origin = Origin::new(|_, _| {
        let mut reply = whole(&of("1"));
        reply.headers.insert(header::VARY, "foo, cookie".parse().unwrap());
        Ok(reply)
    });
    let world = World::new(origin);
    world.read_right(&world.ask("/a"), &of("1")).await;
    world.read_right(&world.ask("/a"), &of("1")).await;
    assert_eq!(world.origin.requests(), 1);
    assert_eq!(world.engine.cache().stats().objects, 1);
}
