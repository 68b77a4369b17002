//! A state file with any damage: no panic, the cache opens, and an object that it still knows is
//! the object that was put.

use std::{path::Path, sync::OnceLock};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::runtime::{Builder, Runtime};
use weir_edge_cache::{Cache, CacheConfig, Fields, ObjectId, StoredObject};

use crate::damage::{self, Sound};

const NOW_NANOS: u64 = 1_700_000_000_000_000_000;
const KEYS: [&str; 3] = ["film|host|/a", "film|host|/b", "site|host|/c"];

fn object(key: &str, generation: u64) -> StoredObject {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
    headers.insert("x-key", HeaderValue::try_from(key).expect("keys are visible ASCII"));
    StoredObject {
        id: ObjectId::of(key),
        key: key.into(),
        generation,
        service: "film".into(),
        status: StatusCode::OK,
        fields: Fields::encode(&headers),
        size: 5000,
        request_millis: 1000,
        response_millis: 1010,
        initial_age_millis: 10,
        lifetime_millis: 60_000,
        flags: 2,
        tags: Box::default(),
        epoch: 0,
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn config(directory: &Path) -> CacheConfig {
    let state = Some(directory.join("metadata.redb"));
    CacheConfig { memory_bytes: 32 << 20, state, metadata_objects_max: 1000 }
}

/// A sound state file.
fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let directory = damage::directory();
        runtime().block_on(async {
            let cache = Cache::open_at(&config(directory.path()), None, NOW_NANOS);
            let cache = cache.expect("an empty directory");
            for key in KEYS {
                cache.put_object(object(key, cache.next_generation()));
            }
            cache.flush().await;
            cache.close().await;
        });
        Sound::of(directory.path())
    })
}

pub(crate) fn run(input: &[u8]) {
    let directory = damage::directory();
    sound().lay(directory.path());
    damage::apply(directory.path(), input);
    runtime().block_on(async {
        let cache = Cache::open_at(&config(directory.path()), None, NOW_NANOS + 1);
        let cache = cache.unwrap_or_else(|why| panic!("a damaged file stops nobody: {why}"));
        cache.recovered().await;
        for key in KEYS {
            if let Some(found) = cache.object(&ObjectId::of(key), key) {
                let put = object(key, found.generation);
                assert_eq!(found.headers(), put.headers(), "{key}");
                assert_eq!((found.size, found.status), (put.size, put.status), "{key}");
                assert!(found.generation < cache.next_generation(), "{key}");
            }
        }
        cache.put_object(object(KEYS[0], cache.next_generation()));
        cache.close().await;
    });
}
