//! What is shipped for Prometheus and Grafana in `config/monitoring`: dashboards are made from
//! the tables (`UPDATE_EXPECT=1` writes them), and whatever a rule or a panel names is there.

#[path = "monitoring/dashboard.rs"]
mod dashboard;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use expect_test::expect_file;
use serde_json::Value;
use weir_config_telemetry::{
    Family, Kind,
    families::{edge, origin},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words that begin as our metrics do.
fn named(text: &str) -> BTreeSet<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !part(c));
    words.filter(|word| word.starts_with("edge_") || word.starts_with("origin_")).collect()
}

/// Whether a family exports a series of that name.
fn exports(family: &Family, name: &str) -> bool {
    match family.kind {
        Kind::Histogram(_) => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| name.strip_suffix(end) == Some(family.name)),
        _ => name == family.name,
    }
}

fn unknown(text: &str) -> Vec<&str> {
    let all: Vec<_> = edge::ALL.iter().chain(origin::ALL).collect();
    let known = |name: &&str| all.iter().any(|family| exports(family, name));
    named(text).into_iter().filter(|name| !known(name)).collect()
}

#[test]
fn dashboards_are_those_of_the_families() {
    for (name, text) in
        [("edge.json", dashboard::edge(edge::ALL)), ("origin.json", dashboard::origin(origin::ALL))]
    {
        let file = folder().join("dashboards").join(name);
        let file = if file.exists() { file.canonicalize().expect("it is there") } else { file };
        expect_file![file].assert_eq(&text);
    }
}

#[test]
fn every_family_has_a_panel_that_asks_for_it() {
    for (text, families) in
        [(dashboard::edge(edge::ALL), edge::ALL), (dashboard::origin(origin::ALL), origin::ALL)]
    {
        let sheet: Value = serde_json::from_str(&text).expect("it is JSON");
        let asked: Vec<&str> = sheet["panels"]
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
            .map(|target| target["expr"].as_str().expect("a text"))
            .collect();
        for expr in &asked {
            assert_eq!(unknown(expr), Vec::<&str>::new(), "{expr}");
        }
        for family in families {
            let asks = |expr: &&str| named(expr).iter().any(|name| exports(family, name));
            assert!(asked.iter().any(asks), "nothing asks for {}", family.name);
        }
    }
}

/// Each rule by itself, from `- alert:` to the next.
fn rules(text: &str) -> Vec<(&str, &str)> {
    let rules = text.split("- alert: ").skip(1);
    rules.map(|rule| (rule.lines().next().unwrap_or_default().trim(), rule)).collect()
}

#[test]
fn rules_name_metrics_that_are_there_and_the_next_command() {
    let text = read("alerts.yml");
    let rules = rules(&text);
    assert!(rules.len() > 20, "{} rules were read", rules.len());
    for (name, rule) in rules {
        // Field names of the access log are none of ours.
        assert_eq!(unknown(rule), Vec::<&str>::new(), "{name}");
        assert!(rule.contains("summary: "), "{name} has no summary");
        assert!(rule.contains("cachectl "), "{name} does not say what to do next");
        let severe = rule.contains("severity: page") || rule.contains("severity: ticket");
        assert!(severe, "{name} does not say whether it wakes somebody");
    }
}

#[test]
fn rules_are_tried_both_ways() {
    let (text, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    assert_eq!(unknown(&tests), Vec::<&str>::new());
    for (name, _) in rules(&text) {
        let of_it = format!("alertname: {name}\n        exp_alerts:");
        let tried = |silent: bool| {
            let mut found = tests.split(of_it.as_str()).skip(1);
            found.any(|rest| rest.starts_with(" []") == silent)
        };
        assert!(tried(false), "no test in alerts_test.yml lets {name} fire");
        assert!(tried(true), "no test in alerts_test.yml keeps {name} silent");
    }
}

#[test]
fn names_are_found_in_expressions() {
    let check = |text: &str, expected: &[&str]| assert_eq!(unknown(text), expected, "{text}");
    check("sum by (instance) (rate(edge_ttfb_seconds_bucket{result!=\"own\"}[5m]))", &[]);
    check("edge_ttfb_seconds", &["edge_ttfb_seconds"]);
    check(
        "rate(edge_nothing_total[5m]) / origin_nothing",
        &["edge_nothing_total", "origin_nothing"],
    );
}
