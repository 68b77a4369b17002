//! Who may do what. Signatures are the AWS SDK's, not ours.

use std::time::Duration;

use bytes::Bytes;
use weir_origin_store::{ObjectStore, StoreError};

use super::bench::{Bench, READER, WRITER, ask, get, put};

#[tokio::test]
async fn a_presigned_url_is_good_for_its_object_and_its_time() {
    let bench = Bench::start().await;
    let (mine, other) = (Bytes::from_static(b"mine"), Bytes::from_static(b"other"));
    put(&bench.writer(), "mine", &mine).await.unwrap();
    put(&bench.writer(), "other", &other).await.unwrap();
    let url = bench.url_for("mine", Duration::from_secs(600)).await;
    let answer = bench.get(&url, &[]).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &mine[..]));

    let last = url.chars().last().unwrap();
    let flipped = if last == '0' { '1' } else { '0' };
    let signature = format!("{}{flipped}", &url[..url.len() - 1]);
    for bad in [
        url.replace("/mine?", "/other?"),
        url.replace("/films/", "/open/"),
        url.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"),
        url.replace("writer%2F", "reader%2F"),
        format!("{url}&response-content-type=text%2Fhtml"),
        format!("{url}&versionId=1"),
        signature,
    ] {
        assert_ne!(bad, url);
        let answer = bench.get(&bad, &[]).await;
        assert_eq!(answer.status, 403, "{bad}: {}", answer.text());
    }
    for method in ["PUT", "DELETE"] {
        let answer = ask(bench.address, method, &url, &[], b"").await;
        assert_eq!(answer.status, 403, "{method}");
    }
    // What the signature does not cover may not mean anything.
    let answer = bench.get(&url, &[("x-amz-expected-bucket-owner", "me")]).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("does not cover"), "{}", answer.text());

    bench.clock.advance_millis(599_000);
    assert_eq!(bench.get(&url, &[]).await.status, 200);
    bench.clock.advance_millis(2_000);
    let late = bench.get(&url, &[]).await;
    assert_eq!(late.status, 403);
    assert!(late.text().contains("Request has expired"), "{}", late.text());

    let (_root, log) = bench.stop().await;
    assert!(!log.contains("X-Amz") && !log.contains("Signature"), "{log}");
}

#[tokio::test]
async fn a_presigned_put_writes_once_signed() {
    let bench = Bench::start().await;
    let now = std::time::SystemTime::now();
    let minute = Duration::from_secs(60);
    let url = bench.writer().presign_put("films", "k", 5, now, minute).await.unwrap();
    let answer = ask(bench.address, "PUT", &url, &[], b"hello").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(get(&bench.writer(), "films", "k").await.unwrap(), "hello");
    let reader = bench.store("reader", READER);
    let url = reader.presign_put("films", "k", 5, now, minute).await.unwrap();
    let answer = ask(bench.address, "PUT", &url, &[], b"other").await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(get(&bench.writer(), "films", "k").await.unwrap(), "hello");
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let bench = Bench::start().await;
    let bytes = Bytes::from_static(b"x");
    put(&bench.writer(), "k", &bytes).await.unwrap();
    let denied = |outcome: Result<(), StoreError>, what: &str| match outcome {
        Err(StoreError::Denied { .. }) => {}
        outcome => panic!("{what}: {outcome:?}"),
    };
    let reader = bench.store("reader", READER);
    assert_eq!(get(&reader, "films", "k").await.unwrap(), bytes);
    denied(put(&reader, "k", &bytes).await.map(drop), "a reader writes");
    denied(reader.delete("films", "k").await, "a reader deletes");
    denied(get(&reader, "sealed", "k").await.map(drop), "another bucket");
    denied(get(&reader, "no-such-bucket", "k").await.map(drop), "a bucket that is none");
    let wrong = bench.store("writer", &WRITER.replace('0', "1"));
    denied(put(&wrong, "k", &bytes).await.map(drop), "another secret");
    let unknown = bench.store("stranger", WRITER);
    denied(get(&unknown, "films", "k").await.map(drop), "another key");

    // Nobody has rights unless a bucket is public, and then to read objects only.
    for (method, target, status) in [
        ("GET", "/films/k", 403),
        ("GET", "/", 403),
        ("GET", "/films", 403),
        ("GET", "/open", 403),
        ("PUT", "/open/k", 403),
        ("DELETE", "/open/k", 403),
        ("POST", "/open?delete", 403),
        ("GET", "/open?policy", 403),
        ("GET", "/open/none", 404),
        ("GET", "/open/none?response-content-type=text/html", 400),
        ("GET", "/open/k?AWSAccessKeyId=writer&Expires=9999999999&Signature=eA%3D%3D", 400),
    ] {
        let answer = ask(bench.address, method, target, &[], b"").await;
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
    }
    let form = [("content-type", "multipart/form-data; boundary=x")];
    let answer = ask(bench.address, "POST", "/open", &form, b"--x--").await;
    assert_eq!(answer.status, 501, "{}", answer.text());

    let metrics = ask(bench.admin, "GET", "/metrics", &[], b"").await.text();
    for line in [
        r#"origin_auth_failures_total{reason="signature"}"#,
        r#"origin_auth_failures_total{reason="denied"}"#,
        r#"origin_auth_failures_total{reason="mechanism"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn public_buckets_are_read_by_anybody() {
    let bench = Bench::start().await;
    let bytes = Bytes::from_static(b"for all");
    let body = super::bench::body(&bytes);
    let writer = bench.writer();
    writer.put("open", "a b", 7, body, Default::default()).await.unwrap();
    let answer = bench.get("/open/a%20b", &[("range", "bytes=4-")]).await;
    assert_eq!((answer.status, &answer.body[..]), (206, &b"all"[..]));
}

#[tokio::test]
async fn another_region_or_a_wrong_clock_is_told() {
    let bench = Bench::start().await;
    put(&bench.writer(), "k", &Bytes::from_static(b"x")).await.unwrap();
    let url = bench.url("k").await.replace("%2Flocal%2F", "%2Fmars%2F");
    let answer = bench.get(&url, &[]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("AuthorizationHeaderMalformed"), "{}", answer.text());
    assert!(
        answer.text().contains("this server is in &quot;local&quot;")
            || answer.text().contains("this server is in \"local\""),
        "{}",
        answer.text()
    );

    bench.clock.advance_millis(16 * 60 * 1000);
    let late = get(&bench.writer(), "films", "k").await;
    assert!(
        matches!(&late, Err(StoreError::Denied { reason, .. }) if reason.contains("15 minutes")),
        "{late:?}"
    );
}
