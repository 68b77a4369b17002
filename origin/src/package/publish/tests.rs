//! A store that fails at every possible moment, and what is to be seen of a version then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use futures::{FutureExt, future::BoxFuture};
use weir_origin_media::{TitleId, Version};
use weir_origin_store::{ETag, ListPage, Object, ObjectMeta, RangeSpec};

use super::*;

/// Objects in memory; from the n-th put on it is gone, or only the n-th fails.
#[derive(Debug, Default)]
struct Memory {
    objects: Mutex<BTreeMap<String, (Vec<u8>, PutOptions)>>,
    puts: Mutex<Vec<String>>,
    fail: Mutex<Fail>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Fail {
    #[default]
    Never,
    /// Everything from this put on.
    From(usize),
    /// This put alone, in a way that may pass.
    Once(usize),
    /// This put comes through, but its answer is lost, and so is the store then.
    Unheard(usize),
}

impl Memory {
    fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    fn set(&self, fail: Fail) {
        *self.fail.lock().unwrap() = fail;
        self.puts.lock().unwrap().clear();
    }

    /// Whether the store still answers anything but puts.
    fn gone(&self) -> bool {
        let tried = self.puts.lock().unwrap().len();
        matches!(*self.fail.lock().unwrap(), Fail::From(n) | Fail::Unheard(n) if tried > n)
    }

    fn meta(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        if self.gone() {
            return Err(StoreError::Unreachable("gone".into()));
        }
        let objects = self.objects.lock().unwrap();
        let (bytes, options) = objects
            .get(key)
            .ok_or_else(|| StoreError::NotFound { bucket: "films".into(), key: key.into() })?;
        Ok(ObjectMeta {
            key: key.into(),
            size: bytes.len() as u64,
            etag: ETag("x".into()),
            modified: SystemTime::UNIX_EPOCH,
            content_type: options.content_type.clone(),
            cache_control: options.cache_control.clone(),
            fields: options.fields.clone(),
        })
    }
}

impl ObjectStore for Memory {
    fn get<'a>(
        &'a self,
        _: &'a str,
        key: &'a str,
        _: Option<RangeSpec>,
        _: Conditions,
    ) -> BoxFuture<'a, Result<Object, StoreError>> {
        async move {
            let meta = self.meta(key)?;
            let bytes = Bytes::from(self.objects.lock().unwrap()[key].0.clone());
            let range = 0..meta.size;
            Ok(Object { meta, range, body: stream::once(async { Ok(bytes) }).boxed() })
        }
        .boxed()
    }

    fn head<'a>(
        &'a self,
        _: &'a str,
        key: &'a str,
        _: Conditions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        async move { self.meta(key) }.boxed()
    }

    fn put<'a>(
        &'a self,
        _: &'a str,
        key: &'a str,
        size: u64,
        body: ObjectBody,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        async move {
            let number = {
                let mut puts = self.puts.lock().unwrap();
                puts.push(key.into());
                puts.len() - 1
            };
            let fail = *self.fail.lock().unwrap();
            let lost = || Err(StoreError::Unreachable("gone".into()));
            match fail {
                Fail::From(n) if number >= n => return lost(),
                Fail::Unheard(n) if number > n => return lost(),
                Fail::Once(n) if number == n => return lost(),
                _ => {}
            }
            let bytes: Vec<Bytes> = body.try_collect().await?;
            let bytes = bytes.concat();
            assert_eq!(bytes.len() as u64, size, "{key}");
            self.objects.lock().unwrap().insert(key.into(), (bytes, options));
            if fail == Fail::Unheard(number) { lost() } else { self.meta(key) }
        }
        .boxed()
    }

    fn delete<'a>(&'a self, _: &'a str, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            if self.gone() {
                return Err(StoreError::Unreachable("gone".into()));
            }
            self.objects.lock().unwrap().remove(key);
            Ok(())
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        _: &'a str,
        prefix: &'a str,
        _: Option<&'a str>,
        start_after: Option<&'a str>,
        _: usize,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        async move {
            // Two a page, so that pages are walked.
            let mut keys: Vec<String> = self
                .keys()
                .into_iter()
                .filter(|key| key.starts_with(prefix))
                .filter(|key| start_after.is_none_or(|after| key.as_str() > after))
                .collect();
            let more = keys.len() > 2;
            keys.truncate(2);
            let next = if more { keys.last().cloned() } else { None };
            let objects = keys.iter().map(|key| self.meta(key)).collect::<Result<_, _>>()?;
            Ok(ListPage { objects, next, ..ListPage::default() })
        }
        .boxed()
    }
}

struct Film {
    dir: tempfile::TempDir,
    pieces: Vec<Piece>,
    manifests: Vec<Document>,
    pointer: Pointer,
    keys: Keys,
}

/// Objects of the film: five pieces, two manifests, the list and the pointer.
const ALL: usize = 9;

fn film() -> Film {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("v720")).unwrap();
    let pieces = (0..5).map(|n| {
        let path = format!("v720/seg-{n}.m4s");
        let bytes = vec![n; 1000 + usize::from(n)];
        std::fs::write(dir.path().join(&path), &bytes).unwrap();
        let sha256 = Sha256::digest(&bytes).into();
        Piece { path, size: bytes.len() as u64, sha256, audio: false }
    });
    let pieces = pieces.collect();
    let manifests = ["v720/index.m3u8", "master.m3u8"]
        .map(|path| Document { path: path.into(), text: format!("#{path}\n") })
        .into();
    let keys =
        Keys { title: TitleId::parse("film").unwrap(), version: Version::from_digest(&[7; 32]) };
    let pointer = Pointer::to(&keys, 4_000_000);
    Film { dir, pieces, manifests, pointer, keys }
}

