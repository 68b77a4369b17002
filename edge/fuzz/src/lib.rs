//! What reads bytes from outside, as functions of bytes: each takes any input and panics where
//! a promise of the code under it does not hold.
//!
//! `tests/short.rs` runs the corpus and seeded mutations of it as ordinary tests, and
//! `libfuzzer/` hands the same functions to cargo-fuzz (`cargo xtask bench fuzz`). Its short form
//! counts inputs (`bench-fuzz` in `benches/load`). Nothing else depends on this crate.

mod access;
mod control;
mod damage;
mod fields;
mod fmp4;
mod forwarded;
mod h3_message;
mod image;
pub mod mutate;
mod path;
mod playlist;
mod proxy;
mod range;
mod state;
mod steering;
mod structured;
mod traces;
mod wire;

use std::{fs, io, path::Path};

/// Something to be fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also of its corpus directory, and of its program in `libfuzzer/`.
    pub name: &'static str,
    /// Takes any bytes; panics where something is wrong.
    pub run: fn(&[u8]),
    /// Inputs in a short run.
    pub short: u32,
    /// Bytes of an input beyond which nothing new happens.
    pub longest: usize,
}

/// All of them.
pub const TARGETS: [Target; 23] = [
    Target { name: "range", run: range::run, short: 400_000, longest: 200 },
    Target { name: "control", run: control::run, short: 150_000, longest: 600 },
    Target { name: "structured", run: structured::run, short: 400_000, longest: 300 },
    Target { name: "path", run: path::run, short: 400_000, longest: 300 },
    Target { name: "image", run: image::run, short: 60, longest: 400 },
    Target { name: "state", run: state::run, short: 100, longest: 400 },
    Target { name: "hls", run: playlist::hls, short: 50_000, longest: 1500 },
    Target { name: "mpd", run: playlist::mpd, short: 30_000, longest: 3000 },
    Target { name: "fmp4", run: fmp4::run, short: 400_000, longest: 2000 },
    Target { name: "h1_requests", run: wire::h1, short: 400_000, longest: 300 },
    Target { name: "h2_frames", run: wire::h2, short: 400_000, longest: 300 },
    Target { name: "h3_message", run: h3_message::run, short: 400_000, longest: 400 },
    Target { name: "h3_streams", run: h3_message::streams, short: 400_000, longest: 200 },
    Target { name: "proxy", run: proxy::run, short: 400_000, longest: 200 },
    Target { name: "forwarded", run: forwarded::run, short: 200_000, longest: 200 },
    Target { name: "cmcd", run: access::cmcd, short: 100_000, longest: 400 },
    Target { name: "log_filter", run: access::filter, short: 200_000, longest: 300 },
    Target { name: "traces", run: traces::run, short: 400_000, longest: 700 },
    Target { name: "routes", run: steering::routes, short: 50_000, longest: 800 },
    Target { name: "snapshot", run: steering::snapshot, short: 30_000, longest: 3000 },
    Target { name: "decision", run: steering::record, short: 50_000, longest: 2000 },
    Target { name: "question", run: steering::question, short: 200_000, longest: 300 },
    Target { name: "geo", run: steering::geo, short: 30_000, longest: 2500 },
];

/// Inputs of each target in a counted run, at least.
pub const COUNTED_MIN: u32 = 20_000;

impl Target {
    /// Inputs in a counted run.
    pub fn counted(&self) -> u32 {
        self.short.max(COUNTED_MIN)
    }

    /// Its corpus, in the order of the names.
    pub fn corpus(&self) -> io::Result<Vec<Vec<u8>>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name);
        let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        files.sort();
        files.iter().map(fs::read).collect()
    }
}

/// The target of that name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> Target {
    let known = TARGETS.into_iter().find(|target| target.name == name);
    known.unwrap_or_else(|| panic!("there is no fuzz target `{name}`"))
}
