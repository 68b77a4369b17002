//! Requirements of RFC 9111 that show only from a client's side: what is stored and comes back,
//! what leaves nothing behind, and whose conditions are judged where.

use http::{Method, StatusCode};

use super::{BODY, World};

// RFC 9111 §3.1 [fields.all]
// RFC 9111 §4 [reuse.age]
// RFC 9111 §5.2 [directives.pass]
// RFC 9111 §5.2.2.6 [no-transform]
#[tokio::test]
async fn what_is_stored_comes_back() {
    const SAID: &str = "max-age=60, no-transform, made-up=\"x, y\"";
    let world = World::new();
    let told = [
        ("x-answer-cache-control", SAID),
        ("x-answer-content-encoding", "gzip"),
        ("x-answer-x-nobody-knows", "1"),
        ("x-answer-content-range", "nonsense in a 200"),
        ("x-answer-age", "7"),
    ];
    let miss = world.get("/a", &told).await;
    world.clock.advance_millis(10_000);
    let hit = world.get("/a", &[("accept-encoding", "identity")]).await;
    assert_eq!(world.requests(), 1);
    for answer in [&miss, &hit] {
        assert_eq!(answer.field("cache-control"), SAID);
        assert_eq!(answer.field("content-encoding"), "gzip");
        assert_eq!(answer.field("x-nobody-knows"), "1");
        assert_eq!(answer.field("content-range"), "nonsense in a 200");
        assert_eq!(answer.body, BODY, "not a byte is changed");
        assert_eq!(answer.headers.get_all("age").iter().count(), 1);
    }
    assert_eq!((miss.field("age"), hit.field("age")), ("7", "17"));
    // What a client directs goes on to the origin, whatever it means.
    let directed = world.get("/b", &[("cache-control", "made-up=1")]).await;
    assert!(directed.field("x-fields").split(',').any(|name| name == "cache-control"));
}

// RFC 9111 §5.2.1.5 [request.no-store-disk, request.no-store-memory]
// RFC 9111 §5.2.2.5 [no-store.use, no-store.disk, no-store.memory]
#[tokio::test]
async fn no_store_leaves_nothing() {
    for said in [("x-answer-cache-control", "no-store"), ("cache-control", "no-store")] {
        let world = World::new();
        for requests in [1, 2] {
            let answer = world.get("/a", &[said]).await;
            assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, BODY));
            assert_eq!(world.requests(), requests, "{said:?}");
            let stats = world.node.engine.cache().stats();
            assert_eq!((stats.objects, stats.ram_used_bytes), (0, 0), "{said:?}");
        }
    }
}

// RFC 9111 §4.3.2 [conditional.stored, conditional.other]
#[tokio::test]
async fn conditions_are_judged_where_their_answer_is() {
    let world = World::new();
    let status = async |path: &str, fields: &[(&str, &str)]| {
        let answer = world.get(path, fields).await;
        let sent = answer.field("x-fields").contains("if-none-match");
        (answer.status, sent)
    };
    // Nothing is stored: what the origin sends for everybody is judged, not what is not there.
    let known = ("if-none-match", "\"v1\"");
    assert_eq!(status("/a", &[known]).await, (StatusCode::NOT_MODIFIED, false));
    assert_eq!(status("/b", &[("if-none-match", "\"v0\"")]).await, (StatusCode::OK, false));
    // Our own validation gets a 304 about a tag that the client does not have.
    world.clock.advance_millis(61_000);
    let other = world.get("/a", &[("if-none-match", "\"v0\"")]).await;
    assert_eq!((other.status, other.body.as_slice()), (StatusCode::OK, BODY));
    assert_eq!(other.field("cache-status"), "edge-1; fwd=stale; fwd-status=304; ttl=60");
    assert_eq!(world.requests(), 3);
}

// RFC 9111 §4.3.1 [validate.etag, validate.modified]
// RFC 9111 §4.3.4 [freshen.update]
#[tokio::test]
async fn a_validation_names_what_is_stored_and_brings_its_fields() {
    const DATE: (&str, &str) = ("x-answer-last-modified", "Tue, 14 Nov 2023 00:00:00 GMT");
    let world = World::new();
    world.get("/a", &[DATE, ("x-answer-x-turn", "1"), ("x-answer-x-kept", "1")]).await;
    world.clock.advance_millis(61_000);
    for _ in 0..2 {
        let answer = world.get("/a", &[DATE, ("x-answer-x-turn", "2")]).await;
        assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, BODY));
        let sent: Vec<_> = answer.field("x-fields").split(',').collect();
        assert!(sent.contains(&"if-none-match") && sent.contains(&"if-modified-since"), "{sent:?}");
        assert_eq!((answer.field("x-turn"), answer.field("x-kept")), ("2", "1"));
    }
    assert_eq!(world.requests(), 2);
}

// RFC 9111 §4 [reuse.method, reuse.unsafe]
#[tokio::test]
async fn only_get_and_head_are_answered_from_the_cache() {
    let world = World::new();
    world.get("/a", &[]).await;
    world.send(Method::HEAD, "/a", &[]).await;
    assert_eq!(world.requests(), 1);
    for (number, method) in ["OPTIONS", "POST", "PUT", "DELETE", "M-SEARCH"].iter().enumerate() {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = world.send(method.clone(), "/a", &[("x-status", "500")]).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{method}");
        assert_eq!(world.requests(), number + 2, "{method}");
    }
}
