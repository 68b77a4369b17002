//! Folders as disks: what is made of them, and what is never touched.

use std::collections::HashMap;

use super::*;
use crate::{
    chunk::{Chunk, ChunkKey},
    disks::claim::{Inspection, Marker},
    store::{Admission, StoreStats},
};

/// A store that keeps nothing; the folder is what is tested.
#[derive(Debug)]
struct Nothing;

impl ChunkStore for Nothing {
    fn read<'a>(&'a self, _: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        async { None }.boxed()
    }
    fn offer(&self, _: ChunkKey, _: Chunk) -> Admission {
        Admission::Unavailable
    }
    fn remove(&self, _: &ChunkKey) {}
    fn contains(&self, _: &ChunkKey) -> bool {
        false
    }
    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
    fn flush(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn disk(&self) -> PathBuf {
        self.root.path().join("srv/disk0")
    }

    fn folder(&self) -> Folder {
        let opener: Arc<StoreOpener> = Arc::new(|path: PathBuf| {
            async move {
                fs::create_dir_all(&path).map_err(|error| error.to_string())?;
                Ok(Arc::new(Nothing) as Arc<dyn ChunkStore>)
            }
            .boxed()
        });
        Folder::new(self.disk(), self.root.path().into(), opener, Handle::current())
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.disk().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Names below the disk's folder, with what is in them.
    fn files(&self) -> HashMap<String, Vec<u8>> {
        let mut found = HashMap::new();
        let mut folders = vec![self.disk()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.disk()).unwrap().display().to_string();
                    found.insert(name, fs::read(path).unwrap());
                }
            }
        }
        found
    }
}

fn label(id: u64) -> Label {
    Label { id: DiskId(id), node: "edge-1".into() }
}

const EMPTY: Inspection =
    Inspection { marker: Marker::Missing, mounted: false, old_store: false, foreign: None };

#[tokio::test]
async fn a_folder_is_made_ours_and_found_again() {
    let place = Place::new();
    let folder = place.folder();
    // Looking makes nothing.
    assert_eq!(folder.inspect().await.unwrap(), EMPTY);
    assert!(!place.disk().exists());
    folder.take(label(7), true).await.unwrap();
    folder.open().await.unwrap();
    place.put("chunks/0", &"x".repeat(10_000));
    let ours = Inspection { marker: Marker::Found(label(7)), ..EMPTY };
    assert_eq!(folder.inspect().await.unwrap(), ours);
    let space = folder.probe(DiskId(7)).await.unwrap();
    assert!(space.free_bytes > 0 && space.total_bytes > space.free_bytes);
    assert!(space.held_bytes >= 10_000, "{space:?}");
    // Another process would be in the way; so is another handle on it.
    let second = place.folder();
    let refused = second.take(label(7), false).await.unwrap_err();
    assert_eq!(refused.to_string(), "another process uses it");
    folder.release();
    second.take(label(7), false).await.unwrap();
    assert!(place.files().contains_key("chunks/0"));
    second.take(label(7), true).await.unwrap();
    assert!(!place.files().contains_key("chunks/0"));
    fs::create_dir_all(place.disk().join(STORE)).unwrap();
    second.there().await.unwrap();
    fs::remove_dir_all(place.disk()).unwrap();
    assert_eq!(second.there().await.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(second.probe(DiskId(7)).await.unwrap_err().kind(), io::ErrorKind::NotFound);
}

/// A reader of the store before may have its file open for a while: the room is free at once.
#[tokio::test]
async fn an_emptied_disk_has_its_room_back() {
    let place = Place::new();
    let folder = place.folder();
    folder.take(label(7), true).await.unwrap();
    folder.open().await.unwrap();
    place.put("chunks/data", &"x".repeat(1 << 20));
    let open = File::open(place.disk().join("chunks/data")).unwrap();
    assert!(open.metadata().unwrap().blocks() > 0);
    folder.take(label(7), true).await.unwrap();
    assert_eq!((open.metadata().unwrap().blocks(), open.metadata().unwrap().len()), (0, 0));
    assert!(!place.disk().join(STORE).exists());
}

#[tokio::test]
async fn what_is_not_ours_is_named() {
    let check = async |name: &str, expected: Inspection| {
        let place = Place::new();
        place.put(name, "?");
        let before = place.files();
        assert_eq!(place.folder().inspect().await.unwrap(), expected, "{name}");
        assert_eq!(place.files(), before);
    };
    check("photo.jpg", Inspection { foreign: Some("photo.jpg".into()), ..EMPTY }).await;
    let other = "foyer-storage-direct-fs-00000000";
    check(other, Inspection { foreign: Some(other.into()), ..EMPTY }).await;
    check("lost+found/x", EMPTY).await;
    check("weir-store", Inspection { old_store: true, ..EMPTY }).await;
    check("weir-disk", Inspection { marker: Marker::Damaged, ..EMPTY }).await;
    // A file where the folder should be.
    let place = Place::new();
    fs::create_dir_all(place.disk().parent().unwrap()).unwrap();
    fs::write(place.disk(), "?").unwrap();
    assert!(place.folder().inspect().await.is_err());
}

#[tokio::test]
async fn any_flipped_bit_of_a_marker_is_noticed() {
    let text = render(&label(0x1234));
    assert_eq!(parse(&text), Some(label(0x1234)));
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone().into_bytes();
            flipped[at] ^= 1 << bit;
            let found = String::from_utf8(flipped).ok().and_then(|text| parse(&text));
            assert_eq!(found, None, "byte {at}, bit {bit}");
        }
    }
}

