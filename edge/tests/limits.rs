//! The table of limits in docs/operating.md: what a stranger may send and have done, what happens
//! beyond it and where that is counted. It is made from the rows in this folder, and each row is
//! held to the code: its default is the constant or the key itself, its key and its metric exist,
//! and so does the test that goes beyond the limit.
//!
//! A new limit is a row in the file of its subject, then
//! `UPDATE_EXPECT=1 cargo nextest run --release -p weir-edge --test limits`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "limits/clients.rs"]
mod clients;
#[path = "limits/connections.rs"]
mod connections;
#[path = "limits/floods.rs"]
mod floods;
#[path = "limits/form.rs"]
mod form;
#[path = "limits/gate.rs"]
mod gate;
#[path = "limits/messages.rs"]
mod messages;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use form::Row;
use weir_config::keys::Server;
use weir_config_telemetry::families;

/// In the order of the document.
fn rows() -> Vec<Row> {
    [gate::rows(), connections::rows(), messages::rows(), floods::rows(), clients::rows()].concat()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `UPDATE_EXPECT=1` writes the document anew.
#[test]
fn the_document_is_made_from_the_rows() {
    let path = root().join("docs/operating.md");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find("\n### Clients of an edge\n").expect("it has a section");
    let from = at + text[at..].find("\n| limit |").expect("the section has a table") + 1;
    let to = from + text[from..].find("\n\n").map_or(text[from..].len(), |end| end + 1);
    let expected = form::table(&rows());
    if text[from..to] == expected {
        return;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(&path, format!("{}{expected}{}", &text[..from], &text[to..])).unwrap();
    }
    let differs = text[from..to].lines().zip(expected.lines()).find(|(a, b)| a != b);
    panic!(
        "docs/operating.md differs from edge/tests/limits: {differs:?}; \
         UPDATE_EXPECT=1 cargo nextest run --release -p weir-edge --test limits"
    );
}

#[test]
fn keys_and_their_defaults_are_those_of_the_configuration() {
    for row in rows() {
        let Some(path) = row.key else { continue };
        let key = Server::Edge.keys().find(|key| key.path == path);
        let key = key.unwrap_or_else(|| panic!("{}: there is no key `{path}`", row.what));
        let literal = key.literal_default().map(|text| text.trim_matches('"').to_owned());
        let said = literal.unwrap_or_else(|| key.default.to_owned());
        assert_eq!(plain(&row.default), plain(&said), "{}: the default of `{path}`", row.what);
    }
}

/// `16,384` and `16384` are one number, `10 s` and `10s` one time.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ',' | ' ' | '_')).collect()
}

#[test]
fn metrics_exist() {
    let known: BTreeSet<&str> = families::edge::ALL.iter().map(|family| family.name).collect();
    for row in rows() {
        let Some(metric) = row.metric else { continue };
        let name = metric.split('{').next().unwrap();
        assert!(known.contains(name), "{}: there is no metric `{name}`", row.what);
    }
}

/// Every limit is gone beyond somewhere.
#[test]
fn tests_exist() {
    let mut names = BTreeSet::new();
    let rooms = ["edge", "config", "benches/load", "benches/testbed", "benches/xtask"];
    let mut folders: Vec<PathBuf> = rooms.map(|room| root().join(room)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let skipped = path.file_name().is_some_and(|name| name == "target");
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let functions = text.split("fn ").skip(1);
                names.extend(
                    functions.filter_map(|at| Some(at.split(['(', '<']).next()?.to_owned())),
                );
            }
        }
    }
    for row in rows() {
        assert!(names.contains(row.test), "{}: there is no test `{}`", row.what, row.test);
    }
}
