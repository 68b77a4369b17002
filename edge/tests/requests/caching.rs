//! RFC 9111 and its companions from a client's side of a proxy service: which fields it sees,
//! and what the origin was asked. The origin answers with what `x-answer-…` fields tell it.

use http::{Method, StatusCode};

use super::{BODY, World};

const VARY: (&str, &str) = ("x-answer-vary", "accept-language, foo");

/// RFC 9111 §4.1 and RFC 9211: which request gets which response, and how the cache tells.
#[tokio::test]
async fn variants_of_a_page() {
    let world = World::new();
    let ask = |foo: &'static str| world.get_owned("/page", vec![VARY, ("foo", foo)]);
    let first = ask("1").await;
    let told = "edge-1; fwd=uri-miss; fwd-status=200; ttl=60; stored";
    assert_eq!(first.field("cache-status"), told);
    let second = ask("2").await;
    let told = "edge-1; fwd=vary-miss; fwd-status=200; ttl=60; stored";
    assert_eq!(second.field("cache-status"), told);
    assert_eq!(ask("1").await.field("cache-status"), "edge-1; hit; ttl=60; detail=mem");
    let both = [VARY, ("foo", "2"), ("accept-language", "de, en")];
    world.get("/page", &both).await;
    let same = [VARY, ("accept-language", "EN,de"), ("foo", "2")];
    let hit = world.get("/page", &same).await;
    assert_eq!(hit.field("cache-status"), "edge-1; hit; ttl=60; detail=mem");
    assert_eq!((hit.field("vary"), hit.body.as_slice()), ("accept-language, foo", BODY));
    assert_eq!(world.requests(), 3);
    // Ranges, conditions and HEAD are answered from the variant.
    let part = world.get("/page", &[VARY, ("foo", "1"), ("range", "bytes=1-2")]).await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &b"12"[..]));
    let head = world.send(Method::HEAD, "/page", &[VARY, ("foo", "1")]).await;
    assert_eq!((head.field("content-length"), head.body.len()), ("36", 0));
    assert_eq!(world.requests(), 3);
    // What one page says of its neighbours' caches is its own business.
    let star = world.get("/star", &[("x-answer-vary", "*")]).await;
    let told = "edge-1; fwd=uri-miss; fwd-status=200; detail=vary-any";
    assert_eq!(star.field("cache-status"), told);
}

