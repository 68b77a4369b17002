//! How many series a node can have at most, whatever is configured and whatever clients send.

use weir_config_telemetry::{
    Family, Kind,
    families::edge,
    names::NAMES_MAX,
    overview::{FIGURES, Unit},
};

/// What a Prometheus server takes from one node without a thought.
const SERIES_MAX: usize = 3_000;

/// Values that a label of a family can have.
fn values(family: &Family, label: &str) -> usize {
    match label {
        // Room is the only one.
        "reason" if *family == edge::CACHE_EVICTIONS => 1,
        "proto" | "op" | "outcome" | "resource" | "label" | "winner" => 3,
        "class" => 5,
        // Of upstreams there is `none` beside the five.
        "code" => 6,
        "result" => 9,
        // Enums, the longest being that of malformed messages.
        "reason" => 32,
        "kind" | "input" => 16,
        "tier" | "why" | "mode" => 2,
        "version" => 1,
        // From the configuration, and `other`.
        "origin" | "disk" | "certificate" => NAMES_MAX + 1,
        label => panic!("say here how many values the label `{label}` can have"),
    }
}

fn series(family: &Family) -> usize {
    let each = match family.kind {
        // Buckets, the one without a bound, sum and count.
        Kind::Histogram(bounds) => bounds.len() + 3,
        _ => 1,
    };
    family.labels.iter().map(|label| values(family, label)).product::<usize>() * each
}

#[test]
fn series_are_bounded() {
    let all: usize = edge::ALL.iter().map(|family| series(family)).sum();
    assert!(all <= SERIES_MAX, "{all} series of a node are more than {SERIES_MAX}");
    assert!(all > 1_000, "{all}: the labels above are not those of the families");
}

/// The eight figures are told apart, and ask for families that are there.
#[test]
fn the_eight_figures() {
    for (at, figure) in FIGURES.iter().enumerate() {
        assert!(FIGURES[..at].iter().all(|other| other.id != figure.id), "{}", figure.id);
        assert!(figure.meaning.ends_with('.'), "{}", figure.id);
        let named = edge::ALL.iter().any(|family| figure.query.contains(family.name));
        assert!(named, "{} asks for nothing we have", figure.id);
        let rate = figure.unit == Unit::BytesPerSecond;
        assert!(!rate || figure.query.contains("[$over]"), "{}", figure.id);
    }
}
