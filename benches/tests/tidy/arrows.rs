//! Arrows point down only: process → service → adapter → engine → port → pure rules.

use std::collections::BTreeSet;

use super::house::{HOUSE, Kind};

/// From the bottom up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Decides from what it is given.
    Pure,
    /// Says what is needed of the outside; holds configuration, clock and log.
    Port,
    /// Does the work through ports.
    Engine,
    /// Alone names a library of the outside.
    Adapter,
    /// One job of the control plane, over its adapters.
    Service,
    /// Reads arguments, builds, runs, drains.
    Process,
    /// Knows them all and ships in none.
    Bench,
}

const LAYERS: [(&str, Layer); 34] = [
    ("weir-config-units", Layer::Pure),
    ("weir-edge-freshness", Layer::Pure),
    ("weir-edge-playlist", Layer::Pure),
    ("weir-edge-token", Layer::Pure),
    ("weir-origin-media", Layer::Pure),
    ("weir-steering-playback", Layer::Pure),
    ("weir-steering-rank", Layer::Pure),
    ("weir-config", Layer::Port),
    ("weir-config-admin", Layer::Port),
    ("weir-config-lifecycle", Layer::Port),
    ("weir-config-telemetry", Layer::Port),
    ("weir-origin-store", Layer::Port),
    ("weir-steering-api", Layer::Port),
    ("weir-edge-cache", Layer::Engine),
    ("weir-edge-fill", Layer::Engine),
    ("weir-edge-transport", Layer::Adapter),
    ("weir-edge-http", Layer::Adapter),
    ("weir-edge-parent", Layer::Adapter),
    ("weir-origin-s3", Layer::Adapter),
    ("weir-steering-geo", Layer::Adapter),
    ("weir-steering-client", Layer::Adapter),
    ("weir-steering-store", Layer::Adapter),
    ("weir-steering-fleet", Layer::Service),
    ("weir-edge", Layer::Process),
    ("weir-origin", Layer::Process),
    ("weir-steering", Layer::Process),
    ("weir-cachectl", Layer::Process),
    ("weir-benches", Layer::Bench),
    ("weir-benches-content", Layer::Bench),
    ("weir-benches-interleavings", Layer::Bench),
    ("weir-benches-load", Layer::Bench),
    ("weir-benches-steering", Layer::Bench),
    ("weir-benches-testbed", Layer::Bench),
    ("weir-edge-fuzz", Layer::Bench),
];

/// Of these, only the crates beside them may name the library; benches may name anything.
const ALONE: [(&str, &[&str]); 18] = [
    ("aws-config", &["weir-origin-s3"]),
    ("aws-sdk-s3", &["weir-origin-s3"]),
    ("foyer", &["weir-edge-cache"]),
    ("h2", &["weir-edge-http"]),
    ("h3", &["weir-edge-http"]),
    ("h3-quinn", &["weir-edge-http"]),
    ("hyper", &["weir-edge-http"]),
    ("hyper-util", &["weir-edge-http"]),
    ("maxminddb", &["weir-steering-geo"]),
    ("quick-xml", &["weir-edge-playlist"]),
    ("quinn", &["weir-edge-transport", "weir-edge-http"]),
    ("quinn-proto", &["weir-edge-transport", "weir-edge-http"]),
    ("redb", &["weir-edge-cache"]),
    ("rustls", &["weir-edge-transport"]),
    ("s3s", &["weir-origin"]),
    ("socket2", &["weir-edge-transport"]),
    ("sqlx", &["weir-steering-store"]),
    ("tokio-rustls", &["weir-edge-transport"]),
];

/// What rules that decide from what they are given have no use for.
const OUTSIDE: [&str; 12] = [
    "aws-sdk-s3",
    "foyer",
    "h2",
    "hyper",
    "mio",
    "quinn",
    "redb",
    "rustls",
    "socket2",
    "tokio",
    "tracing",
    "rand",
];

/// What the operator's command line must build without.
const SERVERS: [&str; 10] = [
    "aws-sdk-s3",
    "foyer",
    "hyper",
    "quinn",
    "s3s",
    "weir-edge",
    "weir-edge-cache",
    "weir-edge-http",
    "weir-edge-transport",
    "weir-origin",
];

