//! Writing: what the client promises of its bytes is held, and nothing half is seen.

use bytes::Bytes;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use weir_origin_store::{Conditions, ObjectStore, PutOptions, StoreError};

use super::bench::{Bench, ask, body, content, get, put};

#[tokio::test]
async fn the_sdk_writes_lists_and_deletes() {
    let bench = Bench::start().await;
    let writer = bench.writer();
    for key in ["a", "a/b", "a/c", "é +%", "up.."] {
        put(&writer, key, &content(1, 1000)).await.unwrap();
        assert_eq!(get(&writer, "films", key).await.unwrap(), content(1, 1000), "{key}");
    }
    let page = writer.list("films", "", Some("/"), None, 10).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|object| &object.key[..]).collect();
    assert_eq!(keys, ["a", "up..", "é +%"]);
    assert_eq!(page.prefixes, ["a/"]);
    let first = writer.list("films", "a", None, None, 2).await.unwrap();
    assert_eq!(first.objects.len(), 2);
    let rest = writer.list("films", "a", None, first.next.as_deref(), 2).await.unwrap();
    assert_eq!((rest.objects[0].key.as_str(), rest.next), ("a/c", None));
    writer.delete("films", "a/b").await.unwrap();
    writer.delete("films", "a/b").await.unwrap();
    let gone = writer.head("films", "a/b", Conditions::default()).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");

    let options = PutOptions {
        content_type: Some("video/mp4".into()),
        cache_control: Some("public, max-age=31536000, immutable".into()),
        fields: vec![("x-amz-meta-title".into(), "A film".into())],
        if_none_match_any: true,
        ..PutOptions::default()
    };
    let bytes = content(2, 2_000_000);
    let write = || writer.put("films", "film", 2_000_000, body(&bytes), options.clone());
    write().await.unwrap();
    let again = write().await;
    assert!(matches!(again, Err(StoreError::PreconditionFailed { .. })), "{again:?}");
    let meta = writer.head("films", "film", Conditions::default()).await.unwrap();
    assert_eq!(meta.content_type, options.content_type);
    assert_eq!(meta.cache_control, options.cache_control);
    assert_eq!(meta.fields, options.fields);
}

#[tokio::test]
async fn promises_about_bytes_are_held() {
    let bench = Bench::start().await;
    let writer = bench.writer();
    put(&writer, "k", &Bytes::from_static(b"old")).await.unwrap();
    let now = std::time::SystemTime::now();
    let minute = std::time::Duration::from_secs(60);
    let url = writer.presign_put("films", "k", 5, now, minute).await.unwrap();
    // SHA-256 of nothing, and MD5 of nothing.
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for promise in [("x-amz-content-sha256", sha256), ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")] {
        let answer = ask(bench.address, "PUT", &url, &[promise], b"hello").await;
        assert_eq!(answer.status, 400, "{promise:?}: {}", answer.text());
        assert!(answer.text().contains("BadDigest"), "{}", answer.text());
    }
    assert_eq!(get(&writer, "films", "k").await.unwrap(), "old");
    let answer = ask(bench.address, "PUT", &url, &[], b"hello").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn an_upload_that_breaks_off_changes_nothing() {
    let bench = Bench::start().await;
    let writer = bench.writer();
    put(&writer, "k", &Bytes::from_static(b"old")).await.unwrap();
    let now = std::time::SystemTime::now();
    let minute = std::time::Duration::from_secs(60);
    let url = writer.presign_put("films", "k", 1_000_000, now, minute).await.unwrap();
    let target = url.strip_prefix(&format!("http://{}", bench.address)).unwrap();
    let head = format!(
        "PUT {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000\r\n\r\n",
        bench.address
    );
    let mut socket = TcpStream::connect(bench.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&content(1, 600_000)).await.unwrap();
    let temporary = bench.root.path().join("store/temporary");
    let waiting = || std::fs::read_dir(&temporary).unwrap().count();
    while waiting() == 0 {
        tokio::task::yield_now().await;
    }
    drop(socket);
    while waiting() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&writer, "films", "k").await.unwrap(), "old");
}

/// Written out or encoded: a key that climbs is told to be none, and why. Signed requests that
/// write are in `benches/testbed/s3/compat.py`, because our own client does not send such keys.
#[tokio::test]
async fn keys_that_climb_are_refused() {
    let bench = Bench::start().await;
    for key in ["..", "a/../a/k", "a/./k", "../films/a/k", "a%2F..%2Fa%2Fk", "%2e%2E/films/a/k"] {
        let target = format!("/open/{key}");
        let answer = bench.get(&target, &[]).await;
        let said = answer.text();
        assert_eq!(answer.status, 400, "{key}: {said}");
        assert!(said.contains("<Code>InvalidArgument</Code>"), "{key}: {said}");
        assert!(said.contains("no segment of a key is"), "{key}: {said}");
        assert_eq!(ask(bench.address, "HEAD", &target, &[], b"").await.status, 400, "{key}");
    }
    for key in ["a/../b", ".."] {
        let outcome = put(&bench.writer(), key, &Bytes::from_static(b"x")).await;
        assert!(matches!(outcome, Err(StoreError::BadName(..))), "{key}: {outcome:?}");
    }
}

/// Paths that climb stay in their bucket, whoever cleans them up on the way.
#[tokio::test]
async fn no_path_leaves_the_bucket() {
    let bench = Bench::start().await;
    std::fs::write(bench.root.path().join("store/buckets/open/secret"), "secret").unwrap();
    for target in [
        "/open/../../writer.secret",
        "/open/%2e%2e/%2e%2e/%2e%2e/writer.secret",
        "/open/..%2f..%2f..%2fwriter.secret",
        "/open/secret",
        "/open//etc/passwd",
        "/../writer.secret",
    ] {
        let answer = bench.get(target, &[]).await;
        assert!(matches!(answer.status, 400 | 403 | 404), "{target}: {}", answer.status);
        assert!(!answer.text().contains("secret-0123"), "{target}");
    }
}
