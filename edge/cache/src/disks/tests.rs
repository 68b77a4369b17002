//! Nodes with several scripted disks, on a clock that only tests turn.

mod operating;
mod scripted;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use weir_config_lifecycle::ManualClock;

use self::scripted::{Device, Disk};
use super::*;
use crate::{
    chunk::{Chunk, ChunkKey, ObjectId},
    store::{Admission, Pinning, Verdict},
};

const CHUNKS: u32 = 400;

struct World {
    disks: Vec<Disk>,
    folder: tempfile::TempDir,
}

impl World {
    fn new(count: usize) -> Self {
        let disks = (0..count).map(|number| Disk::new(&format!("/srv/disk{number}")));
        Self { disks: disks.collect(), folder: tempfile::tempdir().unwrap() }
    }

    fn register(&self) -> PathBuf {
        self.folder.path().join("disks")
    }

    async fn open(&self) -> Disks {
        self.open_of(&self.disks).await
    }

    async fn open_of(&self, disks: &[Disk]) -> Disks {
        self.try_open(disks).await.unwrap()
    }

    async fn try_open(&self, disks: &[Disk]) -> Result<Disks, DisksError> {
        self.open_as("edge-1", disks).await
    }

    async fn open_as(&self, node: &str, disks: &[Disk]) -> Result<Disks, DisksError> {
        let drawn = AtomicU64::new(self.disks.len() as u64 * 1000);
        let config = DisksConfig {
            node: node.into(),
            register: Some(self.register()),
            rule: Rule::default(),
            clock: Arc::new(ManualClock::at(1_763_000_000_000)),
            draw: Box::new(move || drawn.fetch_add(1, Ordering::Relaxed)),
        };
        let drives = disks.iter().map(|disk| (Arc::new(disk.clone()) as Arc<dyn Drive>, 100));
        Disks::open(config, drives.collect(), Handle::current()).await
    }
}

fn key(number: u32) -> ChunkKey {
    ChunkKey {
        object: ObjectId::of(&format!("/vod/{}", number / 4)),
        generation: 7,
        index: number % 4,
    }
}

fn chunk(number: u32) -> Chunk {
    Chunk::seal(Bytes::from(number.to_le_bytes().to_vec()))
}

fn fill(disks: &Disks) {
    for number in 0..CHUNKS {
        assert_eq!(disks.offer(key(number), chunk(number)), Admission::Accepted);
    }
}

/// How many chunks are read, each as it was written.
async fn read_all(disks: &Disks) -> u32 {
    let mut found = 0;
    for number in 0..CHUNKS {
        if let Some(read) = disks.read(&key(number)).await {
            assert_eq!(read.data(), chunk(number).data());
            found += 1;
        }
    }
    found
}

fn states(disks: &Disks) -> Vec<&'static str> {
    let state = |view: DiskView| match view.state {
        DiskState::Opening => "opening",
        DiskState::Online => "online",
        DiskState::Full => "full",
        DiskState::Offline(offline) => offline.cause.as_str(),
    };
    disks.views().into_iter().map(state).collect()
}

