//! Runs that are ended from outside: nothing is published, nothing lives on, and the next
//! run comes to its end.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Child,
};

use super::bench::{Bench, Ran, program};

/// Long enough to be caught in the middle on any host.
const LONG: &str = "-f lavfi -i testsrc2=s=1280x720:r=25:d=20 -c:v libx264 -preset ultrafast";

fn signal(name: &str, process: u32) {
    let status = program("kill").args(["-s", name, "--", &process.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Waits until the first encoder is at work; the processes below ours by then, and the rest
/// of stderr.
fn encoding(child: &mut Child) -> (Vec<u32>, impl Read + use<>) {
    let mut lines = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("encoding") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("readable"), 0, "it ended before encoding");
    }
    // The line is said just before the encoder is started: wait for its process.
    loop {
        let found: Vec<u32> = children(child.id())
            .into_iter()
            .filter(|id| {
                let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
                name.trim() == "ffmpeg"
            })
            .collect();
        if !found.is_empty() {
            return (found, lines);
        }
        assert!(child.try_wait().expect("asked").is_none(), "it ended before encoding");
        std::thread::yield_now();
    }
}

fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// Waits for processes that are not ours to wait for, at most 20 s.
fn assert_gone(processes: &[u32]) {
    for process in processes {
        let mut command = program("timeout");
        command.args(["20", "tail", "-s", "0.05", "-f", "/dev/null"]);
        let ended = command.arg(format!("--pid={process}")).status().expect("timeout runs");
        assert!(ended.success(), "ffmpeg ({process}) lives on");
    }
}

fn assert_nothing_is_published(bench: &Bench) {
    let keys: Vec<_> = bench.objects().into_iter().map(|(meta, _)| meta.key).collect();
    assert!(keys.is_empty(), "{keys:?}");
}

fn comes_to_its_end(bench: &Bench, name: &Path) {
    // The same title with a film that is done in a moment.
    let short = bench.clip("short.mp4", "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -c:v libx264");
    fs::rename(short, name).expect("writable");
    bench.publish(name, "");
}

fn ended_by(name: &str, code: i32) {
    let bench = Bench::new();
    let clip = bench.clip("long.mp4", LONG);
    let mut child = bench.start(&[&clip, &clip], "");
    let (encoders, mut stderr) = encoding(&mut child);
    signal(name, child.id());
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("readable");
    let ran = Ran::of(&child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, Some(code), "{said}");
    // The second film was not begun.
    let results = ran.results(1);
    let error = results[0]["error"].as_str().expect("an error");
    assert!(error.contains("interrupted; nothing was published"), "{error}");
    assert_gone(&encoders);
    bench.assert_work_is_gone();
    assert_nothing_is_published(&bench);
    comes_to_its_end(&bench, &clip);
}

#[test]
fn by_ctrl_c() {
    ended_by("INT", 130);
}

#[test]
fn by_a_service_manager() {
    ended_by("TERM", 130);
}

#[test]
fn by_kill_9() {
    let bench = Bench::new();
    let clip = bench.clip("long.mp4", LONG);
    let mut child = bench.start(&[&clip], "");
    let (encoders, _stderr) = encoding(&mut child);
    signal("KILL", child.id());
    child.wait().expect("ends");
    assert_gone(&encoders);
    assert_nothing_is_published(&bench);
    let left = fs::read_dir(bench.path("work")).expect("is there").count();
    assert_eq!(left, 1, "a killed run cannot clean up");
    // The next one does, for both.
    comes_to_its_end(&bench, &clip);
    bench.assert_work_is_gone();
}

#[test]
fn by_its_time_limit() {
    let bench = Bench::new();
    let clip = bench.clip("long.mp4", LONG);
    let ran = bench.package(&[&clip], "--time-limit 1s");
    assert_eq!(ran.code, Some(1));
    let results = ran.results(1);
    let error = results[0]["error"].as_str().expect("an error");
    assert!(error.contains("not done after 1 s") && error.contains("--time-limit"), "{error}");
    bench.assert_work_is_gone();
    assert_nothing_is_published(&bench);
}
