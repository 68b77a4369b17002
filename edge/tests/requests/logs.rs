//! Access records, as operators ask for them.

use std::sync::Arc;

use http::{Method, StatusCode};
use http_body::Body;
use weir_edge::admin::Admin;
use weir_edge_http::{Handler, Request, RequestBody};

use super::{World, nowhere};

impl World {
    async fn logged(&self, query: &str) -> (StatusCode, String) {
        let answer = self.admin_answer(Method::GET, &format!("/v1/logs?{query}"), "").await;
        (answer.status, String::from_utf8(answer.body).unwrap())
    }
}

#[tokio::test]
async fn the_last_requests_are_filtered_here() {
    let world = World::new();
    world.get("/open/a", &[]).await;
    world.get("/missing", &[]).await;
    let token = world.token("/vod/", 60);
    world.get(&format!("/vod/t/{token}"), &[]).await;
    world.get(&format!("/t/{token}/vod/a"), &[("range", "bytes=0-1")]).await;
    let (status, all) = world.logged("last=10").await;
    assert_eq!((status, all.lines().count()), (StatusCode::OK, 4), "{all}");
    assert!(!all.contains(&token), "{all}");
    assert!(all.contains("\"client\":\"192.0.2.0\"") && !all.contains("192.0.2.77"), "{all}");
    let (_, some) = world.logged("last=10&filter=status%3D404%20or%20sid%3Dsession-7").await;
    let records: Vec<serde_json::Value> =
        some.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<_> = records.iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/missing", "/t/-/vod/a"]);
    assert_eq!(records[1]["range"], "bytes=0-1");
    // The same line, and the same id, stand in the access log.
    let id = records[1]["id"].as_str().unwrap();
    assert!(world.lines().contains(some.lines().last().unwrap()), "{id}");
    let typed: Vec<weir_config_admin::LogRecord> =
        all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(typed[0].path, "/open/a");
}

#[tokio::test]
async fn what_cannot_be_asked() {
    let world = World::new();
    let check = async |query: &str, words: &[&str]| {
        let (status, body) = world.logged(query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        words.iter().for_each(|word| assert!(body.contains(word), "{body}"));
    };
    check("filter=stauts%3D1", &["^^^^^^", "did you mean `status`?"]).await;
    check("last=1025", &["1024"]).await;
    check("last=x", &["no number"]).await;
    check("fitler=", &["filter, last, follow=1"]).await;
}

/// A follower sees what comes, and is forgotten when it leaves.
#[tokio::test(start_paused = true)]
async fn followers() {
    let world = World::new();
    let admin = Admin { node: Arc::clone(&world.node) };
    let ask = async || {
        let mut request = Request::new(RequestBody::empty());
        *request.uri_mut() = "/v1/logs?follow=1&filter=path~b".parse().unwrap();
        admin.handle(request, &nowhere()).await
    };
    let mut body = ask().await.into_body();
    world.get("/open/a", &[]).await;
    world.get("/open/b", &[]).await;
    let mut next = async || {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
    };
    let line = next().await;
    assert!(line.contains("/open/b") && line.lines().count() == 1, "{line}");
    assert_eq!(next().await, "\n", "after a silence");
    let mut others = Vec::new();
    for _ in 0..15 {
        others.push(ask().await);
    }
    assert_eq!(ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    others.pop();
    assert_eq!(ask().await.status(), StatusCode::OK);
}

impl World {
    async fn traced(&self, id: &str) -> (StatusCode, serde_json::Value) {
        self.admin(Method::GET, &format!("/v1/trace?id={id}"), "").await
    }

    /// The id of the last request that is remembered.
    async fn last_id(&self) -> String {
        let (_, last) = self.logged("last=1").await;
        let record: serde_json::Value = serde_json::from_str(&last).unwrap();
        record["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn phases_of_a_finished_request() {
    let world = World::new();
    let phases = async || {
        let (status, trace) = world.traced(&world.last_id().await).await;
        assert_eq!(status, StatusCode::OK);
        let typed: weir_config_admin::Trace = serde_json::from_value(trace).unwrap();
        let ends: Vec<_> = typed.phases.iter().map(|one| one.at_ms + one.took_ms).collect();
        // Sums of milliseconds with three places.
        assert!(ends.is_sorted_by(|a, b| *a < b + 0.001), "{ends:?}");
        let last = ends.last().unwrap();
        assert!((last - typed.record.total_ms).abs() < 0.01, "{last} {}", typed.record.total_ms);
        typed.phases.into_iter().map(|one| one.name).collect::<Vec<_>>().join(" ")
    };
    world.get("/open/a", &[]).await;
    assert_eq!(phases().await, "admit authorize lookup fill open head body");
    world.get("/open/a", &[]).await;
    assert_eq!(phases().await, "admit authorize lookup head body");
    world.get("/vod/a", &[]).await;
    assert_eq!(phases().await, "admit authorize head body");
    world.get("//", &[("host", "")]).await;
    let (status, answer) = world.traced("00000000000000zz").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let (status, answer) = world.traced("0000000000000000").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
}

#[tokio::test]
async fn hot_and_slow() {
    let world = World::new();
    for _ in 0..5 {
        world.get("/open/hot?CMCD=br%3D1", &[]).await;
    }
    world.get("/open/once", &[]).await;
    let (_, top) = world.admin(Method::GET, "/v1/top", "").await;
    let top: weir_config_admin::Top = serde_json::from_value(top).unwrap();
    let names: Vec<_> = top.hottest.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["cdn.example/open/hot"]);
    assert!(top.hottest[0].requests_s > 0.4, "{top:?}");
    assert_eq!(top.slowest.len(), 6);
    assert!(top.slowest.is_sorted_by(|a, b| a.ttfb_ms >= b.ttfb_ms));
    let said = &top.slowest.iter().find(|one| one.path.contains("hot")).unwrap().cmcd;
    let said = said.as_ref().unwrap();
    assert_eq!(said.get("br"), Some(&weir_config_admin::CmcdValue::Integer(1)));
}
