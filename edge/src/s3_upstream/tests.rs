//! A store that answers as it is told, and what becomes of that.

use std::{sync::Mutex, time::SystemTime};

use bytes::Bytes;
use weir_origin_store::{Conditions, ETag, ListPage, ObjectMeta, PutOptions, RangeSpec};

use super::*;

const DEADLINE: Duration = Duration::from_secs(2);

type Answer = Box<dyn FnOnce() -> Result<Object, StoreError> + Send>;

/// Answers its one request, or never.
struct Told(Mutex<Option<Answer>>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl Told {
    async fn answer(&self) -> Result<Object, StoreError> {
        let answer = self.0.lock().unwrap().take();
        match answer {
            Some(answer) => answer(),
            None => std::future::pending().await,
        }
    }
}

impl ObjectStore for Told {
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _: Option<RangeSpec>,
        _: Conditions,
    ) -> BoxFuture<'a, Result<Object, StoreError>> {
        assert_eq!((bucket, key), ("films", "a b"));
        self.answer().boxed()
    }

    fn head<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Conditions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        self.answer().map(|answer| answer.map(|object| object.meta)).boxed()
    }

    fn put<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: u64,
        _: ObjectBody,
        _: PutOptions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        panic!("an upstream writes nothing")
    }

    fn delete<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        panic!("an upstream deletes nothing")
    }

    fn list<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Option<&'a str>,
        _: Option<&'a str>,
        _: usize,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        panic!("an upstream lists nothing")
    }
}

fn object(pieces: Vec<Result<&'static str, StoreError>>, range: std::ops::Range<u64>) -> Object {
    let pieces = pieces.into_iter().map(|piece| piece.map(Bytes::from));
    Object {
        meta: ObjectMeta {
            key: "a b".into(),
            size: 10,
            etag: ETag("e1".into()),
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            content_type: Some("video/mp4".into()),
            cache_control: Some("max-age=60".into()),
            fields: vec![
                ("content-language".into(), "en".into()),
                ("x-amz-meta-sum".into(), "1".into()),
                ("set-cookie".into(), "evil".into()),
            ],
        },
        range,
        body: stream::iter(pieces).boxed(),
    }
}

async fn send(
    method: Method,
    range: Option<&'static str>,
    answer: Option<Answer>,
) -> Result<UpstreamResponse, UpstreamError> {
    let store = Arc::new(Told(Mutex::new(answer)));
    let range = range.map(|range| (header::RANGE, HeaderValue::from_static(range)));
    let request = UpstreamRequest {
        method,
        path_and_query: "/a%20b?q=1".into(),
        authority: None,
        headers: range.into_iter().collect(),
        body: None,
        deadline: DEADLINE,
    };
    S3Upstream::new("s3-test", store, "films").send(request).await
}

async fn text(mut body: DownBody) -> Result<String, UpstreamError> {
    let mut text = String::new();
    while let Some(piece) = body.next().await {
        text.push_str(std::str::from_utf8(&piece?).unwrap());
    }
    Ok(text)
}

