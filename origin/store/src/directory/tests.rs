//! The directory adapter through its port: what is written is read, rot is seen, a crash at
//! any step leaves whole objects.

mod crash;
mod listing;
mod parts;

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use weir_config_lifecycle::clock::ManualClock;

use super::{format::GRAIN, *};
use crate::{
    port::{
        Conditions, ETag, ETagCondition, Object, ObjectBody, ObjectMeta, ObjectStore, PutOptions,
        RangeSpec,
    },
    uploads::MultipartStore,
};

/// Content that differs from place to place and seed to seed.
fn content(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

/// A body in pieces of `piece` bytes.
fn body(bytes: &Bytes, piece: usize) -> ObjectBody {
    let pieces: Vec<_> = bytes.chunks(piece).map(|part| Ok(bytes.slice_ref(part))).collect();
    stream::iter(pieces).boxed()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(1_700_000_000_500))
}

fn options() -> DirectoryOptions {
    DirectoryOptions { durable: false, ..DirectoryOptions::new(vec!["films".into()], clock()) }
}

fn open(root: &Path) -> Directory {
    Directory::open(root, options()).unwrap()
}

async fn put(store: &Directory, key: &str, bytes: &Bytes) -> Result<ObjectMeta, StoreError> {
    let options = PutOptions::default();
    store.put("films", key, bytes.len() as u64, body(bytes, 100_000), options).await
}

async fn read(object: Object) -> Result<Bytes, StoreError> {
    let pieces: Vec<Bytes> = object.body.try_collect().await?;
    Ok(pieces.concat().into())
}

async fn get(store: &Directory, key: &str) -> Result<Bytes, StoreError> {
    read(store.get("films", key, None, Conditions::default()).await?).await
}

fn temporaries(root: &Path) -> usize {
    fs::read_dir(root.join("temporary")).unwrap().count()
}

#[tokio::test]
async fn what_is_written_is_read() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for (seed, size) in [0, 1, GRAIN - 1, GRAIN, GRAIN + 1, 3 * GRAIN + 5].into_iter().enumerate() {
        let bytes = content(seed as u64, size);
        for piece in [1_000, GRAIN, 10 * GRAIN] {
            let written = store
                .put("films", "k", size as u64, body(&bytes, piece), PutOptions::default())
                .await
                .unwrap();
            assert_eq!(written.size, size as u64);
            assert_eq!(get(&store, "k").await.unwrap(), bytes, "{size} in pieces of {piece}");
        }
        for (first, last) in [(0, 0), (1, size), (GRAIN - 1, GRAIN), (GRAIN, 3 * GRAIN)] {
            let range = RangeSpec::Closed { first: first as u64, last: last as u64 };
            match store.get("films", "k", Some(range), Conditions::default()).await {
                Ok(object) => {
                    let end = (last + 1).min(size);
                    assert_eq!(object.range, first as u64..end as u64);
                    assert_eq!(read(object).await.unwrap(), bytes[first..end]);
                }
                Err(StoreError::RangeNotSatisfiable { size: told, .. }) => {
                    assert!(first >= size && told == size as u64, "{first}-{last} of {size}");
                }
                Err(error) => panic!("{first}-{last} of {size}: {error}"),
            }
        }
    }
    assert_eq!(temporaries(root.path()), 0);
}

