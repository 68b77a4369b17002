//! Lines reach the file whole, and what does not is counted.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use weir_config_telemetry::{AccessFormat, AccessLog, AccessLogError, AccessOptions, Rotation};

#[derive(Serialize, Deserialize, PartialEq, Eq, Hash, Debug)]
struct Entry {
    thread: u32,
    number: u32,
}

/// The writer does its rounds only when it is asked.
fn quiet() -> AccessOptions {
    let flush = Duration::from_secs(3600);
    AccessOptions { shards: 2, buffer: 4096, flush, ..AccessOptions::default() }
}

fn entries(path: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(path).expect("the log can be read");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is whole")).collect()
}

#[test]
fn many_threads_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log/access.jsonl");
    let options = AccessOptions { buffer: 16 << 20, ..AccessOptions::default() };
    let log = AccessLog::open(&path, options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = log.clone();
            scope.spawn(move || (0..5000).for_each(|number| log.record(&Entry { thread, number })));
        }
    });
    log.close();
    let found = entries(&path);
    assert_eq!(found.len(), 40_000);
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), 40_000);
    assert_eq!((log.written(), log.dropped()), (40_000, 0));
    for thread in 0..8 {
        let numbers = found.iter().filter(|e| e.thread == thread).map(|e| e.number);
        assert!(numbers.is_sorted(), "lines of one thread are in order");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7137, 0);
}

#[test]
fn a_line_waits_no_longer_than_the_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let options = AccessOptions { flush: Duration::from_millis(1), ..quiet() };
    let log = AccessLog::open(&path, options).unwrap();
    log.line(b"{}");
    while log.written() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
}

#[test]
fn half_a_buffer_wakes_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let log = AccessLog::open(&folder.path().join("access.jsonl"), quiet()).unwrap();
    log.line(&[b'x'; 3000]);
    while log.written() == 0 {
        // A wake-up before the writer waits for the first time would be lost; it is repeated.
        log.line(&[b'x'; 10]);
        std::thread::yield_now();
    }
}

#[test]
fn a_full_buffer_drops_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let log = AccessLog::open(&path, AccessOptions { buffer: 100, ..quiet() }).unwrap();
    log.line(&[b'x'; 40]);
    log.line(&[b'y'; 200]);
    log.flush();
    assert_eq!((log.written(), log.dropped()), (1, 1));
    log.line(b"z");
    log.flush();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{}\nz\n", "x".repeat(40)));
}

#[test]
fn reopens_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let moved = folder.path().join("access.jsonl.1");
    let log = AccessLog::open(&path, quiet()).unwrap();
    log.line(b"before");
    fs::rename(&path, &moved).unwrap();
    log.line(b"moved");
    log.reopen();
    log.line(b"after");
    log.close();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "before\nmoved\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
}

#[test]
fn after_the_end_nothing_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let log = AccessLog::open(&folder.path().join("access.jsonl"), quiet()).unwrap();
    log.close();
    log.line(b"late");
    log.flush();
    log.reopen();
    log.close();
    assert_eq!(log.written(), 0);
}

/// A disk that is full: `/dev/full` takes no byte.
#[test]
fn a_full_disk_drops_and_counts() {
    let log = AccessLog::open(Path::new("/dev/full"), quiet()).unwrap();
    log.line(b"lost");
    log.flush();
    log.line(b"lost too");
    log.flush();
    assert_eq!((log.written(), log.dropped()), (0, 2));
    let why = log.failure().expect("somebody asks why");
    assert!(why.contains("No space left"), "{why}");
}

#[test]
fn a_file_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    File::create(&file).unwrap().write_all(b"x").unwrap();
    let error = AccessLog::open(&file.join("access.jsonl"), quiet()).unwrap_err();
    assert!(matches!(error, AccessLogError::Open { .. }));
    assert!(error.to_string().contains("access.jsonl"), "{error}");
    let mut kept = String::new();
    File::open(&file).unwrap().read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "x");
}

#[test]
fn a_full_file_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let rotation = Rotation { bytes: Some(8), age: None, keep: 2 };
    let options = AccessOptions { format: AccessFormat::W3c, rotation: Some(rotation), ..quiet() };
    let log = AccessLog::open(&path, options).unwrap();
    for line in ["first", "second", "third", "fourth", "5th"] {
        log.line(line.as_bytes());
        log.line(b"and more");
        log.flush();
    }
    log.line(b"6th");
    log.flush();
    let read = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).ok()?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        assert!(text.starts_with("#Version: 1.0\n"), "{text}");
        Some(lines.map(str::to_owned).collect::<Vec<_>>().join(","))
    };
    let names = ["access.log", "access.log.1", "access.log.2", "access.log.3"];
    let some = |text: &str| Some(text.to_owned());
    let expected = [some("6th"), some("5th,and more"), some("fourth,and more"), None];
    assert_eq!(names.map(read), expected);
    assert!(log.rotate(), "an order does the same");
    assert_eq!(names.map(read), [some(""), some("6th"), some("5th,and more"), None]);
    assert!(log.rotate(), "an empty file stays");
    assert_eq!(read("access.log.1"), some("6th"));
    assert_eq!((log.written(), log.dropped(), log.failure()), (11, 0, None));
    log.close();
    let again = AccessLog::open(&path, AccessOptions { format: AccessFormat::W3c, ..quiet() });
    let again = again.unwrap();
    again.line(b"7th");
    assert!(!again.rotate(), "it was not told to");
    assert_eq!(read("access.log"), some("7th"));
}

#[test]
fn when_it_makes_room_can_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let log = AccessLog::open(&path, quiet()).unwrap();
    let line = |text: &str| {
        log.line(text.as_bytes());
        log.flush();
    };
    line("one");
    assert!(!log.rotate());
    log.set_rotation(Some(Rotation { bytes: Some(8), age: None, keep: 1 }));
    line("two, which fills it");
    line("three");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert_eq!(read("access.jsonl.1"), "one\ntwo, which fills it\n");
    assert_eq!(read("access.jsonl"), "three\n");
    log.set_rotation(None);
    line("four, and there is no end to it");
    assert_eq!(read("access.jsonl"), "three\nfour, and there is no end to it\n");
}

/// A file that cannot be moved is written on.
#[test]
fn what_cannot_rotate_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    fs::create_dir_all(folder.path().join("access.jsonl.1/taken")).unwrap();
    let rotation = Rotation { bytes: Some(1), age: None, keep: 1 };
    let options = AccessOptions { rotation: Some(rotation), ..quiet() };
    let log = AccessLog::open(&path, options).unwrap();
    for line in [b"a", b"b"] {
        log.line(line);
        log.flush();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\n");
    assert_eq!((log.written(), log.dropped()), (2, 0));
}
