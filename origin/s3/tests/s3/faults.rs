//! Servers that refuse, lie or break off: each gets its own word of the port.

use std::time::Duration;

use weir_origin_s3::S3Credentials;
use weir_origin_store::{Conditions, ETag, ObjectStore, RangeSpec, StoreError};

use crate::script::{DEADLINE, Step, answer, bytes, in_memory, over_tcp, send};

const HEAD: &str = "HTTP/1.1 200 OK\r\netag: \"e1\"\r\nlast-modified: Fri, 20 Nov 2026 06:45:00 GMT\r\ncontent-length: 10\r\n";

/// The variant of an error and what tells it apart.
fn name(error: &StoreError) -> String {
    match error {
        StoreError::NotFound { bucket, key } => format!("not found {bucket}/{key}"),
        StoreError::NoBucket(bucket) => format!("no bucket {bucket}"),
        StoreError::NotModified { etag, .. } => format!("not modified {etag:?}"),
        StoreError::PreconditionFailed { .. } => "precondition".into(),
        StoreError::RangeNotSatisfiable { size, .. } => format!("range outside {size}"),
        StoreError::Denied { reason, .. } => format!("denied {reason}"),
        StoreError::Silent(after) => format!("silent {after:?}"),
        StoreError::Unreachable(_) => "unreachable".into(),
        StoreError::Truncated { got, expected, .. } => format!("truncated {got} of {expected}"),
        StoreError::Untrusted(_) => "untrusted".into(),
        StoreError::Answered { status, code, .. } => format!("answered {status} {code}"),
        error => format!("{error:?}"),
    }
}

