//! Every target's corpus, and a bounded number of seeded mutations of it.

use std::{fs, path::Path};

use weir_edge_fuzz::{TARGETS, mutate::Mutations, target};

#[track_caller]
fn check(name: &str) {
    let target = target(name);
    let corpus = target.corpus().expect("a corpus can be read");
    assert!(corpus.len() > 2, "{name} has hardly a corpus");
    for input in &corpus {
        (target.run)(input);
    }
    let mutations = Mutations::new(&corpus, 1, target.longest);
    for input in mutations.take(target.short as usize) {
        // What fails is shown, so that it can be put into the corpus.
        let shown = Shown(&input);
        (target.run)(&input);
        std::mem::forget(shown);
    }
}

struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        eprintln!("the input was b\"{}\"", self.0.escape_ascii());
    }
}

#[test]
fn range() {
    check("range");
}

#[test]
fn forwarded() {
    check("forwarded");
}

#[test]
fn control() {
    check("control");
}

#[test]
fn structured() {
    check("structured");
}

#[test]
fn path() {
    check("path");
}

#[test]
fn image() {
    check("image");
}

#[test]
fn state() {
    check("state");
}

#[test]
fn fmp4() {
    check("fmp4");
}

#[test]
fn h1_requests() {
    check("h1_requests");
}

#[test]
fn h2_frames() {
    check("h2_frames");
}

#[test]
fn h3_message() {
    check("h3_message");
}

#[test]
fn proxy() {
    check("proxy");
}

#[test]
fn h3_streams() {
    check("h3_streams");
}

/// What is here is fuzzed by cargo-fuzz, too, and the other way round.
#[test]
fn every_target_has_its_program() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/fuzz_targets");
    let entries = fs::read_dir(directory).expect("the directory of programs");
    let mut programs: Vec<String> = entries
        .map(|entry| entry.expect("entries can be read").path())
        .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    programs.sort_unstable();
    let mut targets = TARGETS.map(|target| target.name);
    targets.sort_unstable();
    assert_eq!(programs, targets);
}

#[test]
fn hls() {
    check("hls");
}

#[test]
fn mpd() {
    check("mpd");
}

#[test]
fn cmcd() {
    check("cmcd");
}

#[test]
fn log_filter() {
    check("log_filter");
}

#[test]
fn traces() {
    check("traces");
}

#[test]
fn routes() {
    check("routes");
}

#[test]
fn snapshot() {
    check("snapshot");
}

#[test]
fn decision() {
    check("decision");
}

#[test]
fn geo() {
    check("geo");
}

#[test]
fn question() {
    check("question");
}
