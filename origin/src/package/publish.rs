//! Putting a version into the store so that nobody ever sees half of it.
//!
//! Media first, then manifests, then the list of checksums, and last the pointer: until that
//! is there, no one is told of the version. A run that fails or is interrupted takes back
//! what it put; what a killed run left is found by its checksum and not sent again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use weir_origin_media::{
    Keys,
    key::{self, IMMUTABLE, Pointer, SHORT_LIVED, content_type},
};
use weir_origin_store::{Conditions, ObjectBody, ObjectStore, PutOptions, StoreError};

use super::{cut::Piece, error::PackageError};

/// Objects under way at once: enough to hide a round trip, few enough for a thin line.
const AT_ONCE: usize = 4;
/// Tries for each object, where the store is to blame and may get well.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Bytes read from a file at a time.
const CHUNK: usize = 256 << 10;
/// Longest list of checksums that is read: 12 renditions of 100,000 segments.
const LONGEST_SUMS: u64 = 128 << 20;
/// The longest pointer that is read.
const LONGEST_POINTER: u64 = 64 << 10;
const SHA_FIELD: &str = "x-amz-meta-sha256";

/// Where versions go, and what this run has put there.
#[derive(Debug)]
pub(super) struct Publisher {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    target: String,
    keys: Keys,
    written: Mutex<Vec<String>>,
    pointing: AtomicBool,
    sent: AtomicU64,
}

/// A manifest or list, made here.
#[derive(Debug)]
pub(super) struct Document {
    /// Below the version's prefix.
    pub(super) path: String,
    /// Its bytes.
    pub(super) text: String,
}

