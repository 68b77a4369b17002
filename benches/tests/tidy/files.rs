//! What files say: names, lints, opening lines, and what none may hold.

use std::{fs, path::Path};

use super::house::HOUSE;

/// Past this, look for the second concept.
const LINES: usize = 500;
/// Crates with unsafe code, each block under a reason of its own.
const UNSAFE: [&str; 2] = ["weir-config-lifecycle", "weir-edge-transport"];
/// Directories with a manifest that are no members: fuzz targets need a compiler of their own.
const APART: [&str; 1] = ["edge/fuzz/libfuzzer/Cargo.toml"];

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(&HOUSE.root).unwrap_or(path).display().to_string()
}

/// Everything but the files of these tests, which name what they look for.
fn sources() -> impl Iterator<Item = (&'static str, String, String)> {
    let files = HOUSE.files("rs").into_iter();
    let names = ["benches/tests/", "benches/xtask/src/undocumented.rs"];
    let files = files.filter(move |(_, path)| !names.iter().any(|it| shown(path).starts_with(it)));
    files.map(|(package, path)| (&*package.name, shown(&path), read(&path)))
}

#[test]
fn a_crate_is_named_by_its_path() {
    for package in &HOUSE.packages {
        let path = package.path.display().to_string();
        assert_eq!(package.name, format!("weir-{}", path.replace('/', "-")), "{path}");
    }
}

#[test]
fn every_manifest_is_a_member_and_takes_the_workspace_s_lints() {
    let members = HOUSE.packages.iter().map(|package| package.path.join("Cargo.toml"));
    let members: Vec<_> = members.collect();
    for (_, path) in HOUSE.files("toml") {
        let relative = path.strip_prefix(&HOUSE.root).unwrap_or(&path);
        if !relative.ends_with("Cargo.toml") || APART.contains(&&*shown(&path)) {
            continue;
        }
        assert!(members.contains(&relative.to_owned()), "{} is no member", relative.display());
        let text = read(&path);
        let takes = text.contains("[lints]\nworkspace = true");
        assert!(takes, "{} does not take the workspace's lints", relative.display());
    }
    let root = read(&HOUSE.root.join("Cargo.toml"));
    for package in &HOUSE.packages {
        let line = format!("    \"{}\",\n", package.path.display());
        assert!(root.contains(&line), "{} is not listed by itself", package.path.display());
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    for (_, path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} does not open with `//! `");
    }
}

#[test]
fn files_are_short() {
    for (_, path, text) in sources() {
        let lines = text.lines().count();
        // A test may be one long table.
        let bound = if path.contains("/tests/") { 2 * LINES } else { LINES };
        assert!(lines <= bound, "{path} has {lines} lines: look for the second concept");
    }
}

#[test]
fn nothing_is_left_for_later_or_silenced() {
    let banned = [
        ("TODO", "do it, or open an issue"),
        ("FIXME", "do it, or open an issue"),
        ("XXX", "say what is wrong"),
        ("#[ignore", "assert today's behaviour and say so"),
        ("#[allow(", "#[expect(lint, reason = ...)]"),
        ("#![allow(", "#![expect(lint, reason = ...)]"),
        ("dbg!(", "remove it"),
        ("unimplemented!(", "implement it"),
    ];
    for (_, path, text) in sources() {
        for (word, instead) in banned {
            assert!(!text.contains(word), "{path} holds `{word}`: {instead}");
        }
    }
}

#[test]
fn unsafe_code_is_in_named_crates() {
    for (package, path, text) in sources() {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let has = code.into_iter().any(|line| {
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"]
                .iter()
                .any(|form| line.contains(form))
        });
        assert!(!has || UNSAFE.contains(&package), "{path}: unsafe code in {package}");
    }
}

#[test]
fn no_room_for_odds_and_ends() {
    for (_, path, _) in sources() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let vague = ["utils.rs", "util.rs", "helpers.rs", "common.rs", "misc.rs"];
        // `config/src/common.rs` holds what both processes' configuration has in common.
        let vague = vague.contains(&name) && path != "config/src/common.rs";
        assert!(!vague, "{path}: name the concept");
    }
}

#[test]
fn the_top_level_is_fixed() {
    let known = [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "cachectl",
        "clippy.toml",
        "config",
        "deny.toml",
        "docs",
        "edge",
        "origin",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "steering",
        "systemd",
        "target",
    ];
    for entry in fs::read_dir(&HOUSE.root).expect("the root can be read") {
        let name = entry.expect("entries can be read").file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || known.contains(&&*name), "`{name}` is no room");
    }
}