fn layer(name: &str) -> Option<Layer> {
    // The door depends on no crate of ours, and every room may be told of by it.
    if name == "weir-benches-xtask" {
        return Some(Layer::Bench);
    }
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

#[test]
fn every_crate_has_a_layer() {
    for package in &HOUSE.packages {
        assert!(
            layer(&package.name).is_some(),
            "say in tidy/arrows.rs where {} stands",
            package.name
        );
    }
    let names: BTreeSet<&str> = HOUSE.packages.iter().map(|package| &*package.name).collect();
    for (name, _) in LAYERS {
        assert!(names.contains(name), "{name} is gone; take it out of tidy/arrows.rs");
    }
}

#[test]
fn arrows_point_down() {
    for package in &HOUSE.packages {
        let Some(from) = layer(&package.name) else { continue };
        for (to, kind) in &package.direct {
            let (Some(down), Kind::Normal | Kind::Build) = (layer(to), *kind) else { continue };
            let same = down == from && !matches!(from, Layer::Service | Layer::Process);
            assert!(
                down < from || same,
                "{} ({from:?}) depends on {to} ({down:?}): arrows point down",
                package.name
            );
        }
    }
}

#[test]
fn libraries_are_named_by_their_own_crate_alone() {
    for package in &HOUSE.packages {
        if layer(&package.name) == Some(Layer::Bench) {
            continue;
        }
        for (library, kind) in &package.direct {
            let rule = ALONE.iter().find(|(known, _)| known == library);
            let (Some((_, may)), Kind::Normal | Kind::Build) = (rule, *kind) else { continue };
            let named = may.contains(&&*package.name);
            assert!(named, "{} names {library}; only {may:?} may", package.name);
        }
    }
}

#[test]
fn pure_rules_know_nothing_of_the_outside() {
    for (name, _) in LAYERS.iter().filter(|(_, layer)| *layer == Layer::Pure) {
        let linked = HOUSE.closure(name);
        let outside: Vec<&&str> = OUTSIDE.iter().filter(|known| linked.contains(**known)).collect();
        assert!(outside.is_empty(), "{name} is pure and links {outside:?}");
    }
}

#[test]
fn the_command_line_builds_without_the_servers() {
    let linked = HOUSE.closure("weir-cachectl");
    let servers: Vec<&&str> = SERVERS.iter().filter(|known| linked.contains(**known)).collect();
    assert!(servers.is_empty(), "cachectl links {servers:?}");
}

#[test]
fn rooms_meet_only_where_they_may() {
    for package in &HOUSE.packages {
        // Fuzz targets of every room are run from one place, and ship in none.
        if layer(&package.name) == Some(Layer::Bench) {
            continue;
        }
        let room = package.name.split('-').nth(1).unwrap_or_default();
        for (to, _) in package.direct.iter().filter(|(_, kind)| *kind == Kind::Normal) {
            let other =
                to.strip_prefix("weir-").map_or("", |rest| rest.split('-').next().unwrap_or(""));
            let may: &[&str] = match (room, other) {
                // An appliance boots and serves without the control plane.
                ("edge", "steering") => &["weir-steering-api", "weir-steering-client"],
                ("steering", "edge") => {
                    &["weir-edge-http", "weir-edge-transport", "weir-edge-token"]
                }
                // Nothing that ships depends on how we know.
                ("edge" | "origin" | "steering" | "cachectl" | "config", "benches") => &[],
                ("config", "edge" | "origin" | "steering" | "cachectl") => &[],
                _ => continue,
            };
            assert!(may.contains(&&**to), "{} depends on {to}", package.name);
        }
    }
}

#[test]
fn there_is_one_of_each() {
    let built = HOUSE.built();
    for name in ["aws-lc-rs", "h2", "http", "hyper", "quinn", "quinn-proto", "rustls", "tokio"] {
        let versions: Vec<_> = built.iter().filter(|(known, _)| known == name).collect();
        assert_eq!(versions.len(), 1, "{versions:?}");
    }
    for name in ["ring", "openssl-sys", "native-tls", "s3s-fs"] {
        assert!(!built.iter().any(|(known, _)| known == name), "{name} is built");
    }
}
