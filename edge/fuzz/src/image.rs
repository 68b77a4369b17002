//! A disk of the extent store with any damage: no panic, and nothing but the very bytes that
//! were written is ever served.

use std::{
    cell::Cell,
    path::Path,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use tokio::runtime::{Builder, Runtime};
use weir_edge_cache::{
    Admission, Chunk, ChunkKey, ChunkStore, ExtentConfig, ExtentStore, ObjectId, Verdict,
};

use crate::damage::{self, Place, Sound};

const MIB: u64 = 1 << 20;
/// Chunks that are there before the damage, from a few bytes to several grains.
const LENGTHS: [usize; 6] = [1, 4096, 65_536, 65_537, 300_000, 1 << 20];

fn key(index: usize) -> ChunkKey {
    let index = u32::try_from(index).expect("there are six");
    ChunkKey { object: ObjectId::of("film"), generation: 9, index }
}

fn data(index: usize) -> Bytes {
    static DATA: [OnceLock<Bytes>; LENGTHS.len()] = [const { OnceLock::new() }; LENGTHS.len()];
    let made = DATA[index].get_or_init(|| {
        let mut bytes = vec![0; LENGTHS[index]];
        SmallRng::seed_from_u64(index as u64).fill_bytes(&mut bytes);
        Bytes::from(bytes)
    });
    made.clone()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn config(path: &Path) -> ExtentConfig {
    ExtentConfig {
        path: path.to_owned(),
        size_bytes: 32 * MIB,
        buffer_bytes: 16 * MIB,
        node: "edge-1".to_owned(),
        new_disk: 7,
    }
}

/// A sound store on disk.
fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let directory = damage::directory();
        let store = ExtentStore::open(config(directory.path())).expect("an empty directory");
        runtime().block_on(async {
            for index in 0..LENGTHS.len() {
                let offered = store.offer(key(index), Chunk::seal(data(index)));
                assert_eq!(offered, Admission::Accepted);
            }
            store.close().await;
        });
        drop(store);
        Sound::of(directory.path())
    })
}

thread_local! {
    /// The disk of the input before.
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
}

pub(crate) fn run(input: &[u8]) {
    let place = Place::again(sound(), PLACE.take());
    damage::apply(place.path(), input);
    served(place.path());
    // Not reached where something was wrong: its threads may still be writing.
    PLACE.set(Some(place));
}

fn served(directory: &Path) {
    // What is no store of ours is refused, with a reason.
    let Ok(store) = ExtentStore::open(config(directory)) else { return };
    let store: Arc<dyn ChunkStore> = Arc::new(store);
    runtime().block_on(async {
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            cursor = store.list(at, 64).await.and_then(|page| page.next);
        }
        for (index, length) in LENGTHS.iter().enumerate() {
            let key = key(index);
            if let Some(part) = store.read_part(&key, 0..1).await {
                assert_eq!(part[..], data(index)[..1]);
            }
            if let Some(chunk) = store.read(&key).await {
                assert!(*chunk.data() == data(index), "wrong bytes of chunk {index}");
            }
            if let Verdict::Sound { bytes } = store.verify(&key).await {
                assert_eq!(bytes as usize, *length);
            }
        }
        // It goes on as a store.
        store.offer(key(0), Chunk::seal(data(0)));
        store.close().await;
    });
}
