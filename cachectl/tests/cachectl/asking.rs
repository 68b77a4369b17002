//! Commands that ask a server: what they send, what they show, how they end.

use crate::world::{Server, cachectl, http};
use expect_test::{Expect, expect};
use serde_json::json;

fn check(server: Server, args: &[&str], asked: &[&str], expected: &Expect) {
    expected.assert_eq(&server.cachectl(args, None).shown());
    assert_eq!(server.asked(), asked);
}

fn status() -> serde_json::Value {
    json!({
        "node": "edge-1", "site": "lim-01", "version": "0.1.0", "uptime_s": 11_520,
        "state": "serving", "verdict": "degraded",
        "reasons": [
            {"verdict": "degraded", "what": "upstream s3-main fails: connection refused",
             "next": "cachectl status --json"},
            {"verdict": "degraded", "what": "certificate cdn.example ends in 6 d"},
        ],
        "protocols": [
            {"name": "h2", "connections": 3, "requests": 18_412, "bytes": 41_200_000_000_u64},
            {"name": "h3", "connections": 12, "requests": 7, "bytes": 1024},
        ],
        "connections": 15, "requests": 18_419, "errors": 3, "bytes": 41_200_001_024_u64,
        "hit_ratio": 0.991, "byte_hit_ratio": 0.974,
        "cache": {"objects": 1, "memory_bytes": 268_435_456, "memory_limit": 536_870_912,
                  "disk_bytes": 0, "disk_limit": 10_737_418_240_u64, "fills": 2},
        "upstreams": [
            {"id": "s3-main", "kind": "s3", "state": "failing", "requests": 120, "errors": 4,
             "bytes": 5_000_000, "last_error": "connection refused"},
            {"id": "web", "kind": "http", "state": "unknown", "requests": 0, "errors": 0, "bytes": 0},
        ],
        "refused": [
            {"metric": "edge_connections_refused_total", "reason": "rate_of_client", "times": 1200},
            {"metric": "edge_connections_refused_total", "reason": "handshakes", "times": 3},
            {"metric": "edge_http3_malformed_total", "reason": "field", "times": 1},
            {"metric": "edge_of_a_newer_server_total", "reason": "x", "times": 1},
        ],
        "from_a_newer_server": true,
    })
}

