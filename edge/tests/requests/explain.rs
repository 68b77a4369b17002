//! What explain says, and that it is so.

use http::Method;
use serde_json::Value;

use super::World;

impl World {
    async fn explained(&self, path: &str, headers: &[&str]) -> Value {
        let code = |text: &str| text.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        let headers: String = headers.iter().map(|one| format!("&header={}", code(one))).collect();
        let url = code(&format!("http://cdn.example:8443{path}"));
        self.admin(Method::GET, &format!("/v1/cache/explain?url={url}{headers}"), "").await.1
    }
}

#[track_caller]
fn check(found: &Value, verdict: &str, why: &str) {
    assert_eq!(found["verdict"], verdict, "{found}");
    assert!(found["why"].as_str().unwrap().contains(why), "{found}");
}

/// Who decided something.
fn by(found: &Value, what: &str) -> String {
    let decided = found["decided"].as_array().unwrap();
    let one = decided.iter().find(|one| one["what"] == what).unwrap();
    format!("{} by {}", one["value"].as_str().unwrap(), one["by"].as_str().unwrap())
}

#[tokio::test]
async fn variants_are_listed_and_one_is_chosen() {
    let world = World::new();
    let vary = ("x-answer-vary", "accept-encoding, x-a");
    world.get("/page", &[vary, ("accept-encoding", "br, gzip")]).await;
    world.get("/page", &[vary, ("accept-encoding", "gzip"), ("x-a", "1\t2")]).await;
    let found = world.explained("/page", &[]).await;
    check(&found, "miss", "no stored one answers a request with \"accept-encoding\"");
    assert_eq!(found["vary"].as_array().unwrap().len(), 2);
    let variants = found["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 2);
    assert!(variants.iter().all(|variant| variant["chosen"] == false));
    let found = world.explained("/page", &["Accept-Encoding: gzip,br"]).await;
    check(&found, "hit", "every byte is here");
    let chosen: Vec<_> = found["variants"].as_array().unwrap().iter().collect();
    let chosen = chosen.into_iter().find(|variant| variant["chosen"] == true).unwrap();
    assert_eq!(
        chosen["selects"],
        serde_json::json!([["accept-encoding", "br,gzip"], ["x-a", null]])
    );
    assert_eq!((&found["size"], &found["status"]), (&36.into(), &200.into()));
    // It is so.
    let before = world.requests();
    world.get("/page", &[("accept-encoding", "br,gzip")]).await;
    assert_eq!(world.requests(), before);
}

#[tokio::test]
async fn an_answer_to_head_has_a_place_of_its_own() {
    let world = World::new();
    let field = &[("x-answer-control", "max-age=60")];
    world.send(Method::HEAD, "/h", field).await;
    let code = |text: &str| text.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
    let path = format!("/v1/cache/explain?url={}", code("http://cdn.example:8443/h"));
    let found = world.admin(Method::GET, &path, "").await.1;
    check(&found, "miss", "nothing is stored");
    let of_head = format!("{path}&method=HEAD");
    let found = world.admin(Method::GET, &of_head, "").await.1;
    check(&found, "hit", "an answer to HEAD is stored for itself: every byte is here");
    // It is so.
    let before = world.requests();
    world.send(Method::HEAD, "/h", field).await;
    assert_eq!(world.requests(), before);
    // What GET brought answers both.
    world.get("/h", field).await;
    check(&world.admin(Method::GET, &of_head, "").await.1, "hit", "every byte is here");
    let (status, _) = world.admin(Method::GET, &format!("{path}&method=PUT"), "").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn stale_answers() {
    let check_at = async |control: &str, seconds: u64, verdict: &str, why: &str| {
        let world = World::new();
        world.get("/page", &[("x-answer-cache-control", control)]).await;
        world.clock.advance_millis(seconds * 1000);
        check(&world.explained("/page", &[]).await, verdict, why);
    };
    check_at("max-age=60", 9, "hit", "fresh for 51 s more").await;
    let while_revalidating = "max-age=10, stale-while-revalidate=30";
    check_at(while_revalidating, 15, "stale", "served at once, stale, and refreshed").await;
    check_at(while_revalidating, 15, "stale", "for 25 s more").await;
    check_at(while_revalidating, 50, "stale", "the upstream is asked whether").await;
    check_at("max-age=10", 15, "stale", "no upstream can be reached, for 595 s more").await;
    check_at("max-age=10, stale-if-error=20", 15, "stale", "answers an error, for 15 s").await;
    check_at("max-age=10, must-revalidate", 15, "stale", "forbids").await;
    check_at("no-cache", 0, "stale", "no-cache: the upstream is asked").await;
}

#[tokio::test]
async fn what_the_request_says() {
    let world = World::new();
    world.get("/page", &[]).await;
    let check = async |header: &str, verdict: &str, why: &str| {
        check(&world.explained("/page", &[header]).await, verdict, why);
    };
    check("cache-control: no-cache", "stale", "wants a fresher answer").await;
    // RFC 9111 §5.2.1.5 speaks of what is stored, not of what was.
    check("cache-control: no-store", "hit", "fresh").await;
    check("cache-control: only-if-cached", "hit", "fresh").await;
    let absent = world.explained("/other", &["cache-control: no-store"]).await;
    super::explain::check(&absent, "bypass", "no-store");
    let absent = world.explained("/other", &["cache-control: only-if-cached"]).await;
    super::explain::check(&absent, "miss", "504");
    let held = world.explained("/page", &["cache-control: no-store"]).await;
    assert_eq!((&held["tier"], &held["chunks"]["ram"]), (&"memory".into(), &1.into()), "{held}");
    let (status, _) = world.admin(Method::GET, "/v1/cache/explain?url=x", "").await;
    assert_eq!(status, 400, "no URL");
    check("cache-control: max-age=5", "hit", "fresh").await;
    // A media service does not let its clients reach through the cache.
    world.get("/open/a", &[]).await;
    let found = world.explained("/open/a", &["cache-control: no-cache"]).await;
    super::explain::check(&found, "hit", "fresh");
    let (status, _) =
        world.admin(Method::GET, "/v1/cache/explain?url=http://h/&header=x", "").await;
    assert_eq!(status, 200, "an empty field");
    let (status, _) =
        world.admin(Method::GET, "/v1/cache/explain?url=http://h/&header=a%20b:c", "").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn who_decided() {
    let world = World::new();
    let check = async |path: &str, control: &str, status: &str, what: &str, expected: &str| {
        let fields = [("x-answer-cache-control", control), ("x-status", status)];
        world.get(path, &fields).await;
        let found = world.explained(path, &[]).await;
        let by = by(&found, what);
        assert!(by.contains(expected), "{path}: {by}");
    };
    check("/1", "max-age=60", "200", "ttl", "60 s by max-age in Cache-Control").await;
    check("/2", "s-maxage=5, max-age=60", "200", "ttl", "5 s by s-maxage in").await;
    check("/3", "public", "200", "ttl", "60 s by service[site].default_ttl, ").await;
    check("/4", "public", "404", "ttl", "1 s by service[site].negative_ttl, ").await;
    check("/5", "no-cache", "200", "ttl", "0 s by no-cache in Cache-Control").await;
    check("/6", "max-age=9", "200", "query", "all of it counts, but CMCD by service[site].preset")
        .await;
    check("/7", "max-age=9", "200", "stand-in", "service[site].stale_if_error").await;
    check("/8", "stale-if-error=7, max-age=9", "200", "stand-in", "7 s past").await;
    check("/9", "max-age=9", "200", "on disk", "no [[cache.disk]]").await;
    let found = world.explained("/open/a?v=1&w=2", &[]).await;
    assert!(by(&found, "query").contains("these count: v by service[open].query_keys"));
    assert!(by(&found, "asked as").starts_with("/a by service[open].strip_prefix"));
    assert!(by(&world.explained("/vod/a", &[]).await, "token").starts_with("needed by"));
}

#[tokio::test]
async fn what_is_not_shared_is_a_bypass() {
    let world = World::new();
    world.get("/page", &[("x-answer-cache-control", "private")]).await;
    check(&world.explained("/page", &[]).await, "bypass", "could not be shared (private)");
}
