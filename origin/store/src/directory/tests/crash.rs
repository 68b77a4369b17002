//! The process dies before every single step that changes the disk, and in the middle of every
//! write; then the directory is opened again. Nothing that runs after the death changes
//! anything: neither do the destructors.

use std::io;

use parking_lot::Mutex;

use super::*;
use crate::directory::disk::{Step, Verdict};

/// Lets so many steps happen and then nothing more.
#[derive(Debug)]
struct Death {
    left: Mutex<usize>,
    /// Whether half of the write at which it dies arrives.
    torn: Mutex<bool>,
    seen: Mutex<Vec<Step>>,
}

impl Faults for Death {
    fn before(&self, step: Step) -> Verdict {
        let mut left = self.left.lock();
        if let Some(rest) = left.checked_sub(1) {
            *left = rest;
            self.seen.lock().push(step);
            return Verdict::Go;
        }
        let dead = io::Error::other("the process is dead");
        match step {
            // Whatever step it dies at, it makes no other.
            Step::Write { bytes } if std::mem::take(&mut *self.torn.lock()) => {
                Verdict::Torn(bytes / 2, dead)
            }
            _ => {
                *self.torn.lock() = false;
                Verdict::Fail(dead)
            }
        }
    }
}

fn death(steps: usize, torn: bool) -> Arc<Death> {
    Arc::new(Death { left: Mutex::new(steps), torn: Mutex::new(torn), seen: Mutex::default() })
}

fn reopened(root: &Path) -> Directory {
    let store = open(root);
    assert_eq!(temporaries(root), 0, "temporary files outlive a start");
    store
}