fn publisher(store: &Arc<Memory>, film: &Film) -> Publisher {
    let store: Arc<dyn ObjectStore> = Arc::<Memory>::clone(store);
    Publisher::new(store, "films", "memory", film.keys.clone())
}

async fn publish(publisher: &Publisher, film: &Film) -> Result<(), PackageError> {
    publisher.publish(film.dir.path(), &film.pieces, &film.manifests, &film.pointer, |_| {}).await
}

const POINTER: &str = "film/current.json";

#[tokio::test(start_paused = true)]
async fn media_goes_first_and_the_pointer_last() {
    let (store, film) = (Arc::new(Memory::default()), film());
    publish(&publisher(&store, &film), &film).await.unwrap();
    let puts = store.puts.lock().unwrap().clone();
    let place = |part: &str| puts.iter().position(|key| key.ends_with(part)).unwrap();
    assert_eq!(puts.len(), ALL);
    assert!((0..5).all(|n| place(&format!("seg-{n}.m4s")) < 5));
    assert_eq!((place("index.m3u8"), place("master.m3u8")), (5, 6));
    assert_eq!((place("SHA256SUMS"), place(POINTER)), (7, 8));
    assert!(publisher(&store, &film).complete().await.unwrap());
    let objects = store.objects.lock().unwrap();
    for (key, (bytes, options)) in objects.iter() {
        let cache = options.cache_control.as_deref().unwrap();
        if key == POINTER {
            assert_eq!(cache, SHORT_LIVED);
            continue;
        }
        assert_eq!(cache, IMMUTABLE, "{key}");
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        assert_eq!(options.fields, [(SHA_FIELD.to_owned(), hex(&digest))], "{key}");
    }
    let sums = &objects[&film.keys.of(key::SUMS)].0;
    assert_eq!(String::from_utf8_lossy(sums).lines().count(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_leaves_nothing_published() {
    for n in 0..ALL {
        let (store, film) = (Arc::new(Memory::default()), film());
        store.set(Fail::From(n));
        let first = publisher(&store, &film);
        let error = publish(&first, &film).await.unwrap_err();
        assert!(matches!(error, PackageError::Store { .. }), "{error}");
        assert!(!store.keys().contains(&POINTER.to_owned()), "put {n}");
        // Gone for the clean-up too: what was put stays, and the next run uses it.
        assert!(first.undo().await > 0, "put {n}");
        let kept = store.keys().len();
        store.set(Fail::Never);
        let second = publisher(&store, &film);
        assert!(!second.complete().await.unwrap() || n == ALL - 1, "put {n}");
        publish(&second, &film).await.unwrap();
        assert_eq!(store.keys().len(), ALL, "put {n}");
        let again = store.puts.lock().unwrap().iter().filter(|key| key.ends_with(".m4s")).count();
        assert_eq!(again, 5 - kept.min(5), "put {n}: segments were sent twice");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_put_is_taken_back() {
    for n in 0..ALL {
        let (store, film) = (Arc::new(Memory::default()), film());
        // Kept from an earlier run that was killed: not ours to remove.
        let theirs = film.keys.of("v720/seg-0.m4s");
        let piece = immutable("v720/seg-0.m4s", false, &film.pieces[0].sha256);
        store.objects.lock().unwrap().insert(theirs.clone(), (vec![0; 1000], piece));
        store.set(Fail::From(n));
        let first = publisher(&store, &film);
        let outcome = publish(&first, &film).await;
        store.set(Fail::Never);
        if outcome.is_ok() {
            // One put fewer, since that object was there.
            assert_eq!(n, ALL - 1);
            assert_eq!(store.keys().len(), ALL);
            continue;
        }
        assert_eq!(first.undo().await, 0);
        assert_eq!(store.keys(), [theirs], "put {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pointer_that_came_through_unheard_keeps_its_version() {
    let (store, film) = (Arc::new(Memory::default()), film());
    store.set(Fail::Unheard(ALL - 1));
    let first = publisher(&store, &film);
    publish(&first, &film).await.unwrap_err();
    store.set(Fail::Never);
    assert_eq!(first.undo().await, 0);
    assert_eq!(store.keys().len(), ALL);
    assert!(publisher(&store, &film).complete().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stumbles_is_asked_again() {
    for n in 0..ALL {
        let (store, film) = (Arc::new(Memory::default()), film());
        store.set(Fail::Once(n));
        publish(&publisher(&store, &film), &film).await.unwrap();
        assert_eq!(store.keys().len(), ALL, "put {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_run_that_got_to_the_end_is_not_undone() {
    let (store, film) = (Arc::new(Memory::default()), film());
    store.set(Fail::From(3));
    let slow = publisher(&store, &film);
    publish(&slow, &film).await.unwrap_err();
    store.set(Fail::Never);
    publish(&publisher(&store, &film), &film).await.unwrap();
    assert_eq!(slow.undo().await, 0);
    assert_eq!(store.keys().len(), ALL);
}

#[tokio::test(start_paused = true)]
async fn a_version_with_a_hole_is_not_complete() {
    let (store, film) = (Arc::new(Memory::default()), film());
    publish(&publisher(&store, &film), &film).await.unwrap();
    store.objects.lock().unwrap().remove(&film.keys.of("v720/seg-3.m4s"));
    assert!(!publisher(&store, &film).complete().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn writing_is_tried_before_encoding() {
    let (store, film) = (Arc::new(Memory::default()), film());
    publisher(&store, &film).check_writable().await.unwrap();
    assert_eq!(store.keys(), Vec::<String>::new());
    store.set(Fail::From(0));
    let error = publisher(&store, &film).check_writable().await.unwrap_err();
    assert!(error.chain().contains("cannot write film/.weir-write-check in memory"));
}
