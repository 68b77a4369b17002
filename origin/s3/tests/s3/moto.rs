//! The port's contract, held against moto: a server that somebody else wrote.

use std::{process::Stdio, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use weir_edge_http::client::{Deadlines, Target, Upload};
use weir_origin_s3::{S3Credentials, S3Store};
use weir_origin_store::{
    Conditions, ETag, ETagCondition, ObjectStore, PutOptions, RangeSpec, StoreError,
};

use crate::script::{bytes, config, network};

/// A server of its own for each test; it ends with the test.
struct Moto {
    _server: Child,
    port: u16,
    store: S3Store,
}

async fn moto() -> Moto {
    let program = std::env::var("WEIR_MOTO").unwrap_or_else(|_| {
        panic!(
            "WEIR_MOTO does not name moto_server. `cargo xtask test` installs it and sets this; \
             by hand: pip install 'moto[server]', then WEIR_MOTO=$(command -v moto_server)"
        )
    });
    let mut server = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let port = loop {
        let line = lines.next_line().await.unwrap().expect("moto says where it listens");
        if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            break digits.parse().unwrap();
        }
    };
    // It logs each request there.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let credentials = S3Credentials::Static {
        access_key: "key".into(),
        secret_key: "secret".into(),
        session_token: None,
    };
    let mut config = config(&format!("http://127.0.0.1:{port}"), credentials);
    config.region = "us-east-1".into();
    config.deadlines = Deadlines::all(Duration::from_secs(20));
    let store = S3Store::new(&config, network()).unwrap();
    let moto = Moto { _server: server, port, store };
    assert_eq!(moto.plain(Method::PUT, "/films", "").await.0, 200);
    moto
}