enum Content<'a> {
    File(&'a Path),
    Text(&'a str),
}

impl Publisher {
    pub(super) fn new(store: Arc<dyn ObjectStore>, bucket: &str, target: &str, keys: Keys) -> Self {
        Self {
            store,
            bucket: bucket.into(),
            target: target.into(),
            keys,
            written: Mutex::default(),
            pointing: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        }
    }

    /// Whether the version is there with everything that belongs to it.
    pub(super) async fn complete(&self) -> Result<bool, PackageError> {
        let sums = self.keys.of(key::SUMS);
        let text = match self.read(&sums, LONGEST_SUMS).await {
            Ok(text) => text,
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(self.failed("read", &sums)(error)),
        };
        let there = self.listed().await?;
        let mut paths = text.lines().filter_map(|line| line.split_once("  "));
        Ok(paths.all(|(_, path)| there.contains_key(&self.keys.of(path))))
    }

    /// Finds out before an hour of encoding whether the store takes writes.
    pub(super) async fn check_writable(&self) -> Result<(), PackageError> {
        let key = format!("{}/.weir-write-check", self.keys.title);
        let body: ObjectBody = stream::empty().boxed();
        self.store
            .put(&self.bucket, &key, 0, body, PutOptions::default())
            .await
            .map_err(self.failed("write", &key))?;
        self.store.delete(&self.bucket, &key).await.map_err(self.failed("delete", &key))
    }

    /// Publishes. `told` hears how many bytes are through.
    pub(super) async fn publish(
        &self,
        root: &Path,
        pieces: &[Piece],
        manifests: &[Document],
        pointer: &Pointer,
        mut told: impl FnMut(u64),
    ) -> Result<(), PackageError> {
        let there = self.listed().await?;
        let mut puts = stream::iter(pieces.iter().map(|piece| self.piece(root, piece, &there)))
            .buffer_unordered(AT_ONCE);
        while puts.try_next().await?.is_some() {
            told(self.sent.load(Ordering::Relaxed));
        }
        for document in manifests {
            self.document(document).await?;
        }
        self.document(&sums(pieces, manifests)).await?;
        self.point(pointer).await
    }

    /// Moves the pointer of the title to this version.
    pub(super) async fn point(&self, pointer: &Pointer) -> Result<(), PackageError> {
        let key = self.keys.title.pointer_key();
        let mut text = serde_json::to_string_pretty(pointer).expect("plain fields are JSON");
        text.push('\n');
        self.pointing.store(true, Ordering::Relaxed);
        let options = PutOptions {
            content_type: Some(content_type(&key, false).into()),
            cache_control: Some(SHORT_LIVED.into()),
            ..PutOptions::default()
        };
        self.put(&key, &Content::Text(&text), text.len() as u64, &options).await?;
        self.taken_back();
        Ok(())
    }

    /// Removes what this run has put, unless the version came to be published after all.
    /// Says how many objects are left that belong to no published version.
    pub(super) async fn undo(&self) -> usize {
        let keys = self.taken_back();
        if keys.is_empty() {
            return 0;
        }
        match self.published_meanwhile(&keys).await {
            Ok(true) => return 0,
            Ok(false) => {}
            // Who cannot be asked cannot be told to delete either, and might be published.
            Err(_) => return keys.len(),
        }
        let mut left = 0;
        // The list of checksums goes first: with it a version counts as complete.
        for key in keys.iter().rev() {
            left += usize::from(self.store.delete(&self.bucket, key).await.is_err());
        }
        left
    }

    async fn published_meanwhile(&self, ours: &[String]) -> Result<bool, StoreError> {
        if self.pointing.load(Ordering::Relaxed) {
            // The store may have taken the pointer and failed to say so.
            match self.read(&self.keys.title.pointer_key(), LONGEST_POINTER).await {
                Ok(text) if text.contains(self.keys.version.as_str()) => return Ok(true),
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // Another run of the same film may have got to the end.
        let sums = self.keys.of(key::SUMS);
        match self.store.head(&self.bucket, &sums, Conditions::default()).await {
            Ok(_) => Ok(!ours.contains(&sums)),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn taken_back(&self) -> Vec<String> {
        std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn piece(
        &self,
        root: &Path,
        piece: &Piece,
        there: &BTreeMap<String, u64>,
    ) -> Result<(), PackageError> {
        let key = self.keys.of(&piece.path);
        let same = there.get(&key) == Some(&piece.size)
            && self.stored_sum(&key).await.as_deref() == Some(&hex(&piece.sha256));
        if !same {
            let options = immutable(&piece.path, piece.audio, &piece.sha256);
            let file = root.join(&piece.path);
            self.put(&key, &Content::File(&file), piece.size, &options).await?;
        }
        self.sent.fetch_add(piece.size, Ordering::Relaxed);
        Ok(())
    }

    async fn document(&self, document: &Document) -> Result<(), PackageError> {
        let options = immutable(&document.path, false, &Sha256::digest(&document.text).into());
        let content = Content::Text(&document.text);
        let size = document.text.len() as u64;
        self.put(&self.keys.of(&document.path), &content, size, &options).await
    }

    async fn stored_sum(&self, key: &str) -> Option<String> {
        let meta = self.store.head(&self.bucket, key, Conditions::default()).await.ok()?;
        meta.fields.into_iter().find(|(name, _)| name == SHA_FIELD).map(|(_, value)| value)
    }

    async fn put(
        &self,
        key: &str,
        content: &Content<'_>,
        size: u64,
        options: &PutOptions,
    ) -> Result<(), PackageError> {
        // Noted before it is tried: a put that fails may have come through.
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let body = match content {
                Content::File(file) => body(file).await?,
                Content::Text(text) => {
                    let bytes = Bytes::copy_from_slice(text.as_bytes());
                    stream::once(async { Ok(bytes) }).boxed()
                }
            };
            let outcome = self.store.put(&self.bucket, key, size, body, options.clone()).await;
            match outcome {
                Ok(_) => return Ok(()),
                Err(error) if attempt < TRIES && may_pass(&error) => {
                    tracing::warn!(key, %error, attempt, "the store failed; trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(self.failed("write", key)(error)),
            }
        }
        Ok(())
    }

    async fn listed(&self) -> Result<BTreeMap<String, u64>, PackageError> {
        let prefix = self.keys.prefix();
        let mut all = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .store
                .list(&self.bucket, &prefix, None, after.as_deref(), 1000)
                .await
                .map_err(self.failed("list", &prefix))?;
            all.extend(page.objects.into_iter().map(|meta| (meta.key, meta.size)));
            // A store that names the same place for ever must not keep us.
            match page.next {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    async fn read(&self, key: &str, longest: u64) -> Result<String, StoreError> {
        let object = self.store.get(&self.bucket, key, None, Conditions::default()).await?;
        if object.meta.size > longest {
            return Err(StoreError::TooMuch { what: "the object", limit: longest });
        }
        let bytes: Vec<Bytes> = object.body.try_collect().await?;
        Ok(String::from_utf8_lossy(&bytes.concat()).into_owned())
    }

    fn failed(&self, action: &'static str, key: &str) -> impl FnOnce(StoreError) -> PackageError {
        let (key, target) = (key.to_owned(), self.target.clone());
        move |source| PackageError::Store { action, key, target, source }
    }
}

/// The other objects of the version with their checksums, as `sha256sum --check` reads them.
fn sums(pieces: &[Piece], manifests: &[Document]) -> Document {
    let media = pieces.iter().map(|piece| (piece.path.clone(), hex(&piece.sha256)));
    let texts = manifests.iter().map(|d| {
        let digest: [u8; 32] = Sha256::digest(&d.text).into();
        (d.path.clone(), hex(&digest))
    });
    let lines: BTreeSet<_> = media.chain(texts).collect();
    let text = lines.into_iter().map(|(path, sum)| format!("{sum}  {path}\n")).collect();
    Document { path: key::SUMS.into(), text }
}

fn immutable(path: &str, audio: bool, sha256: &[u8; 32]) -> PutOptions {
    PutOptions {
        content_type: Some(content_type(path, audio).into()),
        cache_control: Some(IMMUTABLE.into()),
        fields: vec![(SHA_FIELD.into(), hex(sha256))],
        ..PutOptions::default()
    }
}

/// Whether the store itself is to blame and may be well again soon.
fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::Silent(_) | StoreError::Unreachable(_) | StoreError::Truncated { .. } => true,
        StoreError::Answered { status, .. } => *status >= 500 || *status == 429,
        _ => false,
    }
}

async fn body(file: &Path) -> Result<ObjectBody, PackageError> {
    let opened = tokio::fs::File::open(file).await.map_err(PackageError::io("read", file))?;
    let path: PathBuf = file.into();
    let chunks = stream::try_unfold(opened, move |mut opened| {
        let path = path.clone();
        async move {
            let mut chunk = vec![0; CHUNK];
            let length = opened.read(&mut chunk).await.map_err(|source| StoreError::Io {
                action: format!("read {}", path.display()),
                source,
            })?;
            chunk.truncate(length);
            Ok((length > 0).then(|| (Bytes::from(chunk), opened)))
        }
    });
    Ok(chunks.boxed())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
