//! RFC 9111 §3.4: a part that is joined to what is stored brings it up to date.

use std::time::Duration;

use http::header;
use weir_benches_content::Content;
use weir_edge_cache::StoredObject;

use crate::script::{MIB, Origin, Reply, Seen, Step, World, good, truncated};

static FILM: Content = Content { object: 4, version: 1, size: 3 * MIB + 12_345 };

/// How the second request comes about.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// The rest of a body that broke off.
    Rest,
    /// Chunks that never came.
    Missing,
}

/// The first answer, and the part with these fields in place of its own.
fn answer(part: Part, index: usize, seen: &Seen, fields: &[(&'static str, &str)]) -> Reply {
    let mut reply = good(&FILM, seen);
    reply.headers.insert("x-told", if index == 0 { "first" } else { "part" }.parse().unwrap());
    if index == 0 {
        reply.headers.insert("x-only-first", "kept".parse().unwrap());
        if matches!(part, Part::Rest) {
            reply.steps.truncate(20);
            reply.steps.push(Step::Wait(Duration::from_millis(500)));
            reply.steps.push(Step::Fail(truncated(20 << 16)));
        }
    } else {
        for (name, value) in fields {
            reply.headers.insert(*name, value.parse().unwrap());
        }
    }
    reply
}

/// Brings a film in two parts, the second half a minute after the first.
async fn two_parts(
    part: Part,
    fields: &'static [(&'static str, &'static str)],
) -> (World, Result<(), String>) {
    let world = World::new(Origin::new(move |index, seen| Ok(answer(part, index, seen, fields))));
    let ask = world.ask("/a");
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.clock.advance_millis(30_000);
    };
    let read = match part {
        Part::Rest => futures::join!(world.read(&ask), later).0,
        Part::Missing => {
            world.read_right(&world.ask_range("/a", 0, 9), &FILM).await;
            later.await;
            world.read(&ask).await
        }
    };
    assert_eq!(world.origin.requests(), 2, "{part:?}");
    assert!(world.origin.seen(1).range.is_some() && world.origin.seen(1).if_match.is_some());
    tokio::time::sleep(Duration::from_millis(1)).await;
    (world, read.1.map_err(|error| error.to_string()))
}

fn stored(world: &World) -> Option<std::sync::Arc<StoredObject>> {
    let ask = world.ask("/a");
    world.engine.cache().object(&ask.id, &ask.key)
}

// RFC 9111 §3.4 [combine.update]
#[tokio::test(start_paused = true)]
async fn a_part_updates_what_it_is_joined_to() {
    for part in [Part::Rest, Part::Missing] {
        let fields = &[("cache-control", "max-age=120"), ("x-new", "too")];
        let (world, end) = two_parts(part, fields).await;
        end.unwrap();
        let headers = stored(&world).unwrap().headers();
        let told = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let got = ["x-told", "x-only-first", "x-new", "cache-control"].map(told);
        let due = ["part", "kept", "too", "max-age=120"].map(|value| Some(value.to_owned()));
        assert_eq!(got, due, "{part:?}");
        assert!(!headers.contains_key(header::CONTENT_RANGE), "{part:?}: still a part");
        // Two minutes from the part, not one from the first answer.
        world.clock.advance_millis(119_000);
        world.read_right(&world.ask("/a"), &FILM).await;
        assert_eq!(world.origin.requests(), 2, "{part:?}: not fresh");
        world.clock.advance_millis(2_000);
        world.read_right(&world.ask("/a"), &FILM).await;
        assert_eq!(world.origin.requests(), 3, "{part:?}: fresh for too long");
    }
}

/// An age that came with the part counts, also where it makes the whole stale.
#[tokio::test(start_paused = true)]
async fn a_part_may_make_the_whole_stale() {
    for part in [Part::Rest, Part::Missing] {
        let (world, end) = two_parts(part, &[("age", "3600")]).await;
        end.unwrap();
        world.read_right(&world.ask("/a"), &FILM).await;
        assert_eq!(world.origin.requests(), 3, "{part:?}");
        assert!(world.origin.seen(2).if_none_match.is_some(), "{part:?}");
    }
}

/// RFC 9111 §5.2.2.5: where the origin says in the part that nothing may be stored, nothing of
/// the whole stays.
#[tokio::test(start_paused = true)]
async fn a_part_that_may_not_be_stored_takes_the_whole_along() {
    for part in [Part::Rest, Part::Missing] {
        for directive in [&[("cache-control", "no-store")], &[("cache-control", "private")]] {
            let (world, end) = two_parts(part, directive).await;
            assert!(end.is_err_and(|error| error.contains("may not be kept")), "{part:?}");
            assert!(stored(&world).is_none(), "{part:?}: the object stayed");
            assert_eq!(world.engine.cache().stats().ram_chunks, 0, "{part:?}: chunks stayed");
        }
    }
}

/// RFC 9111 §3.5: parts of what is everybody's are asked for as everybody, and with credentials
/// where the origin lets their answers be shared.
#[tokio::test(start_paused = true)]
async fn a_part_is_asked_for_with_the_credentials_that_may_be_shared() {
    for (control, sent) in [("max-age=60", false), ("max-age=60, public", true)] {
        let world = World::new(Origin::new(move |_, seen| {
            let mut reply = good(&FILM, seen);
            reply.headers.insert(header::CACHE_CONTROL, control.parse().unwrap());
            Ok(reply)
        }));
        world.read_right(&world.ask_range("/a", 0, 9), &FILM).await;
        let theirs = world.ask_with("/a", &[("authorization", "Basic Zm9v")]);
        world.read_right(&theirs, &FILM).await;
        let second = world.origin.seen(1);
        assert_eq!(second.headers.contains_key(header::AUTHORIZATION), sent, "{control}");
        world.read_right(&world.ask("/a"), &FILM).await;
        assert_eq!(world.origin.requests(), 2, "{control}");
    }
}

/// What varies on more from now on is not given to anybody without asking.
#[tokio::test(start_paused = true)]
async fn a_part_that_varies_outdates_the_whole() {
    let origin = Origin::new(|index, seen| {
        let fields = [("vary", "accept-language")];
        Ok(answer(Part::Missing, index, seen, &fields))
    });
    let world = World::new(origin);
    let ask = world.ask_with("/a", &[("accept-language", "de")]);
    let first = weir_edge_fill::Ask { range: Some((0, Some(9))), ..ask.clone() };
    world.read_right(&first, &FILM).await;
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 2);
    world.read_right(&world.ask_with("/a", &[("accept-language", "fr")]), &FILM).await;
    assert!(world.origin.requests() > 2, "served to who did not select it");
}
