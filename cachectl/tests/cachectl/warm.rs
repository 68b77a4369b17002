//! `cache warm`, against a server that says what one says.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::world::{Server, cachectl, http};

fn job(state: &str) -> Value {
    json!({
        "job": 3, "state": state, "url": "https://v.example/vod/a/master.m3u8", "urls": 1,
        "ladder": "top", "rate_bits": 200_000_000, "pin": true, "began": 1_800_000_000,
        "elapsed_ms": 12_000, "objects": 1_040, "fetched": 1_000, "fetched_bytes": 300_000_000,
        "had": 38, "had_bytes": 1_048_576, "failed": 0, "skipped": 0, "playlists": 3, "live": 0,
        "pinned": 1_038, "on_disk": true, "failures": [], "skips": [],
    })
}

fn with(state: &str, more: &Value) -> String {
    let mut job = job(state);
    for (name, value) in more.as_object().expect("an object") {
        job[name] = value.clone();
    }
    job.to_string()
}

fn check(answers: &[String], args: &[&str], asked: &[&str], expected: &Expect) {
    let answers = answers.iter().map(|answer| http(200, answer)).collect();
    let server = Server::answering(answers);
    expected.assert_eq(&server.cachectl(&[&["cache", "warm"], args].concat(), None).shown());
    assert_eq!(server.asked(), asked);
}

const URL: &str = "https://v.example/vod/a/master.m3u8";
const FOLLOW: &str = "GET /v1/cache/warm?job=3 HTTP/1.1";

#[test]
fn it_stays_until_the_end() {
    let running = job("running").to_string();
    check(
        &[running.clone(), running.clone(), with("done", &json!({}))],
        &[URL, "--ladder", "top", "--rate", "200Mbit", "--pin"],
        &[
            "POST /v1/cache/warm HTTP/1.1 {\"urls\":[\"https://v.example/vod/a/master.m3u8\"],\
             \"ladder\":\"top\",\"rate_bits\":200000000,\"pin\":true}",
            FOLLOW,
            FOLLOW,
        ],
        &expect![[r#"
            job        3, done in 12s
            objects    1 040: 1 000 fetched, 38 here already, 0 failed, 0 skipped
            bytes      286 MiB fetched at 200.0 Mbit/s, 1.00 MiB here already
            playlists  3
            pinned     1 038 objects
            --- exit 0
        "#]],
    );
}

#[test]
fn what_is_missing_makes_it_partial() {
    let more = json!({
        "pin": false, "failed": 2, "skipped": 3, "live": 1, "on_disk": false, "elapsed_ms": 900,
        "failures": [{"url": "https://h/a\u{1b}[31m", "why": "the upstream answered 404"}],
        "skips": [{"url": "skd://k", "why": "neither http nor https"}],
    });
    check(
        &[with("running", &json!({})), with("done", &more)],
        &[URL],
        &[
            "POST /v1/cache/warm HTTP/1.1 {\"urls\":[\"https://v.example/vod/a/master.m3u8\"],\
             \"ladder\":\"all\",\"pin\":false}",
            FOLLOW,
        ],
        &expect![[r#"
            job        3, done in 0.9s
            objects    1 040: 1 000 fetched, 38 here already, 2 failed, 3 skipped
            bytes      286 MiB fetched at 2666.7 Mbit/s, 1.00 MiB here already
            playlists  3
            failed
              https://h/a�[31m  the upstream answered 404
              and 1 more
            skipped
              skd://k  neither http nor https
              and 2 more
            --- stderr
            1 live playlist read once: what is listed later is not here
            the server has no disk: it is in RAM, while there is room
            --- exit 4
        "#]],
    );
}

#[test]
fn jobs_by_themselves() {
    check(
        &[job("running").to_string()],
        &[URL, "--detach"],
        &["POST /v1/cache/warm HTTP/1.1 {\"urls\":[\"https://v.example/vod/a/master.m3u8\"],\
           \"ladder\":\"all\",\"pin\":false}"],
        &expect![[r#"
            job 3 began; stay with it: cachectl cache warm --follow 3
            --- exit 0
        "#]],
    );
    check(
        &[json!({"jobs": [job("running"), job("cancelled")]}).to_string()],
        &["--jobs"],
        &["GET /v1/cache/warm HTTP/1.1"],
        &expect![[r#"
            3  runs       1 038 of 1 040 objects, 286 MiB fetched at 200.0 Mbit/s, 1.00 MiB here already  https://v.example/vod/a/master.m3u8
            3  cancelled  1 038 of 1 040 objects, 286 MiB fetched at 200.0 Mbit/s, 1.00 MiB here already  https://v.example/vod/a/master.m3u8
            --- exit 0
        "#]],
    );
    let running = job("running").to_string();
    check(
        &[running.clone(), running, with("cancelled", &json!({}))],
        &["--cancel", "3"],
        &["POST /v1/cache/warm/cancel HTTP/1.1 {\"job\":3}", FOLLOW, FOLLOW],
        &expect![[r#"
            job        3, cancelled after 12s
            objects    1 040: 1 000 fetched, 38 here already, 0 failed, 0 skipped
            bytes      286 MiB fetched at 200.0 Mbit/s, 1.00 MiB here already
            playlists  3
            pinned     1 038 objects
            --- stderr
            job 3 is cancelled; what it fetched stays
            --- exit 0
        "#]],
    );
}

#[test]
fn lists_of_urls() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("urls");
    std::fs::write(&file, "# a comment\n\nhttps://h/a\n  HTTP://h/b  \n").expect("a file");
    let name = format!("@{}", file.display());
    check(
        &[with("running", &json!({})), with("done", &json!({}))],
        &[&name, "https://h/c", "--json"],
        &[
            "POST /v1/cache/warm HTTP/1.1 {\"urls\":[\"https://h/a\",\"HTTP://h/b\",\
             \"https://h/c\"],\"ladder\":\"all\",\"pin\":false}",
            FOLLOW,
        ],
        &expect![[r#"
            {"began":1800000000,"elapsed_ms":12000,"failed":0,"failures":[],"fetched":1000,"fetched_bytes":300000000,"had":38,"had_bytes":1048576,"job":3,"ladder":"top","live":0,"objects":1040,"on_disk":true,"pin":true,"pinned":1038,"playlists":3,"rate_bits":200000000,"schema":"cachectl/v1","skipped":0,"skips":[],"state":"done","url":"https://v.example/vod/a/master.m3u8","urls":1}
            --- exit 0
        "#]],
    );
    std::fs::write(&file, "https://h/a\nh/b\n").expect("a file");
    let left = cachectl(&["cache", "warm", &name], None);
    assert_eq!(left.code, 2);
    assert!(left.stderr.contains("not a URL: h/b (line 2 of "), "{}", left.stderr);
    let check = |args: &[&str], why: &str| {
        let left = cachectl(&[&["cache", "warm"], args].concat(), None);
        assert!(left.code == 2 && left.stderr.contains(why), "{args:?} {}", left.stderr);
    };
    check(&["@/nowhere"], "cannot read the URLs");
    check(&["/vod/a"], "must begin with http");
    check(&[], "required");
    check(&["--jobs", "https://h/a"], "cannot be used with");
    check(&["https://h/a", "--rate", "fast"], "--rate");
    check(&["https://h/a", "--ladder", "low"], "possible values");
}