/// RFC 9110 §14.6: several ranges are one multipart answer; overlapping ones and too many are
/// the whole, and where none is left there is nothing to send.
#[tokio::test]
async fn several_ranges() {
    let world = World::new();
    for warm in [false, true] {
        let answer = world.get("/a", &[("range", "bytes=0-1, 10-12,-1")]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{warm}");
        let told = answer.field("content-type").to_owned();
        let boundary = told.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let part = |place: &str, bytes: &str| {
            format!(
                "\r\n--{boundary}\r\nContent-Type: video/mp4\r\n\
                 Content-Range: bytes {place}/36\r\n\r\n{bytes}"
            )
        };
        let parts = [part("0-1", "01"), part("10-12", "abc"), part("35-35", "z")];
        let expected = format!("{}\r\n--{boundary}--\r\n", parts.concat());
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
        assert_eq!(answer.field("content-length"), expected.len().to_string());
        assert_eq!(answer.field("content-range"), "");
        assert_eq!(answer.field("etag"), "\"v1\"");
    }
    let check = async |range: &str, status: StatusCode, length: usize| {
        let answer = world.get("/a", &[("range", range)]).await;
        assert_eq!((answer.status, answer.body.len()), (status, length), "{range}");
    };
    check("bytes=0-5,3-9", StatusCode::OK, 36).await;
    check("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16", StatusCode::OK, 36).await;
    // Of several those beyond the end are left out.
    check("bytes=0-1,99-", StatusCode::PARTIAL_CONTENT, 2).await;
    let beyond = world.get("/a", &[("range", "bytes=99-,100-101")]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(world.requests(), 1);
    // RFC 9110 §13.1.5
    let changed = [("range", "bytes=0-1,3-4"), ("if-range", "\"v0\"")];
    assert_eq!(world.get("/a", &changed).await.status, StatusCode::OK);
}

/// RFC 9111 §4.4: what an unsafe request changed, and what it names on the same origin.
#[tokio::test]
async fn unsafe_methods_invalidate() {
    let world = World::new();
    let fresh = async |path: &str| {
        let before = world.requests();
        world.get(path, &[]).await;
        world.requests() == before
    };
    let all = ["/dir/a", "/dir/b", "/dir/c?x=1", "/other"];
    let check = async |method: &str, fields: &[(&str, &str)], gone: &[&str]| {
        for path in all {
            world.get(path, &[]).await;
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = world.send(method.clone(), "/dir/a", fields).await;
        let told = format!("edge-1; fwd=method; fwd-status={}", answer.status.as_u16());
        assert_eq!(answer.field("cache-status"), told);
        for path in all {
            assert_eq!(!fresh(path).await, gone.contains(&path), "{method} {fields:?}: {path}");
        }
    };
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        check(method, &[], &["/dir/a"]).await;
        let location = [("x-answer-location", "b"), ("x-answer-content-location", "/dir/c?x=1")];
        check(method, &location, &["/dir/a", "/dir/b", "/dir/c?x=1"]).await;
        let absolute = [("x-answer-location", "http://cdn.example:8443/other")];
        check(method, &absolute, &["/dir/a", "/other"]).await;
        // Nobody empties the cache of another origin.
        for elsewhere in ["http://cdn.example/other", "https://cdn.example:8443/other"] {
            check(method, &[("x-answer-location", elsewhere)], &["/dir/a"]).await;
        }
        // An error changed nothing.
        for status in ["404", "500"] {
            check(method, &[("x-status", status), ("x-answer-location", "b")], &[]).await;
        }
        check(method, &[("x-status", "303"), ("x-answer-location", "b")], &["/dir/a", "/dir/b"])
            .await;
    }
    check("OPTIONS", &[("x-answer-location", "b")], &[]).await;
}

/// RFC 9211 §2: each way in which an answer comes about is told.
#[tokio::test]
async fn cache_status_tells_the_truth() {
    let world = World::new();
    let told = async |path: &str, fields: &[(&str, &str)]| {
        world.get(path, fields).await.field("cache-status").to_owned()
    };
    let stored = "edge-1; fwd=uri-miss; fwd-status=200; ttl=60; stored";
    assert_eq!(told("/a", &[]).await, stored);
    // RFC 9111 §5.2.1.4: fresh, but the request wants it validated.
    let no_cache = [("cache-control", "no-cache")];
    let validated = "edge-1; fwd=request; fwd-status=304; ttl=60";
    assert_eq!(told("/a", &no_cache).await, validated);
    world.clock.advance_millis(61_000);
    assert_eq!(told("/a", &[]).await, "edge-1; fwd=stale; fwd-status=304; ttl=60");
    world.clock.advance_millis(61_000);
    let replaced = "edge-1; fwd=stale; fwd-status=200; ttl=60; stored";
    assert_eq!(told("/a", &[("x-changed", "1")]).await, replaced);
    let private = [("x-answer-cache-control", "private")];
    let passed = "edge-1; fwd=uri-miss; fwd-status=200; detail=private";
    for _ in 0..2 {
        assert_eq!(told("/b", &private).await, passed);
    }
    let cookie = [("x-answer-set-cookie", "a=b")];
    assert_eq!(
        told("/c", &cookie).await,
        "edge-1; fwd=uri-miss; fwd-status=200; detail=set-cookie"
    );
    let no_store = [("cache-control", "no-store")];
    let alone = "edge-1; fwd=uri-miss; fwd-status=200; detail=request-no-store";
    assert_eq!(told("/d", &no_store).await, alone);
    // RFC 5861 §3: nobody waited.
    let window = [("x-answer-cache-control", "max-age=10, stale-while-revalidate=50")];
    told("/e", &window).await;
    world.clock.advance_millis(15_000);
    let stale = "edge-1; hit; ttl=-5; detail=stale-while-revalidate";
    assert_eq!(told("/e", &window).await, stale);
    // RFC 5861 §4: it was asked, in vain.
    let window = [("x-answer-cache-control", "max-age=10, stale-if-error=50")];
    told("/f", &window).await;
    world.clock.advance_millis(15_000);
    let failing = [("x-status", "503")];
    let stale = "edge-1; fwd=stale; fwd-status=503; ttl=-5; detail=stale-if-error";
    assert_eq!(told("/f", &failing).await, stale);
    let head = world.send(Method::HEAD, "/g", &[]).await;
    assert_eq!(head.field("cache-status"), stored);
    // Whoever asks first is told the length as well, though no body came along.
    assert_eq!(head.field("content-length"), "36");
    let head = world.send(Method::HEAD, "/g", &[]).await;
    assert_eq!(head.field("cache-status"), "edge-1; hit; ttl=60; detail=mem");
    assert_eq!((head.field("content-length"), head.field("age")), ("36", "0"));
}

/// RFC 9111 §5.2.1.7.
#[tokio::test]
async fn only_if_cached() {
    let world = World::new();
    let only = [VARY, ("foo", "1"), ("cache-control", "only-if-cached")];
    for method in [Method::GET, Method::HEAD] {
        let answer = world.send(method, "/a", &only).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    }
    assert_eq!(world.requests(), 0);
    world.get("/a", &[VARY, ("foo", "1")]).await;
    assert_eq!(world.get("/a", &only).await.status, StatusCode::OK);
    let other = [VARY, ("foo", "2"), ("cache-control", "only-if-cached")];
    assert_eq!(world.get("/a", &other).await.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(world.requests(), 1);
}

/// Answers that are not 200 keep their status and fields, and have no ranges; a 204 has no
/// length.
#[tokio::test]
async fn other_statuses() {
    let world = World::new();
    for status in ["203", "204", "301", "302", "308", "404", "410", "499", "503", "599"] {
        let path = format!("/status/{status}");
        let fields = [("x-status", status), ("x-answer-location", "/x"), ("range", "bytes=0-1")];
        for _ in 0..2 {
            let answer = world.get(&path, &fields).await;
            assert_eq!(answer.status.as_str(), status);
            assert_eq!(answer.field("location"), "/x", "{status}");
            assert_eq!(answer.body.len(), if status == "204" { 0 } else { 36 }, "{status}");
            let length = if status == "204" { "" } else { "36" };
            assert_eq!(answer.field("content-length"), length, "{status}");
        }
    }
    assert_eq!(world.requests(), 10);
}

/// A service may tell how long its fills take.
#[tokio::test]
async fn server_timing() {
    let world = World::new();
    let miss = world.get("/timed/a", &[]).await;
    assert!(miss.field("server-timing").starts_with("cache;desc=miss, fill;dur="), "{miss:?}");
    let hit = world.get("/timed/a", &[]).await;
    let timing = hit.field("server-timing");
    let id = timing.strip_prefix("cache;desc=hit_mem, request;desc=").unwrap();
    assert!(world.lines().contains(&format!("\"id\":\"{id}\"")), "{timing}");
    assert_eq!(world.get("/open/a", &[]).await.field("server-timing"), "");
}
