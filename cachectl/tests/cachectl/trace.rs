//! One request, phase by phase, as a person reads it.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::world::Server;

fn trace() -> Value {
    json!({
        "record": {
            "time": 1_800_000_000_250_u64, "id": "00000000000000aa", "protocol": "h2",
            "tls": "1.3", "client": "127.0.0.0", "method": "GET", "host": "h", "path": "/t/-/a",
            "status": 200, "bytes": 1_048_576, "whole": true, "cache": "miss", "service": "film",
            "sid": null, "range": null, "ttfb_ms": 25.0, "total_ms": 31.5,
        },
        "phases": [
            {"name": "admit", "at_ms": 0.0, "took_ms": 0.004},
            {"name": "fill", "at_ms": 0.1, "took_ms": 24.0, "note": "this request\u{1b} asked"},
            {"name": "body", "at_ms": 25.0, "took_ms": 6.5},
        ],
        "upstream": [
            {"upstream": "s3", "method": "GET", "path": "/a", "at_ms": 0.2, "request": "00000000000000aa", "connected_ms": 0.3,
             "reused": false, "head_ms": 22.0, "first_ms": 22.5, "ended_ms": 30.0, "status": 200,
             "bytes": 1_048_576},
            {"upstream": "s3", "method": "GET", "path": "/a", "range": "bytes=5-", "at_ms": -4.0,
             "request": "00000000000000bb", "bytes": 0, "error": "cannot connect"},
            {"upstream": "s3", "method": "GET", "path": "/a", "at_ms": -5.0, "bytes": 9},
        ],
    })
}

fn check(args: &[&str], answer: &Value, asked: &str, expected: &Expect) {
    let server = Server::json(200, &answer.to_string());
    expected.assert_eq(&server.cachectl(args, None).shown());
    assert_eq!(server.asked(), [asked]);
}

#[test]
fn a_finished_one() {
    let asked = "GET /v1/trace?id=00000000000000aa HTTP/1.1";
    check(
        &["trace", "00000000000000aa"],
        &trace(),
        asked,
        &expect![[r#"
        server  08:00:00.250  h2 200 miss          1.00 MiB         25 ms    32 ms  GET https://h/t/-/a  127.0.0.0  00000000000000aa
          admit       4 µs  at 0 µs
          fill     24.0 ms  at 0.10 ms  this request� asked
          body     6.50 ms  at 25.0 ms
        upstream s3  GET /a  200, 1.00 MiB  asked at 0.20 ms
          connect       0.30 ms  a new connection
          head          22.0 ms
          first byte    22.5 ms
          end           30.0 ms
        upstream s3  GET /a bytes=5-  cannot connect, 0 B  asked 4.00 ms before, by request 00000000000000bb
        upstream s3  GET /a  under way, 9 B  asked 5.00 ms before, by another request
        --- exit 0
    "#]],
    );
}

#[test]
fn one_that_is_made() {
    let made = |client: Value, request: Value| {
        json!({
            "explain": {
                "url": "https://h/t/-/a", "key": "film|h|/a", "service": "film", "rule": null,
                "tier": "none", "size": null, "chunks": {"total": 0, "ram": 0, "disk": 0},
                "age_s": null, "ttl_s": null, "verdict": "miss", "why": "nothing is stored",
                "stored_headers": [], "upstream": "s3",
                "decided": [{"what": "ttl", "value": "1h", "by": "edge.toml:3"}],
            },
            "client": client, "request": request,
        })
    };
    let seen = json!({
        "address": "127.0.0.1:8443", "protocol": "h2", "connect_ms": 0.05, "tls_ms": 1.25,
        "tls": "1.3", "head_ms": 25.5, "first_ms": 26.0, "total_ms": 32.0, "status": 200,
        "bytes": 1_048_576, "headers": [["etag", "\"1\""]], "error": null,
    });
    let order = |protocol: &str| {
        format!(
            "POST /v1/trace HTTP/1.1 {{\"url\":\"https://h/t/x/a\",\"protocol\":{protocol},\
             \"headers\":[\"Range: bytes=0-1\"]}}"
        )
    };
    let args = ["trace", "request", "https://h/t/x/a", "-H", "Range: bytes=0-1"];
    check(
        &args,
        &made(seen, trace()),
        &order("null"),
        &expect![[r#"
        before  MISS. nothing is stored
        client  200 over h2, TLS 1.3, 1.00 MiB, from 127.0.0.1:8443
          connect         50 µs
          TLS           1.25 ms
          head          25.5 ms
          first byte    26.0 ms
          end           32.0 ms
        server  08:00:00.250  h2 200 miss          1.00 MiB         25 ms    32 ms  GET https://h/t/-/a  127.0.0.0  00000000000000aa
          admit       4 µs  at 0 µs
          fill     24.0 ms  at 0.10 ms  this request� asked
          body     6.50 ms  at 25.0 ms
        upstream s3  GET /a  200, 1.00 MiB  asked at 0.20 ms
          connect       0.30 ms  a new connection
          head          22.0 ms
          first byte    22.5 ms
          end           30.0 ms
        upstream s3  GET /a bytes=5-  cannot connect, 0 B  asked 4.00 ms before, by request 00000000000000bb
        upstream s3  GET /a  under way, 9 B  asked 5.00 ms before, by another request
        decided by
          ttl  1h  edge.toml:3
        --- exit 0
    "#]],
    );
    let refused = json!({
        "address": "127.0.0.1:8443", "protocol": "", "connect_ms": null, "tls_ms": null,
        "tls": null, "head_ms": null, "first_ms": null, "total_ms": null, "status": null,
        "bytes": 0, "headers": [], "error": "cannot connect to 127.0.0.1:8443",
    });
    let args = [&args[..], &["--h1"]].concat();
    check(
        &args,
        &made(refused, Value::Null),
        &order("\"h1\""),
        &expect![[r#"
        before  MISS. nothing is stored
        client  no answer, 0 B, from 127.0.0.1:8443
                cannot connect to 127.0.0.1:8443
        server  no record of it: it did not come through
        decided by
          ttl  1h  edge.toml:3
        --- exit 5
    "#]],
    );
}

#[test]
fn slips() {
    let check = |args: &[&str]| {
        let left = crate::world::cachectl(args, None);
        assert_eq!(left.code, 2, "{}", left.stderr);
    };
    check(&["trace"]);
    check(&["trace", "request"]);
    check(&["trace", "request", "/a"]);
    check(&["trace", "request", "https://h/a", "-H", "x"]);
    check(&["trace", "request", "https://h/a", "--h1", "--h2"]);
}
