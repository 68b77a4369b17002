//! Access records on a terminal and for programs.

use expect_test::{Expect, expect};
use serde_json::json;

use crate::world::{Left, Server, http};

/// Lines of a body, each its own chunk.
fn chunked(lines: &[String]) -> Vec<u8> {
    let mut all = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for line in lines {
        all.push_str(&format!("{:x}\r\n{line}\n\r\n", line.len() + 1));
    }
    (all + "0\r\n\r\n").into_bytes()
}

fn lines() -> Vec<String> {
    let mut miss = json!({
        "time": 1_800_000_000_250_u64, "id": "00000000000000aa", "protocol": "h2", "tls": "1.3",
        "client": "192.0.2.0", "method": "GET", "host": "cdn.example", "path": "/vod/\u{1b}[2Ja",
        "status": 503, "bytes": 0, "whole": true, "cache": "error", "service": "film",
        "sid": "s", "range": null, "ttfb_ms": 251.5, "total_ms": 1251.5, "new": 1,
    });
    let first = miss.to_string();
    for (key, value) in [("client", json!(null)), ("tls", json!(null)), ("whole", json!(false))] {
        miss[key] = value;
    }
    miss["bytes"] = json!(1_572_864);
    vec![first, String::new(), r#"{"lost":7}"#.to_owned(), miss.to_string()]
}

fn tail(args: &[&str], answer: Vec<u8>) -> (Left, Vec<String>) {
    let server = Server::answering(vec![answer]);
    let left = server.cachectl(&[&["logs", "tail"], args].concat(), None);
    (left, server.asked())
}

#[test]
fn records() {
    let check = |args: &[&str], asked: &str, expected: &Expect| {
        let (left, requests) = tail(args, chunked(&lines()));
        expected.assert_eq(&left.shown());
        assert_eq!(requests, [format!("GET /v1/logs?{asked} HTTP/1.1")]);
    };
    check(
        &["--follow"],
        "last=10&follow=1",
        &expect![[r#"
        08:00:00.250  h2 503 error              0 B        252 ms   1.25 s  GET https://cdn.example/vod/�[2Ja  192.0.2.0  00000000000000aa
        08:00:00.250  h2 503 error         1.50 MiB cut    252 ms   1.25 s  GET http://cdn.example/vod/�[2Ja  -  00000000000000aa
        --- stderr
        7 records missing here: this end does not keep up
        --- exit 0
    "#]],
    );
    check(
        &["-n", "3", "--filter", "status=5xx and path~'a b'", "--ndjson"],
        "last=3&filter=status%3D5xx%20and%20path~%27a%20b%27",
        &expect![[r#"
            {"bytes":0,"cache":"error","client":"192.0.2.0","host":"cdn.example","id":"00000000000000aa","method":"GET","new":1,"path":"/vod/\u001b[2Ja","protocol":"h2","range":null,"schema":"cachectl/v1","service":"film","sid":"s","status":503,"time":1800000000250,"tls":"1.3","total_ms":1251.5,"ttfb_ms":251.5,"whole":true}
            {"lost":7,"schema":"cachectl/v1"}
            {"bytes":1572864,"cache":"error","client":null,"host":"cdn.example","id":"00000000000000aa","method":"GET","new":1,"path":"/vod/\u001b[2Ja","protocol":"h2","range":null,"schema":"cachectl/v1","service":"film","sid":"s","status":503,"time":1800000000250,"tls":null,"total_ms":1251.5,"ttfb_ms":251.5,"whole":false}
            --- exit 0
        "#]],
    );
    check(
        &["--json"],
        "last=10",
        &expect![[r#"
        {"records":[{"bytes":0,"cache":"error","client":"192.0.2.0","host":"cdn.example","id":"00000000000000aa","method":"GET","new":1,"path":"/vod/\u001b[2Ja","protocol":"h2","range":null,"service":"film","sid":"s","status":503,"time":1800000000250,"tls":"1.3","total_ms":1251.5,"ttfb_ms":251.5,"whole":true},{"lost":7},{"bytes":1572864,"cache":"error","client":null,"host":"cdn.example","id":"00000000000000aa","method":"GET","new":1,"path":"/vod/\u001b[2Ja","protocol":"h2","range":null,"service":"film","sid":"s","status":503,"time":1800000000250,"tls":null,"total_ms":1251.5,"ttfb_ms":251.5,"whole":false}],"schema":"cachectl/v1"}
        --- exit 0
    "#]],
    );
}

#[test]
fn what_goes_wrong() {
    let check = |args: &[&str], answer: Vec<u8>, expected: &Expect| {
        expected.assert_eq(&tail(args, answer).0.shown());
    };
    let refused = json!({
        "error": "the filter cannot be understood", "why": "stauts=1\n^^^^^^ there is no field",
        "next": "did you mean `status`?",
    });
    check(
        &["--filter", "stauts=1"],
        http(400, &refused.to_string()),
        &expect![[r#"
        --- stderr
        error: the filter cannot be understood
          why:  stauts=1
                ^^^^^^ there is no field
          next: did you mean `status`?
        --- exit 2
    "#]],
    );
    let mut cut = chunked(&[]);
    cut.truncate(cut.len() - 5);
    check(
        &["-f"],
        cut,
        &expect![[r#"
        --- stderr
        error: SOCKET says nothing more
          why:  the server has ended, or hangs
          next: cachectl status
        --- exit 75
    "#]],
    );
    check(
        &[],
        http(404, r#"{"error":"nothing is offered at /v1/logs"}"#),
        &expect![[r#"
        --- stderr
        error: nothing is offered at /v1/logs
        --- exit 3
    "#]],
    );
}

#[test]
fn a_new_file() {
    let check = |rotated: bool, expected: &Expect| {
        let done = json!({ "path": "/log/access.jsonl", "rotated": rotated });
        let server = Server::json(200, &done.to_string());
        expected.assert_eq(&server.cachectl(&["logs", "rotate"], None).shown());
        assert_eq!(server.asked(), ["POST /v1/logs/rotate HTTP/1.1 {}"]);
    };
    check(
        true,
        &expect![[r#"
            a new /log/access.jsonl is written, the one before is /log/access.jsonl.1
            --- exit 0
        "#]],
    );
    check(
        false,
        &expect![[r#"
            /log/access.jsonl is opened again; the server does not rotate it itself
            --- exit 0
        "#]],
    );
}
