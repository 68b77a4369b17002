//! The tables of metrics in `docs/operating.md` are those of the families.

use std::{fs, path::Path};

use weir_config_telemetry::{
    Family, Kind,
    families::{edge, origin, steering},
    overview::FIGURES,
};

fn row(family: &Family) -> String {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::Ratio => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {kind} | {} | {} |", family.name, labels.join(", "), family.help)
        .replace("|  |", "| |")
}

fn operating() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
    fs::read_to_string(path).expect("the document is there")
}

fn check(process: &str, families: &[&Family]) {
    check_in(&operating(), process, families);
}

fn check_in(text: &str, process: &str, families: &[&Family]) {
    let start = format!("| `{process}_");
    // Of four columns, which the eight figures do not have.
    let row_of = |line: &&str| line.starts_with(&start) && line.matches('|').count() == 5;
    let told: Vec<&str> = text.lines().filter(row_of).collect();
    let due: Vec<String> = families.iter().map(|family| row(family)).collect();
    assert_eq!(told, due, "the table should read:\n{}", due.join("\n"));
}

#[test]
fn the_eight_figures() {
    let text = operating();
    let due: Vec<String> =
        FIGURES.iter().map(|figure| format!("| `{}` | {} |", figure.id, figure.meaning)).collect();
    assert!(text.contains(&due.join("\n")), "the table should read:\n{}", due.join("\n"));
}

#[test]
fn metrics_of_the_edge() {
    check("edge", edge::ALL);
}

#[test]
fn metrics_of_the_origin() {
    check("origin", origin::ALL);
}

#[test]
fn metrics_of_the_control_plane() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/steering.md");
    let text = fs::read_to_string(path).expect("the document is there");
    check_in(&text, "steering", steering::ALL);
}
