//! What operators do to disks, and what is remembered of it.

use std::fs;

use super::*;
use crate::{
    cache::{Cache, CacheConfig, Tier},
    object::StoredObject,
    purge::{Mode, Selector},
};

#[tokio::test(start_paused = true)]
async fn a_replaced_disk_keeps_its_place() {
    let world = World::new(3);
    let disks = world.open().await;
    fill(&disks);
    let before = world.disks[1].len();
    let written = before as u64 * 4;
    world.disks[1].set(Device::Fails(libc::EIO));
    read_all(&disks).await;
    pass(300).await;
    // A dead disk cannot be replaced by itself.
    let failed = disks.replace(1).await.unwrap_err();
    assert!(matches!(failed, OperateError::Fails { cause: Cause::Unusable, .. }), "{failed}");
    assert_eq!(disks.views()[1].wear.total, written, "what it is cannot be asked");
    world.disks[1].set(Device::Works);
    let view = disks.replace(1).await.unwrap();
    assert_eq!((view.state, world.disks[1].len()), (DiskState::Online, 0));
    assert_eq!(view.wear.total, written, "it is the same device, emptied");
    fill(&disks);
    assert_eq!(world.disks[1].len(), before);
    // A new one in its place has written nothing yet, and draws the same chunks.
    world.disks[1].at.lock().marker = claim::Marker::Missing;
    assert_eq!(disks.replace(1).await.unwrap().wear.total, 0);
    fill(&disks);
    assert_eq!(world.disks[1].len(), before);
}