#[tokio::test]
async fn metadata_travels_and_survives_reopening() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let bytes = Bytes::from_static(b"hello");
    let options = PutOptions {
        content_type: Some("video/mp4".into()),
        cache_control: Some("max-age=60, immutable".into()),
        fields: vec![("x-amz-meta-title".into(), "é \"quoted\"\n".into())],
        ..PutOptions::default()
    };
    let written = store.put("films", "a/b", 5, body(&bytes, 2), options).await.unwrap();
    assert_eq!(written.etag.0, "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(written.modified, std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    drop(store);
    let store = open(root.path());
    assert_eq!(store.head("films", "a/b", Conditions::default()).await.unwrap(), written);
    let object = store.get("films", "a/b", None, Conditions::default()).await.unwrap();
    assert_eq!(object.meta, written);

    let fields = vec![("x-amz-meta-big".to_owned(), "x".repeat(9_000))];
    let big = PutOptions { fields, ..PutOptions::default() };
    let refused = store.put("films", "a/b", 5, body(&bytes, 2), big).await;
    assert!(matches!(refused, Err(StoreError::TooMuch { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    put(&store, "a/b", &content(1, 10)).await.unwrap();
    for key in ["a", "a/", "a/b/", "b", "a/b/c", "/a/b"] {
        let outcome = get(&store, key).await;
        assert!(matches!(outcome, Err(StoreError::NotFound { .. })), "{key}: {outcome:?}");
        store.delete("films", key).await.unwrap();
    }
    for bucket in ["other", "..", "", "films/a", "../buckets/films"] {
        let outcome = store.get(bucket, "a/b", None, Conditions::default()).await;
        assert!(matches!(outcome, Err(StoreError::NoBucket(_))), "{bucket}: {outcome:?}");
    }
    assert!(matches!(get(&store, "").await, Err(StoreError::BadName(..))));
    assert!(matches!(get(&store, &"k".repeat(1025)).await, Err(StoreError::BadName(..))));
    get(&store, "a/b").await.unwrap();
}

#[tokio::test]
async fn keys_that_climb_are_refused_by_every_operation() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    put(&store, "a/b", &content(1, 10)).await.unwrap();
    let id = store.begin_upload("films", "a/b", PutOptions::default()).await.unwrap();
    for key in ["..", ".", "../films/a/b", "../buckets/films/a/b", "a/./b", "c/../a/b", "a/b/.."] {
        fn check<T: std::fmt::Debug>(key: &str, what: &str, outcome: &Result<T, StoreError>) {
            let refused = matches!(outcome, Err(StoreError::BadName(name, _)) if name == key);
            assert!(refused, "{what} {key}: {outcome:?}");
        }
        let none = PutOptions::default;
        check(key, "get", &store.get("films", key, None, Conditions::default()).await);
        check(key, "head", &store.head("films", key, Conditions::default()).await);
        check(key, "put", &put(&store, key, &content(2, 10)).await);
        check(key, "delete", &store.delete("films", key).await);
        check(key, "begin", &store.begin_upload("films", key, none()).await);
        let bytes = content(2, 10);
        check(key, "part", &store.put_part("films", key, &id, 1, 10, body(&bytes, 10)).await);
        check(key, "parts", &store.parts("films", key, &id, 0, 9).await);
        check(key, "complete", &store.complete_upload("films", key, &id, vec![], none()).await);
        check(key, "abort", &store.abort_upload("films", key, &id).await);
    }
    assert_eq!(get(&store, "a/b").await.unwrap(), content(1, 10));
    assert_eq!(temporaries(root.path()), 0);
}

/// A file under the escaped name of such a key, however it came there, is nobody's object.
#[tokio::test]
async fn a_stored_key_that_climbs_is_not_listed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for key in ["a", "b/c"] {
        put(&store, key, &content(1, 10)).await.unwrap();
    }
    let bucket = root.path().join("buckets/films");
    for folder in ["%2E.", "b/%2E"] {
        fs::create_dir(bucket.join(folder)).unwrap();
        fs::copy(bucket.join("a="), bucket.join(folder).join("a=")).unwrap();
    }
    for (delimiter, expected) in [(None, vec!["a", "b/c"]), (Some("/"), vec!["a", "b/"])] {
        let page = store.list("films", "", delimiter, None, 9).await.unwrap();
        let mut names: Vec<_> = page.objects.into_iter().map(|object| object.key).collect();
        names.extend(page.prefixes);
        assert_eq!((names.iter().map(String::as_str).collect(), page.next), (expected, None));
    }
}

#[tokio::test]
async fn a_body_of_another_length_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let old = content(1, 10);
    put(&store, "k", &old).await.unwrap();
    let bytes = content(2, 2 * GRAIN);
    for declared in [bytes.len() as u64 - 1, bytes.len() as u64 + 1, 0] {
        let options = PutOptions::default();
        let outcome = store.put("films", "k", declared, body(&bytes, 70_000), options).await;
        assert!(matches!(outcome, Err(StoreError::Truncated { .. })), "{declared}: {outcome:?}");
    }
    let broken =
        stream::iter([Ok(content(3, 2 * GRAIN)), Err(StoreError::Unreachable("x".into()))]);
    let outcome =
        store.put("films", "k", 3 * GRAIN as u64, broken.boxed(), PutOptions::default()).await;
    assert!(matches!(outcome, Err(StoreError::Unreachable(_))), "{outcome:?}");
    assert_eq!(get(&store, "k").await.unwrap(), old);
    assert_eq!(temporaries(root.path()), 0);
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (pieces, receiver) = futures::channel::mpsc::channel(4);
    let size = 10 * GRAIN as u64;
    let upload = store.put("films", "k", size, receiver.boxed(), PutOptions::default());
    let mut upload = Box::pin(upload);
    let mut pieces = pieces;
    pieces.try_send(Ok(content(1, 2 * GRAIN))).unwrap();
    // Drive it until it waits for more with its file begun, then hang up.
    while temporaries(root.path()) == 0 {
        assert!(futures::poll!(upload.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(upload);
    // A write that was under way when the sender left ends by itself.
    while temporaries(root.path()) > 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(get(&store, "k").await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn conditions_of_writes_hold_at_the_end_too() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let new = || PutOptions { if_none_match_any: true, ..PutOptions::default() };
    let over = |etag: &ETag| PutOptions { if_match: Some(etag.clone()), ..PutOptions::default() };
    let write = |key: &'static str, seed, options| {
        let (store, bytes) = (store.clone(), content(seed, 1000));
        async move { store.put("films", key, 1000, body(&bytes, 300), options).await }
    };
    // Of many at once exactly one finds no object.
    let all = futures::future::join_all((0..8).map(|seed| write("k", seed, new()))).await;
    let won: Vec<_> = all.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    assert!(
        all.iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .all(|error| matches!(error, StoreError::PreconditionFailed { .. }))
    );
    let first = won[0].etag.clone();
    let second = write("k", 100, over(&first)).await.unwrap().etag;
    let stale = write("k", 101, over(&first)).await;
    assert!(matches!(stale, Err(StoreError::PreconditionFailed { .. })), "{stale:?}");
    write("k", 102, over(&second)).await.unwrap();
    let absent = write("other", 1, over(&second)).await;
    assert!(matches!(absent, Err(StoreError::NotFound { .. })), "{absent:?}");
}

#[tokio::test]
async fn conditions_of_reads() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let etag = put(&store, "k", &content(1, 10)).await.unwrap().etag;
    let unchanged = Conditions {
        if_none_match: Some(ETagCondition::OneOf(vec![ETag("x".into()), etag.clone()])),
        ..Conditions::default()
    };
    // RFC 9110 §13.2.2: the condition comes before the range.
    let range = Some(RangeSpec::From { first: 99 });
    let outcome = store.get("films", "k", range, unchanged.clone()).await;
    assert!(matches!(outcome, Err(StoreError::NotModified { .. })), "{outcome:?}");
    let outcome = store.head("films", "k", unchanged).await;
    assert!(matches!(outcome, Err(StoreError::NotModified { .. })), "{outcome:?}");
    let other = Conditions { if_match: Some(ETag("x".into()).into()), ..Conditions::default() };
    let outcome = store.get("films", "k", None, other).await;
    assert!(matches!(outcome, Err(StoreError::PreconditionFailed { .. })), "{outcome:?}");
}

#[tokio::test]
async fn rot_never_reads_as_whole() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let bytes = content(1, 2 * GRAIN + 100);
    put(&store, "k", &bytes).await.unwrap();
    let path = root.path().join("buckets/films/k=");
    let sound = fs::read(&path).unwrap();
    // In each grain, in the table, in the record, in each field of the footer, and cut short.
    let body_end = bytes.len();
    let end = sound.len();
    let mut places = vec![0, GRAIN - 1, GRAIN, 2 * GRAIN, body_end - 1];
    places.extend([body_end, body_end + 8, body_end + 23, body_end + 24, end - 41]);
    places.extend((1..=40).map(|back| end - back));
    for place in places {
        let mut rotten = sound.clone();
        rotten[place] ^= 0x10;
        fs::write(&path, &rotten).unwrap();
        let outcome = get(&store, "k").await;
        assert!(matches!(outcome, Err(StoreError::Corrupt { .. })), "byte {place}: {outcome:?}");
    }
    for length in [0, 39, 40, GRAIN, end - 1] {
        fs::write(&path, &sound[..length]).unwrap();
        let outcome = get(&store, "k").await;
        assert!(matches!(outcome, Err(StoreError::Corrupt { .. })), "{length}: {outcome:?}");
    }
    // A whole file that belongs to another key.
    fs::write(&path, &sound).unwrap();
    fs::rename(&path, root.path().join("buckets/films/other=")).unwrap();
    assert!(matches!(get(&store, "other").await, Err(StoreError::Corrupt { .. })));
    // What is sound can still be read beside rot: only the grain that fell is lost.
    let mut rotten = sound.clone();
    rotten[GRAIN] ^= 1;
    fs::write(&path, &rotten).unwrap();
    let range = Some(RangeSpec::Closed { first: 5, last: 9 });
    let object = store.get("films", "k", range, Conditions::default()).await.unwrap();
    assert_eq!(read(object).await.unwrap(), bytes[5..10]);
    let mut body = store.get("films", "k", None, Conditions::default()).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), bytes[..GRAIN]);
    assert!(matches!(body.next().await, Some(Err(StoreError::Corrupt { .. }))));
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_reader_keeps_the_version_it_opened() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (old, new) = (content(1, 3 * GRAIN), content(2, GRAIN));
    put(&store, "k", &old).await.unwrap();
    let replaced = store.get("films", "k", None, Conditions::default()).await.unwrap();
    put(&store, "k", &new).await.unwrap();
    let deleted = store.get("films", "k", None, Conditions::default()).await.unwrap();
    store.delete("films", "k").await.unwrap();
    assert_eq!(read(replaced).await.unwrap(), old);
    assert_eq!(read(deleted).await.unwrap(), new);
}

