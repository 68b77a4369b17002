//! What operators see, and what they are told when a server does not start.

use std::{fs, net::TcpListener, path::Path, sync::Arc};

use bytes::Bytes;
use weir_config_lifecycle::{ManualClock, Shutdown};

use super::bench::{Bench, ask, configure, put, start};

#[tokio::test]
async fn health_readiness_metrics_and_the_access_log() {
    let bench = Bench::start().await;
    let operator = async |target: &str| ask(bench.admin, "GET", target, &[], b"").await;
    assert_eq!(operator("/healthz").await.status, 200);
    let ready = operator("/readyz").await;
    assert_eq!((ready.status, &ready.text()[..]), (200, "serving\n"));
    assert_eq!(operator("/other").await.status, 404);
    assert_eq!(ask(bench.admin, "PUT", "/metrics", &[], b"").await.status, 405);

    put(&bench.writer(), "film/a b", &Bytes::from_static(b"hello")).await.unwrap();
    bench.get(&bench.url("film/a b").await, &[("user-agent", "test/1")]).await;
    bench.get("/films/none", &[]).await;
    let metrics = operator("/metrics").await;
    assert!(metrics.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"origin_requests_total{code="2xx",operation="PutObject"} 1"#,
        r#"origin_requests_total{code="2xx",operation="GetObject"} 1"#,
        r#"origin_requests_total{code="4xx",operation="GetObject"} 1"#,
        "origin_build_info",
    ] {
        assert!(metrics.text().contains(line), "{line}\n{}", metrics.text());
    }
    let (_root, log) = bench.stop().await;
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The adapter looks at what it has written.
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines.iter().all(|line| line["whole"] == true), "{log}");
    let read = lines.iter().find(|line| line["agent"] == "test/1").unwrap();
    assert_eq!(read["access_key"], "writer");
    assert_eq!(read["operation"], "GetObject");
    assert_eq!(read["path"], "/films/film/a%20b");
    assert_eq!((read["status"].as_u64(), read["sent_bytes"].as_u64()), (Some(200), Some(5)));
    let denied = lines.iter().find(|line| line["status"] == 403).unwrap();
    assert_eq!(denied["access_key"], serde_json::Value::Null);
}

#[tokio::test]
async fn whoever_drains_is_not_ready() {
    let bench = Bench::start().await;
    let admin = bench.admin;
    // A connection that is open already is served to its end.
    let mut socket = tokio::net::TcpStream::connect(admin).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"GET /readyz HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    // The server has the connection once it took one that came after it.
    ask(admin, "GET", "/healthz", &[], b"").await;
    bench.shutdown.drain();
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("draining\n"), "{answer}");
    bench.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let check = async |file: &Path, expected: &str| {
        let clock = Arc::new(ManualClock::at(0));
        let error = start(file, clock, Shutdown::new()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let root = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    check(&configure(root.path(), &port, "127.0.0.1:0"), "listen.http: tcp 127.0.0.1:").await;
    check(&configure(root.path(), &port, "127.0.0.1:0"), "in use").await;
    check(&configure(root.path(), "127.0.0.1:0", &port), "admin.listen: tcp 127.0.0.1:").await;

    let file = configure(root.path(), "127.0.0.1:0", "127.0.0.1:0");
    fs::remove_dir_all(root.path().join("store")).ok();
    fs::create_dir(root.path().join("store")).unwrap();
    fs::write(root.path().join("store/thesis.txt"), "mine").unwrap();
    check(&file, "holds files but no store").await;
    fs::remove_dir_all(root.path().join("store")).unwrap();
    fs::write(root.path().join("store"), "a file").unwrap();
    check(&file, "cannot make the directory").await;
    fs::remove_file(root.path().join("store")).unwrap();
    let clock = Arc::new(ManualClock::at(0));
    let running = start(&file, Arc::clone(&clock), Shutdown::new()).await.unwrap();
    check(&file, "in use by another process").await;
    drop(running);
}
