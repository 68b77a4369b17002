//! A real SIGKILL right after a purge was acknowledged.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{MIB, NOW, object};
use tempfile::TempDir;
use weir_edge_cache::{Cache, CacheConfig, Mode, ObjectId, Selector};

const DIRECTORY: &str = "WEIR_TEST_PURGE_DIRECTORY";
const NAME: &str = "purge::an_acknowledged_purge_survives_a_kill";
const OBJECTS: u32 = 20;

fn cache(directory: &Path) -> Cache {
    let config = CacheConfig {
        memory_bytes: 16 * MIB,
        state: Some(directory.join("state.redb")),
        metadata_objects_max: 10_000,
    };
    Cache::open_at(&config, None, NOW).unwrap()
}

/// Fills, flushes, purges, says so, and goes on with the next round for ever. It does not
/// sweep: what was purged is in the state file still, and only the order speaks against it.
async fn child(directory: &Path) {
    let cache = cache(directory);
    for round in 0_u32.. {
        for number in 0..OBJECTS {
            let mut object =
                object(&format!("film|h|/{round}/{number}"), cache.next_generation(), 1);
            object.epoch = cache.begin().epoch();
            cache.put_object(object);
        }
        cache.flush().await;
        let selector = match round % 2 {
            0 => Selector::Prefix(format!("film|h|/{round}/1").into()),
            _ => Selector::Key(format!("film|h|/{round}/1").into()),
        };
        let epoch = cache.order(&[selector], Mode::Hard, 2_000).await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "purged {round} epoch {epoch}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_purge_survives_a_kill() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return child(Path::new(&directory)).await;
    }
    for rounds in [1, 2, 7] {
        let directory = TempDir::new().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let last = lines
            .map_while(Result::ok)
            .filter_map(|line| {
                let (round, epoch) = line.split_once("purged ")?.1.split_once(" epoch ")?;
                Some((round.parse::<u32>().unwrap(), epoch.parse::<u64>().unwrap()))
            })
            .take(rounds)
            .last();
        child.kill().unwrap();
        child.wait().unwrap();
        let (last, epoch) = last.expect("the child purged");

        let cache = cache(directory.path());
        assert!(cache.purge_epoch() >= epoch);
        let held = |round: u32, number: u32| {
            let key = format!("film|h|/{round}/{number}");
            cache.object(&ObjectId::of(&key), &key).is_some()
        };
        for round in 0..=last {
            for number in 0..OBJECTS {
                let by_prefix = number == 1 || number >= 10;
                let purged = if round % 2 == 0 { by_prefix } else { number == 1 };
                assert_eq!(held(round, number), !purged, "{number} of round {round}");
            }
        }
        // And goes on counting where it was.
        let next = cache.order(&[Selector::All], Mode::Hard, 3_000).await.unwrap();
        assert!(next > epoch && (0..OBJECTS).all(|number| !held(last, number)));
        cache.close().await;
    }
}