#[test]
fn status_degraded() {
    let server = Server::json(200, &status().to_string());
    check(
        server,
        &["status"],
        &["GET /v1/status HTTP/1.1"],
        &expect![[r#"
        edge-1   DEGRADED   site lim-01, serving for 3h 12min, weir 0.1.0
          traffic    18 419 requests, 3 failed, 38.4 GiB sent, 15 open connections
          hit ratio  99.1 % of requests, 97.4 % of bytes
          cache      1 object, RAM 256 MiB of 512 MiB (50.0 %)
                     disk 0 B of 10.0 GiB (0.0 %)
                     2 fills under way
          refused    1 203 connections: rate_of_client 1 200, handshakes 3
                     1 malformed HTTP/3 message: field 1
          protocols
            h2  18 412 requests  38.4 GiB sent  3 open
            h3  7 requests       1.00 KiB sent  12 open
          upstreams
            s3-main  s3    failing        120 requests  4 failed  4.77 MiB received  connection refused
            web      http  not asked yet  0 requests    0 failed  0 B received
          why degraded
            ! upstream s3-main fails: connection refused   -> cachectl status --json
            ! certificate cdn.example ends in 6 d
        --- exit 5
    "#]],
    );
}

#[test]
fn status_ok() {
    let mut status = status();
    status["verdict"] = "ok".into();
    status["errors"] = 0.into();
    status["hit_ratio"] = json!(null);
    status["cache"]["disk_limit"] = 0.into();
    status["cache"]["fills"] = 0.into();
    for list in ["reasons", "protocols", "upstreams", "refused"] {
        status[list] = json!([]);
    }
    let server = Server::json(200, &status.to_string());
    check(
        server,
        &["status"],
        &["GET /v1/status HTTP/1.1"],
        &expect![[r#"
        edge-1   OK   site lim-01, serving for 3h 12min, weir 0.1.0
          traffic    18 419 requests, 38.4 GiB sent, 15 open connections
          hit ratio  - of requests, 97.4 % of bytes
          cache      1 object, RAM 256 MiB of 512 MiB (50.0 %)
        --- exit 0
    "#]],
    );
}

#[test]
fn status_begins_with_the_eight_figures() {
    let mut status = status();
    status["overview"] = json!({
        "over_s": 60.0, "traffic": 4_750_000_000.0, "hit_ratio": 0.974, "ttfb_p99_s": 0.011,
        "error_ratio": 0.0002, "origin_load": 123_700_000.0, "disks": 0.75, "memory": 0.62,
        "saturation": 0.441, "requests": 11_840.0, "origin_requests": 14.0,
        "resident_bytes": 41_200_000_000_u64, "scarcest": "cpu",
    });
    let server = Server::json(200, &status.to_string());
    let shown = server.cachectl(&["status"], None).shown();
    let lines: Vec<_> = shown.lines().take(4).collect();
    expect![[r#"
        edge-1   DEGRADED   site lim-01, serving for 3h 12min, weir 0.1.0
          last 60 s  4.42 GiB/s sent, 97.4 % of bytes from the cache, 99 % of first bytes within 11 ms, 0.02 % failed
                     118 MiB/s from upstreams, 75.0 % of disks in use, 62.0 % of the memory budget, 44.1 % of cpu
          traffic    18 419 requests, 3 failed, 38.4 GiB sent, 15 open connections"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn status_for_programs() {
    let server = Server::json(200, &status().to_string());
    let left = server.cachectl(&["--json", "status"], None);
    assert_eq!((left.code, &*left.stderr, left.stdout.lines().count()), (5, "", 1));
    let found: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
    assert_eq!((&found["schema"], &found["verdict"]), (&json!("cachectl/v1"), &json!("degraded")));
    assert_eq!(found["upstreams"][0]["last_error"], "connection refused");
}

#[test]
fn cache_stats() {
    let tier = json!({"chunks": 120, "bytes": 125_829_120, "limit": 402_653_184, "evictions": 3,
                      "written_bytes": 0, "refused_bytes": 0});
    let mut disk = tier.clone();
    for (key, value) in
        [("path", json!("cache/disk0")), ("state", json!("offline")), ("errors", json!(5))]
    {
        disk[key] = value;
    }
    let stats = json!({
        "objects": 1234, "memory": tier, "disks": [disk], "fills": 1, "collapsed": 99,
        "hits_memory": 900, "hits_disk": 90, "misses": 9, "bypasses": 1, "fill_bytes": 1_048_576,
        "checksum_failures": 1, "purge_epoch": 12,
    });
    let server = Server::json(200, &stats.to_string());
    check(
        server,
        &["cache", "stats"],
        &["GET /v1/cache/stats HTTP/1.1"],
        &expect![[r#"
            objects    1 234, 1 fill under way
            hit ratio  99.0 %   RAM 900, disk 90, missed 9, bypassed 1
            fills      1.00 MiB received, 99 requests followed somebody else's
            checksums  1 failure, fetched again
            epoch      12
            tiers
              RAM          120 MiB of 384 MiB (31.2 %)  120 chunks  3 evicted  0 B written  0 B refused
              cache/disk0  -                            -           -          0 B written  -            OFFLINE after 5 errors
            --- exit 0
        "#]],
    );
}

const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.eyJhdWQiOiJmaWxtIn0.c2lnbmF0dXJlc2lnbmF0dXJl";

#[test]
fn cache_explain() {
    let url = format!("https://v.example/t/{TOKEN}/vod/a/seg-1.m4s?sid=1&x=ü");
    let explain = json!({
        "url": url, "key": "film|v.example|/vod/a/seg-1.m4s", "dropped_query": ["sid", "x"],
        "service": "film", "rule": "edge.toml:85", "tier": "disk", "size": 1_482_221,
        "chunks": {"total": 2, "ram": 1, "disk": 2}, "age_s": 11_520, "ttl_s": -60,
        "verdict": "stale", "why": "asked again before it is served: max-age=60",
        "stored_headers": [["content-type", "video/mp4"], ["etag", "\"a\u{1b}[31m\""]],
        "upstream": "s3-main", "status": 200, "tags": ["a", "b\u{1b}"], "vary": ["accept"],
        "pin": {"until_unix_s": null},
        "decided": [{"what": "ttl", "value": "60 s", "by": "max-age in Cache-Control"}],
        "runs": [{"first": 0, "last": 0, "ram": true, "disks": ["/d0"]},
                 {"first": 1, "last": 9, "ram": false, "disks": []}],
        "variants": [
            {"selects": [["accept", "a/b"], ["x", null]], "id": "0", "status": 200, "size": 1024,
             "age_s": 1, "ttl_s": 60, "chunks": {"total": 1, "ram": 0, "disk": 1}, "chosen": true},
            {"selects": [["accept", null]], "id": "1", "status": 404, "size": 0,
             "age_s": 1, "ttl_s": -1, "chunks": {"total": 0, "ram": 0, "disk": 0}, "chosen": false},
        ],
    });
    let server = Server::json(200, &explain.to_string());
    let asked = format!(
        "GET /v1/cache/explain?url=https%3A%2F%2Fv.example%2Ft%2F{TOKEN}%2Fvod%2Fa%2Fseg-1.m4s%3F\
         sid%3D1%26x%3D%C3%BC&header=accept%3A%20a%2Fb HTTP/1.1"
    );
    check(
        server,
        &["cache", "explain", &url, "-H", "accept: a/b"],
        &[&asked],
        &expect![[r#"
            url        https://v.example/t/-/vod/a/seg-1.m4s?sid=1&x=ü
            key        film|v.example|/vod/a/seg-1.m4s   dropped from the query: "sid", "x"
            service    film (edge.toml:85)
            place      disk   1.41 MiB (1 482 221 B)   of 2 chunks 1 in RAM, 2 on disk
            status     200
            fresh      age 3h 12min   stale for 1min
            pinned     until it is unpinned or purged
            tags       a, b�
            varies on  accept: 2 variants
            upstream   s3-main
            next       STALE. asked again before it is served: max-age=60
            variants
              this  accept: a/b, no x  200  1.00 KiB  fresh for 1min  of 1 chunks 0 in RAM, 1 on disk
                    no accept          404  0 B       stale for 1s    of 0 chunks 0 in RAM, 0 on disk
            decided by
              ttl  60 s  max-age in Cache-Control
            chunks
              0    RAM, /d0
              1-9  not held
            headers
              content-type:  video/mp4
              etag:          "a�[31m"
            --- exit 0
        "#]],
    );
}

#[test]
fn cache_explain_of_nothing() {
    let explain = json!({
        "url": "https://h/a", "key": "h|/a", "service": null, "rule": null, "tier": "none",
        "size": null, "chunks": {"total": 0, "ram": 0, "disk": 0}, "age_s": null, "ttl_s": null,
        "verdict": "refused", "why": "no service takes the host h", "stored_headers": [],
        "upstream": null,
    });
    let server = Server::json(200, &explain.to_string());
    let asked = "GET /v1/cache/explain?url=https%3A%2F%2Fh%2Fa HTTP/1.1";
    check(
        server,
        &["cache", "explain", "https://h/a"],
        &[asked],
        &expect![[r#"
        url    https://h/a
        key    h|/a
        place  not held
        next   REFUSED. no service takes the host h
        --- exit 0
    "#]],
    );
}

fn purged(dry_run: bool) -> Vec<u8> {
    let result = json!({"objects": 1, "bytes": 1_482_221, "dry_run": dry_run, "epoch": 13,
                        "sample": ["v.example|/vod/a"]});
    http(200, &result.to_string())
}

const PURGE: [&str; 4] = ["cache", "purge", "url", "https://v.example/vod/a"];
const ASK_DRY: &str =
    r#"POST /v1/cache/purge HTTP/1.1 {"url":"https://v.example/vod/a","dry_run":true}"#;
const ASK_REAL: &str =
    r#"POST /v1/cache/purge HTTP/1.1 {"url":"https://v.example/vod/a","dry_run":false}"#;

#[test]
fn purge_dry() {
    let server = Server::answering(vec![purged(true)]);
    check(
        server,
        &[&PURGE[..], &["--dry-run"]].concat(),
        &[ASK_DRY],
        &expect![[r#"
        would purge 1 object, 1.41 MiB
          v.example|/vod/a
        nothing changed. run again without --dry-run.
        --- exit 0
    "#]],
    );
}

#[test]
fn purge_unasked() {
    let server = Server::answering(vec![purged(false)]);
    check(
        server,
        &[&PURGE[..], &["--yes"]].concat(),
        &[ASK_REAL],
        &expect![[r#"
        purged 1 object, 1.41 MiB (purge epoch 13)
          v.example|/vod/a
        --- exit 0
    "#]],
    );
}

#[test]
fn purge_confirmed() {
    let server = Server::answering(vec![purged(true), purged(false)]);
    let left = server.cachectl(&PURGE, Some("y\n"));
    expect![[r#"
        purged 1 object, 1.41 MiB (purge epoch 13)
          v.example|/vod/a
        --- stderr
        purge 1 object, 1.41 MiB (https://v.example/vod/a)? [y/N]
        --- exit 0
    "#]]
    .assert_eq(&left.shown());
    assert_eq!(server.asked(), [ASK_DRY, ASK_REAL]);
}

#[test]
fn purge_not_confirmed() {
    let server = Server::answering(vec![purged(true)]);
    let left = server.cachectl(&PURGE, Some("\n"));
    expect![[r#"
        --- stderr
        purge 1 object, 1.41 MiB (https://v.example/vod/a)? [y/N]
        error: not confirmed; nothing changed
        --- exit 6
    "#]]
    .assert_eq(&left.shown());
    assert_eq!(server.asked(), [ASK_DRY]);
}

/// A script without --yes is told so, and never hangs.
#[test]
fn purge_with_nobody_there() {
    check(
        Server::answering(vec![]),
        &PURGE,
        &[],
        &expect![[r#"
        --- stderr
        error: nobody is there to confirm the purge
          why:  stdin or stderr is no terminal
          next: see what would go with --dry-run, then run it with --yes
        --- exit 2
    "#]],
    );
}

#[test]
fn refusals_of_the_server() {
    let body = r#"{"error":"no object h|/a","why":"it was never asked for","next":"cachectl cache stats"}"#;
    let left = |status, args: &[&str]| Server::json(status, body).cachectl(args, None);
    expect![[r#"
        --- stderr
        error: no object h|/a
          why:  it was never asked for
          next: cachectl cache stats
        --- exit 3
    "#]]
    .assert_eq(&left(404, &["cache", "explain", "https://h/a"]).shown());
    let json = left(404, &["--json", "status"]);
    expect![[r#"
        --- stderr
        {"code":3,"error":"no object h|/a","next":"cachectl cache stats","schema":"cachectl/v1","why":"it was never asked for"}
        --- exit 3
    "#]].assert_eq(&json.shown());
    for (status, code) in [(400, 2), (403, 6), (409, 7), (429, 75), (500, 1), (503, 75)] {
        assert_eq!(left(status, &["status"]).code, code, "{status}");
    }
}

#[test]
fn no_server() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let ask = || {
        let mut left = cachectl(&["--socket", socket.to_str().unwrap(), "status"], None);
        left.stderr = left.stderr.replace(socket.to_str().unwrap(), "SOCKET");
        left.shown()
    };
    expect![[r#"
        --- stderr
        error: there is no admin socket at SOCKET
          why:  no server runs here, or its `admin.socket` is another one
          next: start the server, or give the path: cachectl --socket PATH …
        --- exit 1
    "#]]
    .assert_eq(&ask());
    // A socket that somebody left behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    expect![[r#"
        --- stderr
        error: nobody listens at SOCKET
          why:  the server that made this socket has ended
          next: start the server; its log says why it ended
        --- exit 1
    "#]]
    .assert_eq(&ask());
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "a file").unwrap();
    expect![[r#"
        --- stderr
        error: SOCKET is no socket
          next: give the path of the server's `admin.socket`: cachectl --socket PATH …
        --- exit 1
    "#]]
    .assert_eq(&ask());
}

/// Somebody listens and never answers. Takes the 2 s that a person would wait.
#[test]
fn a_server_that_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("a.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let start = std::time::Instant::now();
    let left = cachectl(&["--socket", socket.to_str().unwrap(), "status"], None);
    drop(listener);
    assert_eq!(left.code, 75);
    assert!(left.stderr.contains("did not answer within 2 s"), "{}", left.stderr);
    assert!(start.elapsed().as_secs() < 10);
}

#[test]
fn answers_that_are_none() {
    let left = |answer: &[u8]| {
        Server::answering(vec![answer.to_vec()]).cachectl(&["status"], None).shown()
    };
    expect![[r#"
        --- stderr
        error: SOCKET gave an answer of another kind
          why:  it is not HTTP
          next: is it the admin socket of a Weir server? compare: cachectl version
        --- exit 1
    "#]]
    .assert_eq(&left(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let why = |answer: &[u8]| {
        let shown = left(answer);
        assert!(shown.ends_with("--- exit 1\n"), "{shown}");
        shown.lines().find_map(|line| line.trim().strip_prefix("why:  ").map(str::to_owned))
    };
    let check = |answer: &[u8], expected: &str| {
        assert_eq!(why(answer).as_deref(), Some(expected), "{}", answer.escape_ascii());
    };
    check(b"", "the connection was closed without an answer");
    check(b"\xff\xfe\x00", "it is not HTTP");
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "its body breaks off");
    check(&http(200, "{}"), "its JSON is not understood: missing field `node` at line 1 column 2");
    check(&http(200, "not json"), "its JSON is not understood: expected ident at line 1 column 2");
    check(&http(500, "<html>"), "status 500 without a reason");
    check(&http(301, ""), "status 301");
}

#[test]
fn an_endless_answer() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(6 << 20, b'x');
    let left = Server::answering(vec![answer]).cachectl(&["status"], None);
    assert_eq!(left.code, 1);
    assert!(left.stderr.contains("more than 4 MiB"), "{}", left.stderr);
}

#[test]
fn what_is_too_long_is_usage() {
    let url = format!("https://h/{}", "a".repeat(70_000));
    let left = crate::world::cachectl(&["cache", "explain", &url], None);
    expect_test::expect![[r#"
        --- stderr
        error: URL too long
          why:  it has 70 010 bytes as it is sent; a server takes no request beyond 30720
        --- exit 2
    "#]]
    .assert_eq(&left.shown());
    for status in [414, 431] {
        let server = Server::answering(vec![http(status, "")]);
        let left = server.cachectl(&["cache", "explain", "https://h/a"], None);
        assert_eq!(left.code, 2, "{}", left.shown());
        assert!(left.stderr.starts_with("error: the request is too long for the server\n"));
    }
}
