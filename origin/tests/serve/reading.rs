//! Reading: ranges, conditions, and rot.

use std::fs;

use weir_origin_store::{Conditions, ObjectStore, StoreError};

use super::bench::{Bench, content, get, put};

#[tokio::test]
async fn ranges_and_conditions_as_http_has_them() {
    let bench = Bench::start().await;
    let bytes = content(1, 600_000);
    let etag = put(&bench.writer(), "k", &bytes).await.unwrap().etag.0;
    let url = bench.url("k").await;
    let quoted = format!("\"{etag}\"");

    let whole = bench.get(&url, &[]).await;
    assert_eq!((whole.status, &whole.body[..]), (200, &bytes[..]));
    assert_eq!(whole.headers["etag"], quoted);
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["content-length"], "600000");
    assert!(!whole.headers["x-amz-request-id"].is_empty());

    let check = async |headers: &[(&str, &str)], status: u16, body: &[u8], range: Option<&str>| {
        let answer = bench.get(&url, headers).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
        if status < 400 {
            assert_eq!(answer.body, body, "{headers:?}");
        }
        assert_eq!(answer.headers.get("content-range").map(String::as_str), range, "{headers:?}");
    };
    check(&[("range", "bytes=0-0")], 206, &bytes[..1], Some("bytes 0-0/600000")).await;
    let seam = &bytes[262_143..262_145];
    check(&[("range", "bytes=262143-262144")], 206, seam, Some("bytes 262143-262144/600000")).await;
    check(&[("range", "bytes=-3")], 206, &bytes[599_997..], Some("bytes 599997-599999/600000"))
        .await;
    check(&[("range", "bytes=600000-")], 416, b"", Some("bytes */600000")).await;
    check(&[("if-none-match", &quoted)], 304, b"", None).await;
    check(&[("if-none-match", &format!("\"x\", W/{quoted}"))], 304, b"", None).await;
    check(&[("if-none-match", "*")], 304, b"", None).await;
    check(&[("if-none-match", "\"x\"")], 200, &bytes, None).await;
    check(&[("if-match", "\"x\", \"y\"")], 412, b"", None).await;
    check(&[("if-match", &format!("\"x\", {quoted}"))], 200, &bytes, None).await;
    // Weak tags never match strongly (RFC 9110 §8.8.3.2).
    check(&[("if-match", &format!("W/{quoted}"))], 412, b"", None).await;
    // The condition comes before the range.
    check(&[("if-none-match", &quoted), ("range", "bytes=600000-")], 304, b"", None).await;
    let modified = whole.headers["last-modified"].clone();
    check(&[("if-modified-since", &modified)], 304, b"", None).await;
    check(&[("if-unmodified-since", &modified)], 200, &bytes, None).await;

    let unchanged = bench.get(&url, &[("if-none-match", &quoted)]).await;
    assert_eq!(unchanged.headers["etag"], quoted);
    assert!(!unchanged.headers.contains_key("content-type"), "{unchanged:?}");
}

#[tokio::test]
async fn errors_are_xml_and_heads_are_bare() {
    let bench = Bench::start().await;
    let missing = bench.get(&bench.url("none").await, &[]).await;
    assert_eq!((missing.status, &missing.headers["content-type"][..]), (404, "application/xml"));
    assert!(missing.text().contains("<Code>NoSuchKey</Code>"), "{}", missing.text());
    let head = bench.writer().head("films", "none", Conditions::default()).await;
    assert!(matches!(head, Err(StoreError::NotFound { .. })), "{head:?}");
}

/// Rot at the beginning is refused; rot further on breaks the answer off. Neither looks whole.
#[tokio::test]
async fn rot_is_never_served_as_whole() {
    let bench = Bench::start().await;
    let bytes = content(1, 600_000);
    put(&bench.writer(), "k", &bytes).await.unwrap();
    let path = bench.root.path().join("store/buckets/films/k=");
    let sound = fs::read(&path).unwrap();
    for (place, status, sure) in [(10, 500, 0), (300_000, 200, 262_144), (599_999, 200, 524_288)] {
        let mut rotten = sound.clone();
        rotten[place] ^= 1;
        fs::write(&path, &rotten).unwrap();
        let answer = bench.get(&bench.url("k").await, &[]).await;
        assert_eq!(answer.status, status, "{place}");
        if status == 200 {
            assert_eq!(answer.headers["content-length"], "600000");
            assert_eq!(answer.body, bytes[..sure], "exactly the sound grains");
        }
        assert!(get(&bench.writer(), "films", "k").await.is_err(), "{place}");
    }
    let (_root, log) = bench.stop().await;
    assert!(log.contains(r#""status":200,"#) && log.contains(r#""whole":false"#), "{log}");
}
