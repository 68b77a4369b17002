//! HEAD: what GET's answer says of it, and what its answer says of GET's (RFC 9111 §4, §4.3.5).

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use http::{Method, header};
use weir_benches_content::Content;
use weir_edge_fill::{Answer, How};
use weir_edge_freshness::Forward;

use crate::script::{Origin, Reply, World, etag, good};

const FILM: Content = Content { object: 60, version: 1, size: 30_000 };

/// An origin that answers HEAD as `content(index)` would be answered, 100 ms away.
fn origin(content: impl Fn(usize) -> Content + Send + Sync + 'static) -> Arc<Origin> {
    Origin::new(move |index, seen| {
        let content = content(index);
        let mut reply = Reply { wait: Duration::from_millis(100), ..good(&content, seen) };
        if seen.method == Method::HEAD {
            let length = content.size.to_string().parse().unwrap();
            reply.headers.insert(header::CONTENT_LENGTH, length);
            (reply.declared, reply.steps) = (Some(0), Vec::new());
        }
        Ok(reply)
    })
}

/// §9.3.2 of RFC 9110: kept like an answer to GET, for HEAD only.
#[tokio::test(start_paused = true)]
async fn heads_of_what_is_not_here_collapse() {
    let world = World::new(origin(|_| FILM));
    let head = world.ask("/a").head();
    join_all((0..50).map(|_| async {
        let found = world.found(&head).await;
        assert_eq!(found.object().header(&header::CONTENT_LENGTH).unwrap(), "30000");
        assert_eq!(found.object().header(&header::ETAG).unwrap(), etag(&FILM).as_str());
        // Whoever asked first as well: a client is not told a length of 0.
        assert_eq!(found.size(), None);
    }))
    .await;
    assert_eq!(world.found(&head).await.how, How::Hit);
    assert_eq!(world.origin.requests(), 1);
    // It has no body to give.
    world.read_right(&world.ask("/a"), &FILM).await;
    assert_eq!(world.origin.requests(), 2);
    world.purge(&world.ask("/a"));
    assert_eq!(world.found(&head).await.how, How::Miss { status: 200 });
}

/// RFC 9111 §4: a stored answer to GET answers HEAD.
#[tokio::test(start_paused = true)]
async fn a_fresh_get_answers_head() {
    let world = World::new(origin(|_| FILM));
    world.read_right(&world.ask("/a"), &FILM).await;
    let found = world.found(&world.ask("/a").head()).await;
    assert_eq!((found.how, found.size()), (How::Hit, Some(FILM.size)));
    assert_eq!(world.origin.requests(), 1);
}

/// The same validators and length: the stored answer to GET is fresh again.
// RFC 9111 §4.3.5 [head.update, head.match, head.fields]
#[tokio::test(start_paused = true)]
async fn a_head_updates_the_stored_get() {
    let world = World::new(origin(|_| FILM));
    world.read_right(&world.ask("/a"), &FILM).await;
    world.clock.advance_millis(61_000);
    let asks: Vec<_> = (0..10).map(|_| world.ask("/a").head()).collect();
    join_all(asks.iter().map(|ask| world.found(ask))).await;
    assert_eq!(world.origin.seen(1).method, Method::HEAD);
    assert_eq!(world.found(&world.ask("/a")).await.how, How::Hit);
    world.read_right(&world.ask("/a"), &FILM).await;
    assert_eq!(world.origin.requests(), 2);
    world.clock.advance_millis(61_000);
    let found = world.found(&asks[0]).await;
    assert_eq!((found.how, found.fwd), (How::Revalidated, Forward::Stale));
    assert_eq!(found.upstream_status(), 200);
}

/// Others: what is stored is stale, also where it was fresh.
// RFC 9111 §4.3.5 [head.stale]
#[tokio::test(start_paused = true)]
async fn a_head_outdates_the_stored_get() {
    let new = FILM.at_version(2);
    let world = World::new(origin(move |index| if index == 0 { FILM } else { new }));
    world.read_right(&world.ask("/a"), &FILM).await;
    let mut head = world.ask("/a").head();
    head.control.no_cache = true;
    let found = world.found(&head).await;
    assert_eq!(found.object().header(&header::ETAG).unwrap(), etag(&new).as_str());
    world.read_right(&world.ask("/a"), &new).await;
    assert_eq!(world.origin.requests(), 3);
}

/// A HEAD that may not be shared is each client's own.
#[tokio::test(start_paused = true)]
async fn a_private_head_is_passed_on() {
    let world = World::new(Origin::new(|_, seen| {
        let mut reply = good(&FILM, seen);
        reply.headers.insert(header::CACHE_CONTROL, "private".parse().unwrap());
        reply.steps.clear();
        Ok(reply)
    }));
    for requests in [1, 2] {
        let answer = world.engine.resolve(&world.ask("/a").head()).await.unwrap();
        assert!(matches!(answer, Answer::Passed(_)));
        assert_eq!(world.origin.requests(), requests);
        assert_eq!(world.origin.seen(requests - 1).method, Method::HEAD);
    }
}
