//! What goes over the wire: addresses, signatures, conditions, bodies.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use weir_origin_s3::{S3Credentials, S3Store};
use weir_origin_store::{
    Conditions, ETag, ObjectBody, ObjectStore, PutOptions, RangeSpec, StoreError,
};

use crate::script::{DEADLINE, Step, answer, config, in_memory, network, send};

const OK: &str = "HTTP/1.1 200 OK\r\netag: \"e1\"\r\ncontent-length: 0\r\n\r\n";

fn keys() -> S3Credentials {
    S3Credentials::Static {
        access_key: "public-part".into(),
        secret_key: "hidden-part".into(),
        session_token: None,
    }
}

fn body(pieces: &[&'static str]) -> ObjectBody {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect();
    futures::stream::iter(pieces).boxed()
}

#[tokio::test(start_paused = true)]
async fn reads() {
    let check =
        async |credentials, key: &str, range, conditions, expected: &[&str], not: &[&str]| {
            let (store, seen) = in_memory(vec![answer(OK)], credentials);
            store.get("films", key, range, conditions).await.ok();
            let head = seen.lock().unwrap()[0].clone();
            for part in expected {
                assert!(head.contains(part), "{part:?} in {head}");
            }
            for part in not {
                assert!(!head.to_ascii_lowercase().contains(part), "no {part:?} in {head}");
            }
        };
    let none = Conditions::default();
    check(
        S3Credentials::Anonymous,
        "a/b c+ü%.m4s",
        None,
        none.clone(),
        &["GET /films/a/b%20c%2B%C3%BC%25.m4s?x-id=GetObject HTTP/1.1\r\nhost: s3.test\r\n"],
        &["authorization", "range:", "if-match", "if-none-match", "if-modified-since"],
    )
    .await;
    check(
        keys(),
        "a",
        Some(RangeSpec::Closed { first: 1, last: 2 }),
        Conditions {
            if_match: Some(ETag("e1".into()).into()),
            if_modified_since: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)),
            ..none
        },
        &[
            "range: bytes=1-2\r\n",
            "if-match: \"e1\"\r\n",
            "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "authorization: AWS4-HMAC-SHA256 Credential=public-part/",
            "/local/s3/aws4_request",
        ],
        &["hidden-part", "x-amz-checksum-mode"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn writes_stream() {
    let script = vec![Step::Read, Step::ReadBody(5), send(OK), Step::Read, send(OK), Step::Hold];
    let (store, seen) = in_memory(vec![script], keys());
    let options = PutOptions {
        content_type: Some("video/mp4".into()),
        cache_control: Some("immutable".into()),
        fields: vec![("x-amz-meta-sum".into(), "1".into())],
        if_none_match_any: true,
        if_match: None,
    };
    let meta = store.put("films", "a", 5, body(&["he", "llo"]), options.clone()).await.unwrap();
    assert_eq!((meta.size, meta.etag.0.as_str()), (5, "e1"));
    let head = seen.lock().unwrap()[0].clone();
    for part in [
        "PUT /films/a?x-id=PutObject HTTP/1.1\r\n",
        "content-length: 5\r\n",
        "content-type: video/mp4\r\n",
        "cache-control: immutable\r\n",
        "if-none-match: *\r\n",
        "x-amz-meta-sum: 1\r\n",
        "authorization: AWS4-HMAC-SHA256",
    ] {
        assert!(head.contains(part), "{part:?} in {head}");
    }
    for part in ["transfer-encoding", "aws-chunked", "trailer"] {
        assert!(!head.contains(part), "no {part:?} in {head}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_another_length_is_refused() {
    let check = async |pieces: &[&'static str], part: &str| {
        let script = vec![Step::Read, Step::ReadBody(5), send(OK), Step::Hold];
        let (store, _) = in_memory(vec![script], keys());
        let error =
            store.put("films", "a", 5, body(pieces), PutOptions::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Truncated { expected: 5, .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    check(&["he"], "fewer").await;
    check(&[], "fewer").await;
    check(&["hello", "!"], "more").await;
    check(&["hello!"], "more").await;
    let (store, _) = in_memory(Vec::new(), keys());
    let put = store.put("films", "a", 0, body(&["x"]), PutOptions::default());
    let error = put.await.unwrap_err();
    assert!(matches!(error, StoreError::Truncated { expected: 0, .. }), "{error}");
    // What stopped the source is what the caller hears.
    let broken = futures::stream::iter([
        Ok(Bytes::from("he")),
        Err(StoreError::Corrupt { key: "source".into() }),
    ]);
    let (store, _) = in_memory(vec![vec![Step::Read, Step::Hold]], keys());
    let put = store.put("films", "a", 5, broken.boxed(), PutOptions::default());
    let error = put.await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn only_the_server_can_be_silent_during_a_write() {
    let slow = futures::stream::iter(["he", "llo"]).then(|piece| async move {
        tokio::time::sleep(2 * DEADLINE).await;
        Ok(Bytes::from(piece))
    });
    let script = vec![Step::Read, Step::ReadBody(5), send(OK), Step::Read, send(OK), Step::Hold];
    let (store, _) = in_memory(vec![script], keys());
    store.put("films", "a", 5, slow.boxed(), PutOptions::default()).await.unwrap();
    let (store, _) = in_memory(vec![vec![Step::Read, Step::Hold]], keys());
    let put = store.put("films", "a", 5, body(&["hello"]), PutOptions::default());
    let error = put.await.unwrap_err();
    assert!(matches!(error, StoreError::Silent(after) if after == DEADLINE), "{error}");
}

#[tokio::test]
async fn presigned_urls() {
    let store = S3Store::new(&config("http://127.0.0.1:9000", keys()), network()).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    let hour = Duration::from_secs(3600);
    let url = store.presign_get("films", "a b", now, hour).await.unwrap();
    assert!(url.starts_with("http://127.0.0.1:9000/films/a%20b?"), "{url}");
    for part in ["X-Amz-Signature=", "X-Amz-Expires=3600", "X-Amz-Credential=public-part%2F"] {
        assert!(url.contains(part), "{part} in {url}");
    }
    assert!(!url.contains("hidden-part"));
    assert_eq!(url, store.presign_get("films", "a b", now, hour).await.unwrap());
    let url = store.presign_put("films", "a", 7, now, hour).await.unwrap();
    assert!(url.contains("content-length"), "{url}");
    let error = store.presign_get("films", "a", now, 200 * hour).await.unwrap_err();
    assert!(matches!(error, StoreError::TooMuch { limit: 604_800, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_instance_s_role() {
    let text = |body: &str| {
        let fields = "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
        send(&format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len()))
    };
    let role = r#"{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-11-20T00:00:00Z",
        "AccessKeyId":"role-key","SecretAccessKey":"hidden-part","Token":"role-token",
        "Expiration":"2099-01-01T00:00:00Z"}"#;
    let mut service = Vec::new();
    for body in ["session", "the-role", role] {
        service.extend([Step::Read, text(body)]);
    }
    service.push(Step::Hold);
    let (store, seen) = in_memory(vec![service, answer(OK)], S3Credentials::Imds);
    let got = store.get("films", "a", None, Conditions::default()).await;
    let seen = seen.lock().unwrap().clone();
    got.unwrap_or_else(|error| panic!("{error}: {seen:?}"));
    let firsts: Vec<_> = seen.iter().map(|head| head.lines().next().unwrap()).collect();
    assert_eq!(firsts.len(), 4, "{firsts:?}");
    assert!(firsts[0].starts_with("PUT /latest/api/token "), "{firsts:?}");
    assert!(seen[1].contains("x-aws-ec2-metadata-token: session\r\n"), "{}", seen[1]);
    for part in ["Credential=role-key/", "x-amz-security-token: role-token\r\n"] {
        assert!(seen[3].contains(part), "{part} in {}", seen[3]);
    }
    // Nobody answers there: not the server's fault, and said so.
    let (store, _) = in_memory(Vec::new(), S3Credentials::Imds);
    let error = store.get("films", "a", None, Conditions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    assert!(error.to_string().to_ascii_lowercase().contains("credential"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_debugger_sees_no_secret() {
    let (store, _) = in_memory(Vec::new(), keys());
    let shown = format!("{store:?} {:?}", config("http://s3.test", keys()));
    assert!(!shown.contains("hidden-part"), "{shown}");
}
