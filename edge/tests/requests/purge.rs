//! Purging as an operator does it: the admin API above, clients and an origin below.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, StatusCode};
use serde_json::json;
use weir_edge::admin::Admin;
use weir_edge_cache::Cache;
use weir_edge_http::{Handler, Request, RequestBody};

use super::{Answer, World, nowhere};

impl World {
    pub(super) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> (StatusCode, serde_json::Value) {
        let answer = self.admin_answer(method, path, body).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    pub(super) async fn admin_answer(&self, method: Method, path: &str, body: &str) -> Answer {
        let pieces = futures::stream::iter([Ok(Bytes::from(body.to_owned()))]).boxed();
        let mut request = Request::new(RequestBody::stream(pieces, Some(body.len() as u64)));
        (*request.method_mut(), *request.uri_mut()) = (method, path.parse().unwrap());
        let admin = Admin { node: Arc::clone(&self.node) };
        Answer::of(admin.handle(request, &nowhere()).await).await
    }

    async fn purge(&self, body: &str) -> (StatusCode, serde_json::Value) {
        self.admin(Method::POST, "/v1/cache/purge", body).await
    }
}

/// Which of these are held, as the node explains them, and as requests for them show.
async fn held<const N: usize>(world: &World, paths: [&str; N]) -> [bool; N] {
    let mut found = [false; N];
    for (path, found) in paths.iter().zip(&mut found) {
        let explained = format!("/v1/cache/explain?url=http%3A%2F%2Fcdn.example%3A8443{path}");
        let (_, explained) = world.admin(Method::GET, &explained, "").await;
        *found = explained["verdict"] == "hit";
        let before = world.requests();
        world.get(path, &[]).await;
        assert_eq!(*found, world.requests() == before, "{path}: {explained}");
    }
    found
}

const PATHS: [&str; 4] = ["/open/a/1", "/open/a/2", "/page/1", "/page/2"];

async fn filled() -> World {
    let world = World::new();
    for (path, tags) in PATHS.iter().zip(["one odd", "two", "one ODD", "two"]) {
        world.get(path, &[("x-answer-surrogate-key", tags)]).await;
    }
    world
}

#[tokio::test]
async fn a_number_that_is_named_must_be_right() {
    let world = filled().await;
    let url = r#""url":"http://cdn.example:8443/open/a/1","dry_run":false"#;
    let (status, refused) = world.purge(&format!(r#"{{{url},"i_know":7}}"#)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
    assert_eq!(refused["why"], "it was told to take 7", "{refused}");
    let (status, purged) = world.purge(&format!(r#"{{{url},"i_know":1}}"#)).await;
    assert_eq!((status, &purged["objects"]), (StatusCode::OK, &json!(1)), "{purged}");
}

/// RFC 9110 §4.2.4: nothing that no client can ask for is taken, and no password told again.
#[tokio::test]
async fn urls_that_no_client_sends_are_refused() {
    let world = filled().await;
    for (what, url) in [
        ("url", "http://user:secret@cdn.example:8443/open/a/1"),
        ("prefix", "http://user:secret@cdn.example:8443/open/"),
        ("url", "http://cdn.example:99999/open/a/1"),
        ("prefix", "http://cdn.example:0/open/"),
    ] {
        let (status, refused) = world.purge(&json!({ what: url }).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{url}: {refused}");
        assert!(!refused.to_string().contains("secret"), "{refused}");
        let code: String = url.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/v1/cache/explain?url={code}");
        let (status, refused) = world.admin(Method::GET, &path, "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{url}: {refused}");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn variants_are_named_as_in_a_listing() {
    let world = World::new();
    let vary = ("x-answer-vary", "accept-encoding");
    world.get("/page", &[vary, ("accept-encoding", "gzip")]).await;
    let (_, dry) = world.purge(r#"{"url":"http://cdn.example:8443/page"}"#).await;
    let sample = dry["sample"].to_string();
    assert!(sample.contains(r#"/page   variant \"accept-encoding=gzip\""#), "{dry}");
    assert!(!sample.contains(r"\n"), "{dry}");
}

/// What was made stale is so by the purge, whatever its fields say.
#[tokio::test]
async fn explain_tells_of_a_soft_purge() {
    let world = World::new();
    world.get("/open/a/1", &[]).await;
    world.clock.advance_millis(5_554);
    let url = "http://cdn.example:8443/open/a/1";
    let path = format!("/v1/cache/explain?url={url}");
    let ttl = async || {
        let (_, found) = world.admin(Method::GET, &path, "").await;
        let decided = found["decided"].as_array().unwrap();
        let ttl = decided.iter().find(|one| one["what"] == "ttl").unwrap();
        format!("{} by {}", ttl["value"].as_str().unwrap(), ttl["by"].as_str().unwrap())
    };
    assert_eq!(ttl().await, "60 s by max-age in Cache-Control of the response");
    let order = json!({ "url": url, "dry_run": false, "soft": true }).to_string();
    assert_eq!(world.purge(&order).await.0, StatusCode::OK);
    let told = "5554 ms by a purge with --soft at that age, over max-age in Cache-Control of the \
                response";
    assert_eq!(ttl().await, told);
}

#[tokio::test]
async fn each_selector() {
    let check = async |body: &str, objects: u64, left: [bool; 4]| {
        let world = filled().await;
        let told = |dry_run: bool, know: &str| format!(r#"{{{body},"dry_run":{dry_run}{know}}}"#);
        let (status, dry) = world.purge(&told(true, "")).await;
        assert_eq!(
            (status, &dry["objects"], &dry["epoch"]),
            (StatusCode::OK, &json!(objects), &json!(0)),
            "{body}"
        );
        assert_eq!(world.requests(), 4);
        let wide = dry["wide"] == true;
        if wide {
            let (status, refused) = world.purge(&told(false, "")).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{body}: {refused}");
        }
        let know = if wide { format!(r#","i_know":{objects}"#) } else { String::new() };
        let (status, done) = world.purge(&told(false, &know)).await;
        assert_eq!((status, &done["objects"]), (StatusCode::OK, &json!(objects)), "{body}: {done}");
        assert!(done["epoch"].as_u64().is_some_and(|epoch| epoch > 0), "{done}");
        assert_eq!(held(&world, PATHS).await, left, "{body}");
    };
    check(r#""url":"http://cdn.example:8443/open/a/1""#, 1, [false, true, true, true]).await;
    check(r#""prefix":"http://cdn.example:8443/open/a/""#, 2, [false, false, true, true]).await;
    check(r#""prefix":"http://cdn.example:8443/page/2""#, 1, [true, true, true, false]).await;
    // Fields of a media service's clients do not reach the origin, so it tags nothing there.
    check(r#""tag":"odd""#, 1, [true, true, false, true]).await;
    check(r#""service":"site""#, 2, [true, true, false, false]).await;
    check(r#""all":true"#, 4, [false; 4]).await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let world = filled().await;
    for (body, status) in [
        ("{}", 400),
        (r#"{"all":true,"tag":"a","dry_run":false}"#, 400),
        (r#"{"tag":" ","dry_run":false}"#, 400),
        (r#"{"service":"nobody","dry_run":false}"#, 404),
        (r#"{"prefix":"/open/","dry_run":false}"#, 400),
        (r#"{"prefix":"http://cdn.example:8443/open/../x","dry_run":false}"#, 400),
        (r#"{"all":true,"dry_run":false,"i_know":400}"#, 403),
    ] {
        let (got, answer) = world.purge(body).await;
        assert_eq!(got.as_u16(), status, "{body}: {answer}");
        assert!(answer["error"].is_string(), "{body}: {answer}");
    }
    assert_eq!(held(&world, PATHS).await, [true; 4]);
}

#[tokio::test]
async fn a_soft_purge_asks_whether_it_still_holds() {
    let world = filled().await;
    let (status, _) =
        world.purge(r#"{"service":"open","soft":true,"dry_run":false,"i_know":2}"#).await;
    assert_eq!(status, StatusCode::OK);
    world.clock.advance_millis(1);
    let explained = "/v1/cache/explain?url=http%3A%2F%2Fcdn.example%3A8443/open/a/1";
    let (_, explained) = world.admin(Method::GET, explained, "").await;
    assert_eq!(
        (&explained["verdict"], &explained["purge"]["what"]),
        (&json!("stale"), &json!("open"))
    );
    let answer = world.get(PATHS[0], &[]).await;
    assert_eq!(answer.field("cache-status"), "edge-1; fwd=stale; fwd-status=304; ttl=60");
    assert_eq!(
        world.get(PATHS[0], &[]).await.field("cache-status"),
        "edge-1; hit; ttl=60; detail=mem"
    );
}

#[tokio::test]
async fn space_is_reclaimed_and_told() {
    let world = filled().await;
    tokio::spawn(Cache::reclaim(Arc::downgrade(world.node.engine.cache())));
    let mut gone = 0;
    for (body, objects) in [
        (r#"{"service":"site","dry_run":false,"i_know":2}"#, 2),
        (r#"{"url":"http://cdn.example:8443/open/a/1","dry_run":false}"#, 1),
    ] {
        let (_, done) = world.purge(body).await;
        let path = format!("/v1/cache/purges?reclaimed={}", done["epoch"]);
        let (_, purges) = world.admin(Method::GET, &path, "").await;
        gone += objects;
        assert_eq!(purges["reclaimed_epoch"], done["epoch"], "{purges}");
        assert_eq!((&purges["standing"], &purges["objects"]), (&json!(0), &json!(gone)));
        assert_eq!(purges["of"], json!(4 - gone));
        let (_, status) = world.admin(Method::GET, "/v1/status", "").await;
        assert_eq!(status["cache"]["purge_epoch"], done["epoch"]);
    }
}

/// Tags are for caches: a player gets none, whoever is behind a proxy may be one.
#[tokio::test]
async fn tags_are_passed_on_by_proxies_only() {
    let world = World::new();
    for (path, passed) in [("/tagged", ["a", "b"]), ("/open/tagged", ["", ""])] {
        let answer = world.get(path, &[]).await;
        assert_eq!([answer.field("surrogate-key"), answer.field("cache-tag")], passed, "{path}");
        let (_, purged) = world.purge(r#"{"tag":"B","dry_run":true}"#).await;
        assert!(purged["sample"].to_string().contains(path), "{path}: {purged}");
    }
}

#[tokio::test]
async fn what_no_object_can_have_spends_no_epoch() {
    let world = filled().await;
    for tag in ["", " ", "a\u{7}b", &"a".repeat(1025)] {
        let body = json!({"tag": tag, "dry_run": false}).to_string();
        let (status, why) = world.purge(&body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{tag:?}: {why}");
    }
    assert_eq!(held(&world, PATHS).await, [true; 4]);
    let (_, purges) = world.admin(Method::GET, "/v1/cache/purges", "").await;
    assert_eq!(purges["epoch"], 0);
}