/// What is open works on without its folder, so that no call fails.
#[tokio::test(start_paused = true)]
async fn a_deleted_folder_ends_its_disk_within_a_second() {
    let world = World::new(2);
    let disks = world.open().await;
    fill(&disks);
    for wait in [0, 1730, 5000] {
        pass(wait).await;
        world.disks[0].set(Device::Deleted);
        let begun = Instant::now();
        while states(&disks)[0] == "online" {
            pass(10).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(states(&disks), ["gone", "online"]);
        world.disks[0].set(Device::Works);
        disks.online(0).await.unwrap();
    }
    // A disk that works is not probed more often for that.
    let probes = world.disks[1].at.lock().probes;
    pass(20_000).await;
    assert!(world.disks[1].at.lock().probes <= probes + 3);
}

#[tokio::test(start_paused = true)]
async fn a_register_that_cannot_be_written_is_told() {
    let world = World::new(2);
    // A folder in its place takes no other name.
    fs::create_dir_all(world.register().join("something")).unwrap();
    let disks = world.open().await;
    disks.offline(0).await.unwrap();
    let why = disks.unkept().unwrap();
    assert!(why.contains("cannot be written") && why.contains("disks"), "{why}");
    fs::remove_dir_all(world.register()).unwrap();
    pass(31_000).await;
    assert_eq!(disks.unkept(), None, "it was tried again");
    disks.close().await;
    assert_eq!(states(&world.open().await), ["operator", "online"]);
    // One that cannot be locked is not written at all.
    let world = World::new(1);
    fs::create_dir_all(world.folder.path().join("disks.lock")).unwrap();
    let disks = world.open().await;
    assert!(disks.unkept().unwrap().contains("cannot be locked"));
}

/// It would find each disk in use, and say that they fail.
#[tokio::test(start_paused = true)]
async fn a_second_process_touches_no_disk() {
    let world = World::new(2);
    let disks = world.open().await;
    fill(&disks);
    let refused = world.try_open(&world.disks).await.unwrap_err().to_string();
    assert!(refused.contains("in use by another process; stop it"), "{refused}");
    assert!(world.disks.iter().all(|disk| disk.at.lock().open == 1));
    assert_eq!(read_all(&disks).await, CHUNKS);
    disks.close().await;
    assert_eq!(states(&world.open().await), ["online"; 2]);
}

fn object(name: &str, generation: u64) -> StoredObject {
    StoredObject {
        id: ObjectId::of(name),
        key: name.into(),
        generation,
        service: "film".into(),
        status: http::StatusCode::OK,
        fields: crate::Fields::encode(&http::HeaderMap::new()),
        size: 4,
        request_millis: 1000,
        response_millis: 1010,
        initial_age_millis: 10,
        lifetime_millis: 60_000,
        flags: 2,
        tags: Box::default(),
        epoch: 0,
    }
}

/// A purge reaches disks that are away: whatever comes back with them, nothing of what was
/// purged does, whether the node was restarted meanwhile or not.
#[tokio::test(start_paused = true)]
async fn what_was_purged_while_a_disk_was_away_never_comes_back() {
    for restart in [false, true] {
        let world = World::new(1);
        let folder = tempfile::tempdir().unwrap();
        let config = CacheConfig {
            memory_bytes: 1 << 20,
            state: Some(folder.path().join("state.redb")),
            metadata_objects_max: 1000,
        };
        let open = async || {
            let disks = Arc::new(world.open().await);
            let store: Arc<dyn ChunkStore> = disks.clone();
            (Cache::open_at(&config, Some(store), 1_763_000_000_000_000_000).unwrap(), disks)
        };
        let (mut cache, mut disks) = open().await;
        let mut keys = Vec::new();
        for name in ["purged", "kept"] {
            let object = cache.put_object(object(name, cache.next_generation()));
            keys.push(object.chunk_key(0));
            cache.insert_chunk(keys[keys.len() - 1], chunk(1));
        }
        cache.flush().await;
        disks.offline(0).await.unwrap();
        let purged = [Selector::Key("purged".into())];
        cache.order(&purged, Mode::Hard, 1_763_000_000_000).await.unwrap();
        assert!(cache.reclaim_now().await);
        if restart {
            cache.close().await;
            drop((cache, disks));
            (cache, disks) = open().await;
        }
        disks.online(0).await.unwrap();
        cache.recovered().await;
        assert_eq!(states(&disks), ["online"]);
        assert_eq!(cache.object(&ObjectId::of("purged"), "purged"), None);
        assert_eq!(cache.has_chunk(&keys[0]), None);
        assert!(!world.disks[0].at.lock().chunks.contains_key(&keys[0]), "restart: {restart}");
        // What nobody purged is still known, and is there where the disk missed nothing else.
        assert!(cache.object(&ObjectId::of("kept"), "kept").is_some());
        let there = disks.contains(&keys[1]).then_some(Tier::Disk);
        assert_eq!(there.is_none(), restart);
        // Nor does a new fill of the same URL find it.
        let anew = cache.put_object(object("purged", cache.next_generation()));
        assert_eq!(cache.has_chunk(&anew.chunk_key(0)), None);
        cache.close().await;
    }
}

/// A disk is told of some removals when it comes back; where there were more, it is empty.
#[tokio::test(start_paused = true)]
async fn a_disk_that_missed_too_much_comes_back_empty() {
    let world = World::new(1);
    let disks = world.open().await;
    fill(&disks);
    disks.offline(0).await.unwrap();
    for number in 0..member::MISSED_MAX as u32 + 1 {
        disks.remove(&ChunkKey { generation: 8, ..key(number) });
    }
    assert_eq!(world.disks[0].len(), CHUNKS as usize);
    disks.online(0).await.unwrap();
    assert_eq!((states(&disks), world.disks[0].len()), (vec!["online"], 0));
}

/// A wrong `node.name` for one start is no reason to lose everything.
#[tokio::test(start_paused = true)]
async fn another_name_touches_nothing() {
    let world = World::new(2);
    let disks = world.open().await;
    fill(&disks);
    disks.close().await;
    let refused = world.open_as("egde-1", &world.disks).await.unwrap_err();
    assert!(matches!(&refused, DisksError::Renamed { was, .. } if was == "edge-1"), "{refused}");
    let said = refused.to_string();
    let register = world.register().display().to_string();
    for word in ["/srv/disk0", "\"edge-1\"", "\"egde-1\"", "node.name", &register] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(world.disks.iter().map(Disk::len).sum::<usize>(), CHUNKS as usize);
    // One that does not answer hinders neither.
    world.disks[0].set(Device::Hangs);
    assert!(world.open_as("egde-1", &world.disks).await.is_err());
    world.disks[0].set(Device::Works);
    let disks = world.open().await;
    assert_eq!(read_all(&disks).await, CHUNKS);
    disks.close().await;
    // Whoever means it takes away what is known of them.
    fs::remove_file(world.register()).unwrap();
    let disks = world.open_as("edge-9", &world.disks).await.unwrap();
    assert_eq!(read_all(&disks).await, 0);
    disks.close().await;
}