/// A store of the time before markers is moved, not lost and not read at the wrong place.
#[tokio::test]
async fn an_old_store_moves_below_the_marker() {
    let place = Place::new();
    for name in ["weir-store", "weir-store.lock", "foyer-storage-direct-fs-00000000"] {
        place.put(name, name);
    }
    let folder = place.folder();
    assert!(folder.inspect().await.unwrap().old_store);
    // Not while somebody uses it.
    let user = locked(&place.disk().join("weir-store.lock")).unwrap();
    assert!(folder.take(label(1), false).await.is_err());
    drop(user);
    folder.take(label(1), false).await.unwrap();
    let files = place.files();
    for name in ["weir-store", "foyer-storage-direct-fs-00000000"] {
        assert_eq!(files[&format!("chunks/{name}")], name.as_bytes());
        assert!(!files.contains_key(name));
    }
    let found = folder.inspect().await.unwrap();
    assert_eq!(found, Inspection { marker: Marker::Found(label(1)), ..EMPTY });
}

/// Rot in the probe is put right; a device that gives back something else is not believed.
#[tokio::test]
async fn a_rotten_probe_is_written_again() {
    let place = Place::new();
    let folder = place.folder();
    folder.take(label(1), true).await.unwrap();
    fs::create_dir_all(place.disk().join(STORE)).unwrap();
    place.put(PROBE, &"\0".repeat(2 * PAGE));
    folder.probe(DiskId(1)).await.unwrap();
    assert!(place.files()[PROBE].starts_with(b"weir probe of disk 0000000000000001\n"));
    // Cut short it cannot be read, as on a device that lost its end.
    place.put(PROBE, "");
    assert!(folder.probe(DiskId(1)).await.is_err());
}

/// A store commits its manifest by renaming it, while its disk is asked how much it holds.
#[test]
fn a_file_that_is_renamed_is_not_missing() {
    let folder = tempfile::tempdir().unwrap();
    let there = |name: &str| folder.path().join(name);
    std::thread::scope(|scope| {
        let renaming = scope.spawn(|| {
            for _ in 0..1_000 {
                fs::write(there("manifest.new"), b"m").unwrap();
                fs::rename(there("manifest.new"), there("manifest")).unwrap();
            }
        });
        while !renaming.is_finished() {
            held(folder.path()).unwrap();
        }
    });
    assert!(held(folder.path()).unwrap() > 0);
}
