//! Objects as an operator sees them: listed, fetched, pinned.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{BODY, World};

const OBJECTS: &str = "/v1/cache/objects";

async fn filled() -> World {
    let world = World::new();
    for path in ["/open/a", "/open/b", "/page/1", "/page/2"] {
        world.get(path, &[]).await;
    }
    world
}

async fn keys(world: &World, query: &str) -> Vec<String> {
    let (status, page) = world.admin(Method::GET, &format!("{OBJECTS}{query}"), "").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let rows = page["objects"].as_array().unwrap();
    rows.iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn listings_are_asked_by_url_key_and_order() {
    let world = filled().await;
    let (a, b) = ("open||/open/a", "open||/open/b");
    let (one, two) = ("site|cdn.example:8443|/page/1", "site|cdn.example:8443|/page/2");
    for (query, expected) in [
        ("", vec![a, b, one, two]),
        ("?limit=1&sort=key", vec![a]),
        ("?prefix=site%7C", vec![one, two]),
        ("?prefix=http%3A%2F%2Fcdn.example%3A8443%2Fpage%2F2", vec![two]),
        ("?prefix=none%7C", vec![]),
        ("?pinned=1", vec![]),
    ] {
        assert_eq!(keys(&world, query).await, expected, "{query}");
    }
    let (_, page) = world.admin(Method::GET, &format!("{OBJECTS}?limit=3"), "").await;
    let cursor = page["next"].as_str().unwrap().replace('|', "%7C");
    assert_eq!(keys(&world, &format!("?limit=3&cursor={cursor}")).await, [two]);
    world.get("/open/b", &[]).await;
    assert_eq!(keys(&world, "?sort=reads&limit=1").await, [b]);
    let row = &page["objects"][0];
    assert_eq!(row["size"], BODY.len());
    assert_eq!(row["chunks"], json!({"total": 1, "ram": 1, "disk": 0, "held": 1}));
    assert!(row["ttl_s"].as_i64().unwrap() > 0, "{row}");
    for query in ["?sort=colour", "?limit=x", "?cursor=x", "?prefix=%zz", "?prefix=nothing"] {
        let (status, why) = world.admin(Method::GET, &format!("{OBJECTS}{query}"), "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {why}");
    }
}

#[tokio::test]
async fn stored_bytes_and_parts_of_them() {
    let world = filled().await;
    let url = "url=http%3A%2F%2Fcdn.example%3A8443%2Fopen%2Fa";
    let (status, shown) = world.admin(Method::GET, &format!("/v1/cache/object?{url}"), "").await;
    assert_eq!((status, &shown["key"]), (StatusCode::OK, &json!("open||/open/a")));
    assert!(shown.get("reads").is_none(), "nobody counted: {shown}");
    let (_, explained) = world.admin(Method::GET, &format!("/v1/cache/explain?{url}"), "").await;
    assert_eq!(shown["chunks"], explained["chunks"]);
    let generation = shown["generation"].as_u64().unwrap();
    let body = async |query: &str| {
        let answer = world.admin_answer(Method::GET, &format!("/v1/cache/body?{query}"), "").await;
        (answer.status, answer.body)
    };
    assert_eq!(body(url).await, (StatusCode::OK, BODY.to_vec()));
    let part =
        body(&format!("key=open%7C%7C%2Fopen%2Fa&generation={generation}&from=2&to=5")).await;
    assert_eq!(part, (StatusCode::OK, BODY[2..5].to_vec()));
    for (query, status) in [
        (format!("{url}&generation=1"), StatusCode::CONFLICT),
        (format!("{url}&from=5&to=2"), StatusCode::BAD_REQUEST),
        (format!("{url}&to=1000"), StatusCode::BAD_REQUEST),
        (format!("{url}&key=a"), StatusCode::BAD_REQUEST),
        (String::new(), StatusCode::BAD_REQUEST),
        ("url=x".to_owned(), StatusCode::BAD_REQUEST),
        ("url=ftp%3A%2F%2Fx%2Fy".to_owned(), StatusCode::BAD_REQUEST),
        ("key=open%7C%7C%2Fnone".to_owned(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(body(&query).await.0, status, "{query}");
    }
    // In RAM and on no disk.
    let verify = json!({"id": shown["id"], "generation": generation, "from": 0, "to": 1});
    let verify = world.admin(Method::POST, "/v1/cache/object/verify", &verify.to_string()).await;
    assert_eq!(verify.1, json!({"copies": [{"chunk": 0, "state": "memory"}]}));
}

#[tokio::test]
async fn a_node_without_disks_pins_and_scrubs_nothing() {
    let world = filled().await;
    let pin =
        async |body: Value| world.admin(Method::POST, "/v1/cache/pins", &body.to_string()).await;
    let url = "http://cdn.example:8443/open/a";
    assert_eq!(pin(json!({"url": url})).await.0, StatusCode::CONFLICT);
    let (status, result) = pin(json!({"url": url, "unpin": true})).await;
    assert_eq!((status, &result["objects"]), (StatusCode::OK, &json!(1)));
    assert_eq!((&result["changed"], &result["dry_run"]), (&json!(0), &json!(true)));
    for body in [json!({}), json!({"url": url, "tag": "a"}), json!({"dry_run": false})] {
        assert_eq!(pin(body.clone()).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
    let scrub = json!({"disk": "0", "rate": 1}).to_string();
    let scrub = world.admin(Method::POST, "/v1/cache/scrub", &scrub).await;
    assert_eq!(scrub.0, StatusCode::NOT_FOUND);
    let (status, _) = world.admin(Method::POST, OBJECTS, "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

/// Which variants there are takes a look at every object of the cache: never on this thread.
#[test]
fn variants_are_looked_for_beside_the_threads_that_fill() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let world = World::new();
        let vary = ("x-answer-vary", "accept-encoding, x-a");
        world.get("/page", &[vary, ("accept-encoding", "br")]).await;
        world.get("/page", &[vary, ("accept-encoding", "gzip")]).await;
        // The only thread for such work is taken.
        let (free, taken) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || taken.recv().is_err());
        let url = "/v1/cache/object?key=proxy%7C%7Chttp%3A%2F%2Fnone";
        let (_, missing) = world.admin(Method::GET, url, "").await;
        assert!(missing.to_string().contains("not in the cache"), "{missing}");
        let url = "/v1/cache/object?url=http%3A%2F%2Fcdn.example%3A8443%2Fpage";
        let mut asked = std::pin::pin!(world.admin(Method::GET, url, ""));
        let at_once = futures::poll!(asked.as_mut());
        assert!(at_once.is_pending(), "{at_once:?}");
        drop(free);
        assert!(busy.await.unwrap());
        let (status, answer) = asked.await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer.to_string().contains("has 2 variants"), "{answer}");
    });
}