/// Until the watch has done what it does in this time.
async fn pass(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn chunks_are_spread_and_found_again_after_a_restart() {
    let world = World::new(4);
    let disks = world.open().await;
    fill(&disks);
    assert_eq!(read_all(&disks).await, CHUNKS);
    for disk in &world.disks {
        assert!((50..150).contains(&disk.len()), "{}", disk.len());
    }
    let stats = disks.stats();
    assert_eq!((stats.chunks, stats.used_bytes), (Some(u64::from(CHUNKS)), Some(4 * 4096)));
    disks.close().await;
    // In another order, and one of them somewhere else.
    let mut turned = world.disks.clone();
    turned.reverse();
    let disks = world.open_of(&turned).await;
    assert_eq!(read_all(&disks).await, CHUNKS);
}

#[tokio::test(start_paused = true)]
async fn one_after_another_dies_and_the_node_goes_on() {
    let world = World::new(3);
    let disks = world.open().await;
    for dies in 0..3 {
        fill(&disks);
        assert_eq!(read_all(&disks).await, CHUNKS);
        world.disks[dies].set(Device::Fails(libc::EIO));
        let held = u32::try_from(world.disks[dies].len()).unwrap();
        let begun = Instant::now();
        let found = read_all(&disks).await;
        assert!((CHUNKS - held..CHUNKS).contains(&found), "{found}");
        while states(&disks)[dies] == "online" {
            pass(10).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(states(&disks)[dies], "errors");
        // Its chunks are misses at once and are filled again elsewhere.
        assert_eq!(read_all(&disks).await, if dies == 2 { 0 } else { found });
    }
    assert_eq!(disks.offer(key(0), chunk(0)), Admission::Unavailable);
    assert!(!disks.stats().online);
    pass(1000).await;
    // Stores of dead disks are let go.
    assert!(world.disks.iter().all(|disk| disk.at.lock().open == 0));
    disks.close().await;
    // Still so after a restart, whatever the disks are by then.
    world.disks[0].set(Device::Works);
    let disks = world.open().await;
    assert_eq!(states(&disks), ["errors"; 3]);
    assert_eq!(read_all(&disks).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_sector_is_a_miss_and_many_end_the_disk() {
    let world = World::new(2);
    let disks = world.open().await;
    fill(&disks);
    let all: Vec<_> = (0..CHUNKS).map(key).collect();
    let mine: Vec<_> =
        all.iter().filter(|key| world.disks[0].at.lock().chunks.contains_key(key)).collect();
    world.disks[0].set(Device::BadSectors);
    for (number, key) in mine.iter().enumerate().take(5) {
        assert_eq!(states(&disks)[0], "online", "{number}");
        // However often it is asked for, it fails once.
        for _ in 0..10 {
            assert!(disks.read(key).await.is_none());
            pass(50).await;
        }
    }
    pass(200).await;
    assert_eq!(states(&disks), ["errors", "online"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_deadline() {
    let check = async |device, expected: &str| {
        let world = World::new(1);
        let disks = Arc::new(world.open().await);
        fill(&disks);
        world.disks[0].set(device);
        let begun = Instant::now();
        let read = |number| {
            let disks = Arc::clone(&disks);
            tokio::spawn(async move { disks.read(&key(number)).await })
        };
        let readers: Vec<_> = (0..20).map(read).collect();
        for reader in readers {
            assert!(reader.await.unwrap().is_none());
        }
        assert!(begun.elapsed() <= Duration::from_millis(2100), "{:?}", begun.elapsed());
        pass(300).await;
        assert_eq!(states(&disks), [expected]);
        // And nobody waits at all from then on; not even the end does for long.
        let begun = Instant::now();
        assert_eq!(read_all(&disks).await, 0);
        disks.flush().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        disks.close().await;
    };
    check(Device::Hangs, "slow").await;
    // A disk that answers its probes: twenty slow reads are too many, though.
    check(Device::SlowReads, "slow").await;
}

#[tokio::test(start_paused = true)]
async fn one_slow_read_is_a_miss_and_takes_nothing() {
    let world = World::new(1);
    let disks = world.open().await;
    fill(&disks);
    world.disks[0].set(Device::SlowReads);
    assert!(disks.read(&key(0)).await.is_none());
    pass(1000).await;
    assert_eq!((states(&disks), disks.views()[0].overdue), (vec!["online"], 1));
    assert_eq!(disks.holds(&key(1)).await, None, "nobody knows while it does not answer");
    world.disks[0].set(Device::Works);
    assert_eq!(read_all(&disks).await, CHUNKS, "what was late is sound");
    assert_eq!(disks.holds(&key(1)).await, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_no_writes_goes_offline_at_once() {
    for (errno, expected) in [(libc::EROFS, "read_only"), (libc::ENODEV, "gone")] {
        let world = World::new(2);
        let disks = world.open().await;
        world.disks[1].set(Device::Fails(errno));
        fill(&disks);
        pass(150).await;
        assert_eq!(states(&disks), ["online", expected]);
    }
    // Also one that nobody asks anything: the probes find it.
    let world = World::new(1);
    let disks = world.open().await;
    world.disks[0].set(Device::Fails(libc::EIO));
    pass(10_500).await;
    assert_eq!(states(&disks), ["errors"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_queue_that_stands_still_ends_the_disk() {
    let world = World::new(1);
    let disks = world.open().await;
    world.disks[0].at.lock().busy = true;
    world.disks[0].set(Device::Hangs);
    for _ in 0..40 {
        if states(&disks) == ["slow"] {
            return;
        }
        disks.offer(key(0), chunk(0));
        pass(100).await;
    }
    panic!("{:?}", states(&disks));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_read_and_not_written() {
    let world = World::new(2);
    let disks = world.open().await;
    fill(&disks);
    world.disks[0].set(Device::Full);
    let new = |number| ChunkKey { generation: 8, ..key(number) };
    for number in 0..CHUNKS {
        disks.offer(new(number), chunk(number));
    }
    pass(200).await;
    assert_eq!(states(&disks), ["full", "online"]);
    assert_eq!(read_all(&disks).await, CHUNKS);
    // Everything goes to the other one meanwhile.
    let before = world.disks[1].len();
    for number in 0..CHUNKS {
        disks.offer(ChunkKey { generation: 9, ..key(number) }, chunk(number));
    }
    assert_eq!(world.disks[1].len(), before + CHUNKS as usize);
    world.disks[0].set(Device::Works);
    pass(11_000).await;
    assert_eq!(states(&disks), ["online"; 2]);
}

/// What was removed while a disk was away never comes back with it.
#[tokio::test(start_paused = true)]
async fn a_disk_that_comes_back_has_missed_nothing() {
    let world = World::new(2);
    let disks = world.open().await;
    fill(&disks);
    let kept = world.disks[0].len();
    disks.offline(0).await.unwrap();
    assert_eq!(states(&disks), ["operator", "online"]);
    assert_eq!(world.disks[0].at.lock().open, 0, "it can be taken out now");
    disks.remove(&key(1));
    disks.remove(&key(2));
    let already = disks.offline(0).await.unwrap_err();
    assert_eq!(already.to_string(), "disk /srv/disk0 is offline already");
    disks.online(0).await.unwrap();
    assert_eq!(states(&disks), ["online"; 2]);
    assert!(disks.read(&key(1)).await.is_none() && disks.read(&key(2)).await.is_none());
    assert!(world.disks[0].len() + 2 >= kept, "what nobody removed is there");
    assert!(disks.online(0).await.is_err());
    // Over a restart nobody knows what it missed.
    disks.offline(0).await.unwrap();
    disks.close().await;
    let disks = world.open().await;
    assert_eq!(
        (states(&disks), world.disks[0].len() + 2 >= kept),
        (vec!["operator", "online"], true)
    );
    disks.online(0).await.unwrap();
    assert_eq!((states(&disks), world.disks[0].len()), (vec!["online"; 2], 0));
    disks.close().await;
    // That was undone for good.
    assert_eq!(states(&world.open().await), ["online"; 2]);
}

/// A disk that is left out of the configuration for a while comes back empty, too.
#[tokio::test(start_paused = true)]
async fn a_disk_that_was_not_there_for_a_run_is_empty() {
    let world = World::new(2);
    let disks = world.open().await;
    fill(&disks);
    disks.close().await;
    world.open_of(&world.disks[..1]).await.close().await;
    assert!(world.disks[1].len() > 0);
    let disks = world.open().await;
    assert_eq!((states(&disks), world.disks[1].len()), (vec!["online"; 2], 0));
}

#[tokio::test(start_paused = true)]
async fn disks_that_cannot_be_used_at_the_start() {
    let world = World::new(5);
    world.disks[0].set(Device::Fails(libc::EIO));
    world.disks[1].set(Device::Hangs);
    world.disks[2].at.lock().refuses = Some("it is in use by another process".into());
    let other = Label { id: DiskId(5), node: "edge-2".into() };
    world.disks[3].at.lock().marker = claim::Marker::Found(other);
    let begun = Instant::now();
    let disks = world.open().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(states(&disks), ["unusable", "unusable", "unusable", "foreign", "online"]);
    fill(&disks);
    assert_eq!(read_all(&disks).await, CHUNKS);
    // What is put right is used without a word from anybody.
    world.disks[0].set(Device::Works);
    world.disks[1].set(Device::Works);
    world.disks[2].at.lock().refuses = None;
    pass(31_000).await;
    assert_eq!(states(&disks), ["online", "online", "online", "foreign", "online"]);
    // A foreign one takes an operator.
    disks.replace(3).await.unwrap();
    assert_eq!(states(&disks), ["online"; 5]);
}

#[tokio::test(start_paused = true)]
async fn nothing_mounted_is_not_an_empty_disk() {
    let world = World::new(1);
    world.open().await.close().await;
    world.disks[0].at.lock().mounted = false;
    world.disks[0].at.lock().marker = claim::Marker::Missing;
    let disks = world.open().await;
    assert_eq!(states(&disks), ["missing"]);
    let views = disks.views();
    assert!(views[0].id.is_some(), "it is known who is missing");
    world.disks[0].at.lock().mounted = true;
    pass(31_000).await;
    assert_eq!(states(&disks), ["online"]);
}

#[tokio::test(start_paused = true)]
async fn copies_of_a_disk_are_not_used() {
    let world = World::new(2);
    world.open_of(&world.disks[..1]).await.close().await;
    let marker = world.disks[0].at.lock().marker.clone();
    world.disks[1].at.lock().marker = marker;
    let disks = world.open().await;
    let mut states = states(&disks);
    states.sort_unstable();
    assert_eq!(states, ["foreign", "online"]);
}

#[tokio::test(start_paused = true)]
async fn disks_are_called_by_folder_name_and_identity() {
    let world = World::new(2);
    let disks = world.open().await;
    let id = disks.views()[1].id.unwrap().to_string();
    let check = |name: &str, expected: &[usize]| assert_eq!(disks.named(name), expected, "{name}");
    check("/srv/disk1", &[1]);
    check("disk0", &[0]);
    check(&id, &[1]);
    check(&id[..15], &[0, 1]);
    check("disk2", &[]);
    check("0", &[]);
}

#[tokio::test(start_paused = true)]
async fn wear_is_counted_over_restarts() {
    let world = World::new(1);
    let disks = world.open().await;
    fill(&disks);
    disks.close().await;
    let disks = world.open().await;
    assert_eq!(disks.views()[0].wear.total, u64::from(CHUNKS) * 4);
    fill(&disks);
    disks.close().await;
    let views = world.open().await.views();
    assert_eq!(views[0].wear.total, u64::from(CHUNKS) * 8);
    assert_eq!(views[0].wear.today(1_763_000_000_000), u64::from(CHUNKS) * 8);
}

#[tokio::test(start_paused = true)]
async fn lists_and_pins_go_over_all_disks() {
    let world = World::new(2);
    let disks = world.open().await;
    // The scripted store can do neither.
    assert_eq!(disks.list(0, 10).await, None);
    assert_eq!(disks.pin(&ObjectId(1), 1, 0..1), Pinning::Unsupported);
    assert!(!disks.unpin(&ObjectId(1), 1));
    fill(&disks);
    assert_eq!(disks.verify(&key(3)).await, Verdict::Sound { bytes: 4 });
    assert_eq!(disks.verify(&key(CHUNKS)).await, Verdict::Absent);
    assert_eq!(disks.read_part(&key(3), 0..2).await.as_deref(), Some(&[3, 0][..]));
}
