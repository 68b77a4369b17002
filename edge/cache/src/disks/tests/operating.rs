//! What operators do to disks, and what is remembered of it.

use std::fs;

use super::*;

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