async fn keys(store: &Directory) -> Vec<String> {
    let page = store.list("films", "", None, None, 1000).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

/// Runs `work` with a death at every step in turn, until it lives to its end. `check` sees the
/// reopened store and whether the work was acknowledged.
async fn die_everywhere(
    prepare: impl AsyncFn(&Directory) -> String,
    work: impl AsyncFn(&Directory, &str) -> bool,
    check: impl AsyncFn(&Directory, &str, bool),
) {
    for torn in [false, true] {
        let mut steps = 0;
        loop {
            let root = tempfile::tempdir().unwrap();
            let store = open(root.path());
            let prepared = prepare(&store).await;
            drop(store);
            let death = death(steps, torn);
            let store =
                Directory::open_with(root.path(), options(), Some(Arc::clone(&death) as Arc<_>))
                    .unwrap();
            let acknowledged = work(&store, &prepared).await;
            drop(store);
            let store = reopened(root.path());
            check(&store, &prepared, acknowledged).await;
            if acknowledged {
                assert!(steps > 3, "died at {steps} steps only: {:?}", death.seen);
                break;
            }
            steps += 1;
            assert!(steps < 200);
        }
    }
}

#[tokio::test]
async fn a_replaced_object_is_old_or_new() {
    let (old, new) = (content(1, 2 * GRAIN + 7), content(2, GRAIN + 9));
    die_everywhere(
        async |store| {
            put(store, "a/b", &old).await.unwrap();
            String::new()
        },
        async |store, _| put(store, "a/b", &new).await.is_ok(),
        async |store, _, acknowledged| {
            let found = get(store, "a/b").await.unwrap();
            assert!(found == new || found == old && !acknowledged);
            assert_eq!(keys(store).await, ["a/b"]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_new_object_is_there_or_not() {
    let new = content(2, GRAIN + 9);
    die_everywhere(
        async |_| String::new(),
        async |store, _| put(store, "deep/er/key", &new).await.is_ok(),
        async |store, _, acknowledged| {
            match get(store, "deep/er/key").await {
                Ok(found) => {
                    assert_eq!(found, new);
                    assert_eq!(keys(store).await, ["deep/er/key"]);
                }
                Err(StoreError::NotFound { .. }) if !acknowledged => {
                    assert_eq!(keys(store).await, [""; 0]);
                }
                Err(error) => panic!("{error}"),
            }
            // Whatever was left behind, the key can be written.
            put(store, "deep/er/key", &new).await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_deleted_object_is_gone_or_whole() {
    let old = content(1, 100);
    die_everywhere(
        async |store| {
            put(store, "a/b/c", &old).await.unwrap();
            String::new()
        },
        async |store, _| store.delete("films", "a/b/c").await.is_ok(),
        async |store, _, acknowledged| match get(store, "a/b/c").await {
            Ok(found) => assert!(found == old && !acknowledged),
            Err(StoreError::NotFound { .. }) => assert_eq!(keys(store).await, [""; 0]),
            Err(error) => panic!("{error}"),
        },
    )
    .await;
}

#[tokio::test]
async fn a_completed_upload_is_an_object_or_still_an_upload() {
    let (first, second) = (content(1, 5 << 20), content(2, 100));
    let whole: Bytes = [&first[..], &second[..]].concat().into();
    let complete = async |store: &Directory, id: &str| {
        let parts = store.parts("films", "k", id, 0, 1000).await?;
        let parts = parts.into_iter().map(|part| (part.number, part.etag)).collect();
        store.complete_upload("films", "k", id, parts, PutOptions::default()).await
    };
    die_everywhere(
        async |store| {
            let id = store.begin_upload("films", "k", PutOptions::default()).await.unwrap();
            for (number, bytes) in [(1, &first), (2, &second)] {
                let size = bytes.len() as u64;
                store
                    .put_part("films", "k", &id, number, size, body(bytes, 1 << 20))
                    .await
                    .unwrap();
            }
            id
        },
        async |store, id| {
            complete(store, id).await.is_ok() && store.uploads("films").await.unwrap().is_empty()
        },
        async |store, id, acknowledged| match get(store, "k").await {
            Ok(found) => assert_eq!(found, whole),
            Err(StoreError::NotFound { .. }) if !acknowledged => {
                complete(store, id).await.unwrap();
                assert_eq!(get(store, "k").await.unwrap(), whole);
            }
            Err(error) => panic!("{error}"),
        },
    )
    .await;
}

#[tokio::test]
async fn an_upload_begins_or_leaves_nothing() {
    die_everywhere(
        async |_| String::new(),
        async |store, _| store.begin_upload("films", "k", PutOptions::default()).await.is_ok(),
        async |store, _, acknowledged| {
            let open = store.uploads("films").await.unwrap();
            assert!(open.len() == 1 || open.is_empty() && !acknowledged);
            for upload in open {
                store.abort_upload("films", &upload.key, &upload.id).await.unwrap();
            }
        },
    )
    .await;
}

#[tokio::test]
async fn an_aborted_upload_is_open_or_gone() {
    let part = content(1, 100);
    die_everywhere(
        async |store| {
            let id = store.begin_upload("films", "k", PutOptions::default()).await.unwrap();
            store.put_part("films", "k", &id, 1, 100, body(&part, 100)).await.unwrap();
            id
        },
        async |store, id| store.abort_upload("films", "k", id).await.is_ok(),
        async |store, id, acknowledged| match store.parts("films", "k", id, 0, 10).await {
            Ok(parts) => assert!(parts.len() == 1 && !acknowledged),
            Err(StoreError::NoUpload(_)) => {
                assert!(store.uploads("films").await.unwrap().is_empty());
            }
            Err(error) => panic!("{error}"),
        },
    )
    .await;
}

#[tokio::test]
async fn durable_stores_sync_before_and_after_the_rename() {
    let root = tempfile::tempdir().unwrap();
    let never = death(usize::MAX, false);
    let durable = DirectoryOptions { durable: true, ..options() };
    let store =
        Directory::open_with(root.path(), durable, Some(Arc::clone(&never) as Arc<_>)).unwrap();
    put(&store, "a/b", &content(1, 10)).await.unwrap();
    let steps: Vec<Step> = never
        .seen
        .lock()
        .iter()
        .copied()
        .filter(|step| !matches!(step, Step::Write { .. }))
        .collect();
    use Step::*;
    assert_eq!(
        steps,
        [CreateFile, SyncFile, MakeFolder, SyncFolder, Rename, SyncFolder],
        "the file, then the new folder, then the name"
    );
}
