//! A real SIGKILL: the test starts itself as a child that fills a store, and kills it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{holds, open, put};
use crate::support::{MIB, key};
use tempfile::TempDir;

const DIRECTORY: &str = "WEIR_TEST_CRASH_DIRECTORY";
/// Four times the pause between two chunks and more: how long the child has written before
/// it is killed for the first time.
const RUNS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(1200), Duration::from_millis(1700)];
const SIZE: u64 = 512 * MIB;

fn length(index: u32) -> usize {
    [1 << 20, 3000, 90_000, 500, 400_000, 17_000, 1, 66_000][index as usize % 8]
}

/// What is removed again right after it came.
fn removed(index: u32) -> bool {
    index % 11 == 3
}

/// Fills for ever, and says of each chunk when it was accepted. Never flushes.
async fn child(directory: &Path) {
    let from: u32 = std::env::var("WEIR_TEST_CRASH_FROM").unwrap().parse().unwrap();
    let store = open(directory, SIZE);
    let begun = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    for index in from.. {
        put(&store, key(index), length(index)).await;
        if removed(index) {
            store.remove(&key(index));
        }
        let mut out = std::io::stdout();
        writeln!(out, "accepted {index} at {}", begun.elapsed().as_millis()).unwrap();
        out.flush().unwrap();
        pace.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_nothing_that_was_accepted_a_second_ago() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return child(Path::new(&directory)).await;
    }
    let directory = TempDir::new().unwrap();
    let name = "conformance::crash::a_kill_costs_nothing_that_was_accepted_a_second_ago";
    let mut from = 0;
    let mut safe = Vec::new();
    for run in RUNS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env("WEIR_TEST_CRASH_FROM", from.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut accepted = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let Some((_, rest)) = line.split_once("accepted ") else { continue };
            let (index, at) = rest.split_once(" at ").unwrap();
            let at = Duration::from_millis(at.parse().unwrap());
            accepted.push((index.parse::<u32>().unwrap(), at));
            if at >= run {
                break;
            }
        }
        // Not asked to end: killed while it writes on.
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, last) = *accepted.last().expect("the child filled the store");
        let old = |at: Duration| last.saturating_sub(at) > Duration::from_secs(1);
        safe.extend(accepted.iter().filter(|(_, at)| old(*at)).map(|(index, _)| *index));

        let store = open(directory.path(), SIZE);
        for index in &safe {
            let there = holds(&store, key(*index)).await;
            assert_eq!(there, !removed(*index), "{index} after {} chunks", accepted.len());
        }
        // What came later is there or not, but never wrong.
        from = accepted.last().map_or(0, |(index, _)| index + 1);
        for index in 0..from + 100 {
            holds(&store, key(index)).await;
        }
        from += 100;
        let stats = store.stats();
        assert_eq!((stats.checksum_failures, stats.io_errors), (0, 0), "{stats:?}");
        store.close().await;
    }
    assert!(safe.len() > 100, "{} chunks is too few to say anything", safe.len());
}