impl Moto {
    /// A request without any S3 library.
    async fn plain(&self, method: Method, path: &str, body: &'static str) -> (u16, Vec<u8>) {
        let target = Target { tls: false, host: "127.0.0.1".into(), port: self.port };
        let upload = if body.is_empty() {
            Upload::empty()
        } else {
            let length = body.len() as u64;
            Upload::stream(futures::stream::iter([Ok(Bytes::from(body))]), Some(length))
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .body(upload)
            .unwrap();
        let deadlines = Deadlines::all(Duration::from_secs(20));
        let response = network().send(&target, request, deadlines).await.unwrap();
        let status = response.status().as_u16();
        let pieces: Vec<_> = response.into_body().map(|piece| piece.unwrap()).collect().await;
        (status, pieces.concat())
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> ETag {
        let size = bytes.len() as u64;
        let pieces: Vec<_> = bytes.chunks(100_000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        let body = futures::stream::iter(pieces).boxed();
        let put = self.store.put("films", key, size, body, PutOptions::default());
        put.await.unwrap().etag
    }

    async fn get(
        &self,
        key: &str,
        range: Option<RangeSpec>,
        conditions: Conditions,
    ) -> Result<Vec<u8>, StoreError> {
        let (bytes, end) = bytes(self.store.get("films", key, range, conditions).await?).await;
        end.map(|()| bytes)
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 7 % 251) as u8).collect()
}

#[tokio::test]
async fn objects_come_back_as_written() {
    let moto = moto().await;
    let store = &moto.store;
    let options = PutOptions {
        content_type: Some("video/iso.segment".into()),
        cache_control: Some("max-age=31536000, immutable".into()),
        fields: vec![
            ("content-language".into(), "en".into()),
            ("x-amz-meta-sum".into(), "abc".into()),
        ],
        ..PutOptions::default()
    };
    let content = pattern(3_000_000);
    let body = futures::stream::iter([Ok(Bytes::from(content.clone()))]).boxed();
    let written = store.put("films", "v1/a b+ü.m4s", 3_000_000, body, options).await.unwrap();
    let object = store.get("films", "v1/a b+ü.m4s", None, Conditions::default()).await.unwrap();
    assert_eq!((object.range.clone(), object.meta.clone()), (0..3_000_000, written.clone()));
    let (got, end) = bytes(object).await;
    end.unwrap();
    assert!(got == content);
    let head = store.head("films", "v1/a b+ü.m4s", Conditions::default()).await.unwrap();
    assert_eq!(head, written);
    store.delete("films", "v1/a b+ü.m4s").await.unwrap();
    store.delete("films", "v1/a b+ü.m4s").await.unwrap();
    for error in [
        moto.get("v1/a b+ü.m4s", None, Conditions::default()).await.unwrap_err(),
        store.head("films", "v1/a b+ü.m4s", Conditions::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }
    let error = store.get("no-such-bucket", "a", None, Conditions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::NoBucket(_)), "{error}");
}

#[tokio::test]
async fn ranges_and_conditions() {
    let moto = moto().await;
    let content = pattern(1000);
    let etag = moto.put("a", content.clone()).await;
    let none = Conditions::default();
    for (range, expected) in [
        (RangeSpec::Closed { first: 10, last: 19 }, 10..20),
        (RangeSpec::Closed { first: 990, last: 5000 }, 990..1000),
        (RangeSpec::From { first: 999 }, 999..1000),
        (RangeSpec::Suffix { length: 100 }, 900..1000),
    ] {
        let got = moto.get("a", Some(range), none.clone()).await.unwrap();
        assert_eq!(got, content[expected], "{range:?}");
    }
    let outside = Some(RangeSpec::From { first: 1000 });
    let error = moto.get("a", outside, none.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::RangeNotSatisfiable { size: 1000, .. }), "{error}");
    let other = || ETagCondition::from(ETag("0".repeat(32)));
    let same = || ETagCondition::from(etag.clone());
    // As a broken body is resumed.
    let resume = Conditions { if_match: Some(same()), ..none.clone() };
    let rest = Some(RangeSpec::From { first: 500 });
    assert_eq!(moto.get("a", rest, resume).await.unwrap(), content[500..]);
    let changed = Conditions { if_match: Some(other()), ..none.clone() };
    let error = moto.get("a", rest, changed).await.unwrap_err();
    assert!(matches!(error, StoreError::PreconditionFailed { .. }), "{error}");
    let unchanged = Conditions { if_none_match: Some(same()), ..none.clone() };
    let error = moto.get("a", None, unchanged.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotModified { .. }), "{error}");
    let error = moto.store.head("films", "a", unchanged).await.unwrap_err();
    assert!(matches!(error, StoreError::NotModified { .. }), "{error}");
    let new = Conditions { if_none_match: Some(other()), ..none.clone() };
    assert_eq!(moto.get("a", None, new).await.unwrap(), content);
    let modified = moto.store.head("films", "a", none.clone()).await.unwrap().modified;
    let since = Conditions { if_modified_since: Some(modified), ..none };
    let error = moto.get("a", None, since).await.unwrap_err();
    assert!(matches!(error, StoreError::NotModified { .. }), "{error}");
}

#[tokio::test]
async fn listings_page_by_page() {
    let moto = moto().await;
    for key in ["a/1", "a/2", "b", "c/1", "c/2", "d"] {
        moto.put(key, pattern(3)).await;
    }
    let mut names = Vec::new();
    let mut after = None;
    for _ in 0..10 {
        let page = moto.store.list("films", "", Some("/"), after.as_deref(), 1).await.unwrap();
        assert!(page.objects.len() + page.prefixes.len() <= 1);
        names.extend(page.objects.iter().map(|object| (object.key.clone(), object.size)));
        names.extend(page.prefixes.into_iter().map(|prefix| (prefix, 0)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected = [("a/", 0), ("b", 3), ("c/", 0), ("d", 3)];
    assert_eq!(names, expected.map(|(name, size)| (name.to_owned(), size)));
    let page = moto.store.list("films", "c/", None, None, 1000).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!((keys, page.next), (vec!["c/1", "c/2"], None));
}

#[tokio::test]
async fn presigned_urls_work_without_a_library() {
    let moto = moto().await;
    let now = std::time::SystemTime::now();
    let hour = Duration::from_secs(3600);
    let path = |url: String| url.split_once(&moto.port.to_string()).unwrap().1.to_owned();
    let url = moto.store.presign_put("films", "up", 5, now, hour).await.unwrap();
    assert_eq!(moto.plain(Method::PUT, &path(url), "hello").await.0, 200);
    let url = moto.store.presign_get("films", "up", now, hour).await.unwrap();
    assert_eq!(moto.plain(Method::GET, &path(url), "").await, (200, b"hello".to_vec()));
}
