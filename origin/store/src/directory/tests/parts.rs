//! Uploads in parts.

use super::*;
use crate::uploads::{MIN_PART_BYTES, Part};

async fn part(store: &Directory, id: &str, number: u32, bytes: &Bytes) -> Result<Part, StoreError> {
    let size = bytes.len() as u64;
    store.put_part("films", "k", id, number, size, body(bytes, 1 << 20)).await
}

async fn complete(
    store: &Directory,
    id: &str,
    parts: &[(u32, &str)],
) -> Result<ObjectMeta, StoreError> {
    let parts = parts.iter().map(|(number, tag)| (*number, ETag((*tag).to_owned()))).collect();
    store.complete_upload("films", "k", id, parts, PutOptions::default()).await
}

#[tokio::test]
async fn parts_become_one_object_across_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let options = PutOptions { content_type: Some("video/mp4".into()), ..PutOptions::default() };
    let id = store.begin_upload("films", "k", options).await.unwrap();
    let (first, second) = (content(1, (5 << 20) + 3), content(2, 10));
    let dropped = part(&store, &id, 7, &content(3, 50)).await.unwrap();
    let tail = part(&store, &id, 2, &second).await.unwrap();
    part(&store, &id, 1, &content(4, 10)).await.unwrap();
    drop(store);

    let store = open(root.path());
    let uploads = store.uploads("films").await.unwrap();
    assert_eq!((uploads.len(), &uploads[0].key[..], &uploads[0].id), (1, "k", &id));
    let head = part(&store, &id, 1, &first).await.unwrap();
    let all = store.parts("films", "k", &id, 0, 1000).await.unwrap();
    assert_eq!(all, [head.clone(), tail.clone(), dropped]);
    assert_eq!(store.parts("films", "k", &id, 1, 1).await.unwrap(), std::slice::from_ref(&tail));
    assert!(matches!(get(&store, "k").await, Err(StoreError::NotFound { .. })));

    let meta = complete(&store, &id, &[(1, &head.etag.0), (2, &tail.etag.0)]).await.unwrap();
    assert!(meta.etag.0.ends_with("-2") && meta.etag.0.len() == 34, "{:?}", meta.etag);
    assert_eq!(meta.content_type.as_deref(), Some("video/mp4"));
    assert_eq!(get(&store, "k").await.unwrap(), [&first[..], &second[..]].concat());
    assert!(store.uploads("films").await.unwrap().is_empty());
    let again = complete(&store, &id, &[(1, &head.etag.0)]).await;
    assert!(matches!(again, Err(StoreError::NoUpload(_))), "{again:?}");
    assert_eq!(temporaries(root.path()), 0);
}

/// The tag S3 gives two parts of known content: MD5 of both digests, and their number.
#[test]
fn the_tag_of_parts_is_that_of_s3() {
    let digest = |text: &str| {
        let hex: Vec<u8> =
            (0..16).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect();
        <[u8; 16]>::try_from(hex).unwrap()
    };
    let (hello, world) =
        (digest("5d41402abc4b2a76b9719d911017c592"), digest("7d793037a0760186574b0282f2f435e7"));
    assert_eq!(
        crate::directory::write::tag_of_parts(&[hello, world]),
        "065947336a2f2a95ba8899f3675c3be6-2"
    );
}

#[tokio::test]
async fn bad_completions_are_refused_and_change_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let id = store.begin_upload("films", "k", PutOptions::default()).await.unwrap();
    let one = part(&store, &id, 1, &content(1, 10)).await.unwrap().etag.0;
    let two = part(&store, &id, 2, &content(2, 10)).await.unwrap().etag.0;
    let check = async |parts: &[(u32, &str)], expected: &str| {
        let error = complete(&store, &id, parts).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&[], "names parts").await;
    check(&[(2, &two), (1, &one)], "named behind").await;
    check(&[(1, &one), (1, &one)], "named behind").await;
    check(&[(1, &two)], "entity tag").await;
    check(&[(1, &one), (3, &one)], "part 1 has 10 bytes").await;
    check(&[(3, &one)], "not uploaded").await;
    check(&[(0, &one)], "1 to 10000").await;
    check(&[(1, &one), (2, &two)], &format!("need {MIN_PART_BYTES}")).await;
    assert_eq!(store.parts("films", "k", &id, 0, 9).await.unwrap().len(), 2);
    complete(&store, &id, &[(2, &two)]).await.unwrap();
}

#[tokio::test]
async fn ids_reach_no_other_path() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let id = store.begin_upload("films", "k", PutOptions::default()).await.unwrap();
    let foreign = ["..", "../films", "", "x", "../../../../../tmp", &id[1..], &id.to_uppercase()];
    for id in foreign.into_iter().filter(|other| *other != id) {
        let outcome = part(&store, id, 1, &content(1, 1)).await;
        assert!(matches!(outcome, Err(StoreError::NoUpload(_))), "{id}: {outcome:?}");
    }
    let outcome = store.parts("films", "another key", &id, 0, 1).await;
    assert!(matches!(outcome, Err(StoreError::NoUpload(_))), "{outcome:?}");
    for number in [0, 10_001] {
        let outcome = part(&store, &id, number, &content(1, 1)).await;
        assert!(matches!(outcome, Err(StoreError::BadPart { .. })), "{outcome:?}");
    }
    store.abort_upload("films", "k", &id).await.unwrap();
    assert!(matches!(part(&store, &id, 1, &content(1, 1)).await, Err(StoreError::NoUpload(_))));
}

#[tokio::test]
async fn uploads_and_sizes_are_bounded() {
    let root = tempfile::tempdir().unwrap();
    let options = DirectoryOptions { max_uploads: 2, max_object: 100, ..options() };
    let store = Directory::open(root.path(), options).unwrap();
    let begin = async || store.begin_upload("films", "k", PutOptions::default()).await;
    begin().await.unwrap();
    let id = begin().await.unwrap();
    let outcome = begin().await;
    assert!(matches!(outcome, Err(StoreError::TooMuch { limit: 2, .. })), "{outcome:?}");
    store.abort_upload("films", "k", &id).await.unwrap();
    begin().await.unwrap();
    let outcome = put(&store, "k", &content(1, 101)).await;
    assert!(matches!(outcome, Err(StoreError::TooMuch { limit: 100, .. })), "{outcome:?}");
}