async fn read(store: &impl ObjectStore, range: Option<RangeSpec>) -> Result<String, String> {
    let object = store
        .get("films", "a/b.m4s", range, Conditions::default())
        .await
        .map_err(|error| name(&error))?;
    let (bytes, end) = bytes(object).await;
    end.map_err(|error| name(&error))?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn document(status: &str, code: &str, fields: &str) -> String {
    let text =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why</Message></Error>");
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n{text}", text.len())
}

#[tokio::test(start_paused = true)]
async fn one_answer_each() {
    let check = async |text: &str, range: Option<RangeSpec>, expected: Result<&str, &str>| {
        let (store, _) = in_memory(vec![answer(text)], S3Credentials::Anonymous);
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(read(&store, range).await, expected, "{text:?}");
    };
    let some = Some(RangeSpec::Closed { first: 2, last: 4 });
    check(&format!("{HEAD}\r\n0123456789"), None, Ok("0123456789")).await;
    check(
        "HTTP/1.1 206 Partial\r\netag: \"e1\"\r\ncontent-range: bytes 2-4/10\r\ncontent-length: 3\r\n\r\n234",
        some,
        Ok("234"),
    )
    .await;
    // Refusals.
    check(&document("404 No", "NoSuchKey", ""), None, Err("not found films/a/b.m4s")).await;
    check(&document("404 No", "NoSuchBucket", ""), None, Err("no bucket films")).await;
    check("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", None, Err("not found films/a/b.m4s"))
        .await;
    check("HTTP/1.1 304 Not\r\netag: \"e1\"\r\n\r\n", None, Err("not modified Some(ETag(\"e1\"))"))
        .await;
    check("HTTP/1.1 304 Not\r\n\r\n", None, Err("not modified None")).await;
    check(&document("412 Not", "PreconditionFailed", ""), None, Err("precondition")).await;
    check(
        &document("416 Range", "InvalidRange", "content-range: bytes */10\r\n"),
        some,
        Err("range outside 10"),
    )
    .await;
    check(&document("403 No", "AccessDenied", ""), None, Err("denied AccessDenied: why")).await;
    check("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", None, Err("denied status 403")).await;
    check(&document("503 Slow", "SlowDown", ""), None, Err("answered 503 SlowDown")).await;
    check(
        &document("301 Moved", "PermanentRedirect", ""),
        None,
        Err("answered 301 PermanentRedirect"),
    )
    .await;
    // A document that is none.
    check("HTTP/1.1 500 Oh\r\ncontent-length: 5\r\n\r\n<Erro", None, Err("answered 500 ")).await;
    check("HTTP/1.1 404 No\r\ncontent-length: 4\r\n\r\nnope", None, Err("not found films/a/b.m4s"))
        .await;
    // Lies about ranges and lengths.
    check(
        "HTTP/1.1 206 Partial\r\ncontent-range: bytes 3-5/10\r\ncontent-length: 3\r\n\r\n345",
        some,
        Err("untrusted"),
    )
    .await;
    check(
        "HTTP/1.1 206 Partial\r\ncontent-range: bytes 2-4/10\r\ncontent-length: 3\r\n\r\n234",
        None,
        Err("untrusted"),
    )
    .await;
    check(
        "HTTP/1.1 206 Partial\r\ncontent-range: bytes 2-4/10\r\ncontent-length: 4\r\n\r\n2345",
        some,
        Err("untrusted"),
    )
    .await;
    check("HTTP/1.1 200 OK\r\n\r\n0123456789", None, Err("untrusted")).await;
    check(&format!("{HEAD}content-length: 11\r\n\r\n0123456789"), None, Err("untrusted")).await;
    check(&format!("{HEAD}\r\n0123456789extra"), None, Err("untrusted")).await;
    check("ICY 200 OK\r\n\r\n", None, Err("untrusted")).await;
    check(
        "HTTP/1.1 200 OK\r\nlast-modified: yesterday\r\ncontent-length: 1\r\n\r\nx",
        None,
        Err("untrusted"),
    )
    .await;
    // Ends too early.
    check("", None, Err("unreachable")).await;
    check(&format!("{HEAD}\r\n01234"), None, Err("truncated 5 of 10")).await;
}

#[tokio::test(start_paused = true)]
async fn a_416_without_the_size_asks_for_it() {
    let scripts = vec![
        answer(&document("416 Range", "InvalidRange", "connection: close\r\n")),
        answer(&format!("{HEAD}\r\n")),
    ];
    let (store, seen) = in_memory(scripts, S3Credentials::Anonymous);
    let range = Some(RangeSpec::From { first: 99 });
    assert_eq!(read(&store, range).await, Err("range outside 10".into()));
    assert!(seen.lock().unwrap()[1].starts_with("HEAD /films/a/b.m4s HTTP/1.1\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_condition_the_server_passed_over_still_holds() {
    let (store, _) =
        in_memory(vec![answer(&format!("{HEAD}\r\n0123456789"))], S3Credentials::Anonymous);
    let conditions =
        Conditions { if_match: Some(ETag("another".into()).into()), ..Conditions::default() };
    let error = store.get("films", "a", None, conditions).await.unwrap_err();
    assert_eq!(name(&error), "precondition");
}

#[tokio::test(start_paused = true)]
async fn silence() {
    let check = async |script: Vec<Step>| {
        let (store, _) = in_memory(vec![script], S3Credentials::Anonymous);
        assert_eq!(read(&store, None).await, Err(format!("silent {DEADLINE:?}")));
    };
    check(vec![Step::Hold]).await;
    check(vec![Step::Read, send("HTTP/1.1 200"), Step::Hold]).await;
    check(vec![Step::Read, send(HEAD), send("\r\n01234"), Step::Hold]).await;
    // An error document that never ends.
    check(vec![
        Step::Read,
        send("HTTP/1.1 404 No\r\ncontent-length: 99\r\n\r\n<Error>"),
        Step::Hold,
    ])
    .await;
    // Each gap counts by itself.
    let mut drip = vec![Step::Read, send(HEAD), send("\r\n")];
    for byte in "0123456789".chars() {
        drip.push(Step::Wait(DEADLINE - Duration::from_millis(1)));
        drip.push(send(&byte.to_string()));
    }
    let (store, _) = in_memory(vec![drip], S3Credentials::Anonymous);
    assert_eq!(read(&store, None).await, Ok("0123456789".into()));
}

#[tokio::test(start_paused = true)]
async fn listings_that_are_none() {
    let check = async |text: &str, expected: &str| {
        let body = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        let (store, _) = in_memory(vec![answer(&body)], S3Credentials::Anonymous);
        let error = store.list("films", "", None, None, 10).await.unwrap_err();
        assert_eq!(name(&error), expected, "{text:?}");
    };
    check("<ListBucketResult><Contents>", "untrusted").await;
    check("not xml at all", "untrusted").await;
    check(
        "<ListBucketResult><Contents><Size>-5</Size><Key>a</Key></Contents></ListBucketResult>",
        "untrusted",
    )
    .await;
    check("<ListBucketResult><Contents><Size>5</Size></Contents></ListBucketResult>", "untrusted")
        .await;
    // Without end: neither memory nor time without bound.
    let endless = vec![
        Step::Read,
        send("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"),
        Step::Send(" ".repeat(17 << 20)),
        Step::Hold,
    ];
    let (store, _) = in_memory(vec![endless], S3Credentials::Anonymous);
    let error = store.list("films", "", None, None, 10).await.unwrap_err();
    assert_eq!(name(&error), "untrusted");
}

#[tokio::test]
async fn resets() {
    let check = async |script: Vec<Step>, expected: &[&str]| {
        let got = read(&over_tcp(script).await, None).await.unwrap_err();
        assert!(expected.contains(&got.as_str()), "{got}");
    };
    check(vec![Step::Read, Step::Reset], &["unreachable"]).await;
    // A reset may overtake bytes that the kernel still held.
    check(
        vec![Step::Read, send(HEAD), send("\r\n01234"), Step::Reset],
        &["truncated 5 of 10", "truncated 0 of 10", "unreachable"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn names_that_cannot_be() {
    let (store, seen) = in_memory(Vec::new(), S3Credentials::Anonymous);
    let long = "k".repeat(1025);
    for (bucket, key) in
        [("films", ""), ("Films", "a"), ("..", "a"), ("films", &long), ("films", "a/../b")]
    {
        let (now, minute) = (std::time::SystemTime::UNIX_EPOCH, std::time::Duration::from_secs(60));
        for outcome in [
            store.get(bucket, key, None, Conditions::default()).await.map(drop),
            store.head(bucket, key, Conditions::default()).await.map(drop),
            store.delete(bucket, key).await,
            store.presign_get(bucket, key, now, minute).await.map(drop),
            store.presign_put(bucket, key, 1, now, minute).await.map(drop),
        ] {
            assert!(matches!(outcome, Err(StoreError::BadName(..))), "{bucket}/{key}: {outcome:?}");
        }
    }
    assert!(seen.lock().unwrap().is_empty());
}