#[tokio::test(start_paused = true)]
async fn objects_become_responses() {
    let whole = || -> Option<Answer> {
        Some(Box::new(|| Ok(object(vec![Ok("01234"), Ok("56789")], 0..10))))
    };
    let response = send(Method::GET, None, whole()).await.unwrap();
    assert_eq!((response.status, response.content_length), (StatusCode::OK, Some(10)));
    let fields = |headers: &HeaderMap| {
        let mut fields: Vec<_> =
            headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        fields.sort();
        fields
    };
    let known = [
        "accept-ranges: bytes",
        "cache-control: max-age=60",
        "content-language: en",
        "content-length: 10",
        "content-type: video/mp4",
        "etag: \"e1\"",
        "last-modified: Sun, 06 Nov 1994 08:49:37 GMT",
        "x-amz-meta-sum: 1",
    ];
    assert_eq!(fields(&response.headers), known);
    assert_eq!(text(response.body).await.unwrap(), "0123456789");
    let response = send(Method::HEAD, None, whole()).await.unwrap();
    assert_eq!(fields(&response.headers), known);
    assert_eq!(response.content_length, Some(0));
    assert_eq!(text(response.body).await.unwrap(), "");
    // A part, and everything where a part was asked for.
    let part: Answer = Box::new(|| Ok(object(vec![Ok("234")], 2..5)));
    let response = send(Method::GET, Some("bytes=2-4"), Some(part)).await.unwrap();
    assert_eq!(response.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers["content-range"], "bytes 2-4/10");
    assert_eq!(response.headers["content-length"], "3");
    let response = send(Method::GET, Some("bytes=2-4"), whole()).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert!(!response.headers.contains_key("content-range"));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_object_is_an_answer() {
    let check = async |error: StoreError, expected: u16, field: Option<(&str, &str)>| {
        let response = send(Method::GET, None, Some(Box::new(|| Err(error)))).await.unwrap();
        assert_eq!(response.status.as_u16(), expected);
        let told = response.headers.iter().next();
        assert_eq!(told.map(|(name, value)| (name.as_str(), value.to_str().unwrap())), field);
    };
    let (bucket, key) = (String::from("films"), String::from("a"));
    let k = key.clone();
    check(StoreError::NotFound { bucket: bucket.clone(), key }, 404, None).await;
    check(StoreError::NoBucket(bucket), 404, None).await;
    check(StoreError::PreconditionFailed { key: k.clone() }, 412, None).await;
    check(StoreError::NotModified { key: k.clone(), etag: None }, 304, None).await;
    let etag = Some(ETag("e1".into()));
    check(StoreError::NotModified { key: k.clone(), etag }, 304, Some(("etag", "\"e1\""))).await;
    check(
        StoreError::RangeNotSatisfiable { key: k, size: 10 },
        416,
        Some(("content-range", "bytes */10")),
    )
    .await;
    let response = send(Method::POST, None, None).await.unwrap();
    assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers["allow"], "GET, HEAD");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_the_store_is_a_failure() {
    let check = async |error: StoreError, retryable: bool, taints: bool, part: &str| {
        let error = send(Method::GET, None, Some(Box::new(|| Err(error)))).await.unwrap_err();
        assert_eq!((error.retryable(), error.taints()), (retryable, taints), "{error}");
        let text = error.to_string();
        assert!(text.contains("s3-test") && text.contains(part), "{text}");
    };
    check(StoreError::Unreachable("no route".into()), true, false, "no route").await;
    check(StoreError::Silent(DEADLINE), true, false, "2s").await;
    let (what, reason) = ("films/a".into(), "AccessDenied".into());
    check(StoreError::Denied { what, reason }, true, false, "AccessDenied").await;
    let (code, message) = ("SlowDown".into(), "later".into());
    check(StoreError::Answered { status: 503, code, message }, true, false, "later").await;
    check(StoreError::Untrusted("two lengths".into()), true, true, "two lengths").await;
    // Nothing at all comes.
    let error = send(Method::GET, None, None).await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Silent { phase: Phase::Headers, after: DEADLINE, .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn bodies_that_break_off_say_so() {
    let truncated = || StoreError::Truncated { got: 5, expected: 10, reason: "reset".into() };
    let broken: Answer = Box::new(move || Ok(object(vec![Ok("01234"), Err(truncated())], 0..10)));
    let response = send(Method::GET, None, Some(broken)).await.unwrap();
    let error = text(response.body).await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Truncated { got: 5, expected: Some(10), .. }),
        "{error}"
    );
    let stuck: Answer = Box::new(|| {
        let object = object(vec![Ok("01234")], 0..10);
        Ok(Object { body: object.body.chain(stream::pending()).boxed(), ..object })
    });
    let response = send(Method::GET, None, Some(stuck)).await.unwrap();
    let error = text(response.body).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Silent { phase: Phase::Body, .. }), "{error}");
}
