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