#[tokio::test]
async fn deleting_prunes_folders_and_spares_neighbours() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for key in ["a", "a/b/c", "a/b/d"] {
        put(&store, key, &content(1, 10)).await.unwrap();
    }
    store.delete("films", "a/b/c").await.unwrap();
    get(&store, "a/b/d").await.unwrap();
    store.delete("films", "a/b/d").await.unwrap();
    get(&store, "a").await.unwrap();
    store.delete("films", "a").await.unwrap();
    assert_eq!(fs::read_dir(root.path().join("buckets/films")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn puts_and_deletes_of_neighbours_race_well() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let workers = (0..4).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = format!("a/b/{worker}");
            for round in 0..50 {
                let bytes = content(round, 100);
                put(&store, &key, &bytes).await.unwrap();
                assert_eq!(get(&store, &key).await.unwrap(), bytes);
                store.delete("films", &key).await.unwrap();
            }
        })
    });
    for worker in futures::future::join_all(workers).await {
        worker.unwrap();
    }
    assert_eq!(fs::read_dir(root.path().join("buckets/films")).unwrap().count(), 0);
}

#[test]
fn a_directory_that_cannot_be_used_says_why() {
    fn check(root: &Path, options: DirectoryOptions, expected: &str) {
        let error = Directory::open(root, options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("store");
    let store = open(&root);
    store.probe().unwrap();
    check(&root, options(), "in use by another process");
    drop(store);
    open(&root);
    fs::write(root.join("format"), "weir-store 9\n").unwrap();
    check(&root, options(), "weir-store 9");

    let foreign = place.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "").unwrap();
    check(&foreign, options(), "holds files but no store");
    check(&foreign.join("thesis.txt"), options(), "cannot make the directory");
    check(&place.path().join("x".repeat(800)), options(), "longer than 700 bytes");
    let bad = DirectoryOptions { buckets: vec!["..".into()], ..options() };
    check(&place.path().join("new"), bad, "is not a name this store accepts");
}
