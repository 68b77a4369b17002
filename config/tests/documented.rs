//! `docs/configuration.md` names every key that the servers know and no other, and the defaults
//! it names are the ones that hold.

use std::{collections::BTreeSet, fs, path::Path};

use weir_config::{Report, edge::EdgeConfig, origin::OriginConfig};

/// Every table of an edge; `#` is where a test puts a line, so that no other one moves.
const EDGE: &str = r#"
#
[node]
name = "e1"
#
[listen]
https = ["127.0.0.1:0"]
#
[admin]
#
[tls]
#
[[tls.certificate]]
chain = "file"
key = "file"
#
[cache]
#
[[cache.disk]]
path = "disk"
size = "1 GiB"
#
[fill]
#
[log]
#
[shutdown]
#
[[upstream]]
id = "bucket"
kind = "s3"
bucket = "films"
#
[[upstream]]
id = "web"
kind = "http"
url = "http://127.0.0.1:9"
#
[[service]]
id = "film"
preset = "media"
upstreams = ["bucket"]
#
[service.cors]
origins = ["*"]
#
[service.token]
jwks = "file"
#
[service.response_headers]
#
"#;

/// Every table of an origin.
const ORIGIN: &str = r#"
#
[listen]
http = ["127.0.0.1:0"]
#
[admin]
#
[store]
path = "store"
buckets = ["films"]
#
[log]
#
[shutdown]
#
[[access_key]]
id = "edge"
secret_file = "file"
#
"#;

const UNKNOWN: &str = "nobody_knows_this_key = 1";

/// A row of a table: the key and its default.
struct Row {
    key: String,
    default: String,
}

/// The rows below the heading of one file.
fn rows(file: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(path).expect("the document is there");
    let section = text.split("\n## ").find(|section| section.starts_with(file));
    let lines = section.expect("the file has a section").lines();
    lines
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let key = cells[0].trim_matches('`').to_owned();
            Row { key, default: cells[2].to_owned() }
        })
        .collect()
}

/// A folder with the file that the texts name, and one for the texts themselves.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    // A secret, and something to read where only a file is wanted.
    fs::write(folder.path().join("file"), "0123456789abcdef\n").expect("a file");
    folder
}

/// Loads a text from a folder that stays: paths in what is loaded are the same each time.
fn load<T>(
    folder: &Path,
    text: &str,
    from: impl Fn(&Path) -> Result<T, Report>,
) -> Result<T, Report> {
    let file = folder.join("a.toml");
    fs::write(&file, text).expect("a file");
    from(&file)
}

/// `cache.disk[0].size` as the document writes it.
fn without_numbers(key: &str) -> String {
    let mut inside = false;
    let kept = key.chars().filter(|c| {
        inside = *c == '[' || (inside && *c != ']');
        !(inside && c.is_ascii_digit())
    });
    kept.collect()
}

/// All keys that the tables of a file know, tables included, as the report on an unknown key in
/// each of them lists them.
fn known(report: &Report) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for mistake in report.mistakes() {
        let table = mistake.key.rsplit_once('.').map_or("", |(table, _)| table);
        let Some(list) = mistake.help.as_deref().and_then(|h| h.strip_prefix("known here: "))
        else {
            panic!("{mistake}");
        };
        for key in list.split(", ").map(|key| key.trim_matches('`')) {
            let dot = if table.is_empty() { "" } else { "." };
            keys.insert(without_numbers(&format!("{table}{dot}{key}")));
        }
    }
    keys
}

fn check_keys(file: &str, report: &Report) {
    let known = known(report);
    let rows = rows(file);
    let documented: BTreeSet<&str> = rows.iter().map(|row| &*row.key).collect();
    assert_eq!(documented.len(), rows.len(), "a key of {file} stands twice");
    for key in &documented {
        assert!(known.contains(*key), "{file}: the document names `{key}`, which nobody knows");
    }
    for key in &known {
        let inside = |other: &&str| {
            other.strip_prefix(&**key).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let told = documented.contains(&**key) || documented.iter().any(inside);
        assert!(told, "{file}: the document does not name `{key}`");
    }
}

#[test]
fn every_key_of_the_edge_is_documented() {
    // `credentials` is a table in a value, known to S3 upstreams only.
    let asked = EDGE.replace('#', UNKNOWN).replacen(
        "bucket = \"films\"",
        &format!("bucket = \"films\"\ncredentials = {{ file = \"keys\", {UNKNOWN} }}"),
        1,
    );
    let folder = folder();
    let secret = "access_key = \"a\"\nsecret_key = \"b\"\n";
    fs::write(folder.path().join("keys"), secret).unwrap();
    let report = load(folder.path(), &asked, |path| EdgeConfig::load(path));
    check_keys("edge.toml", &report.unwrap_err());
}

#[test]
fn every_key_of_the_origin_is_documented() {
    let text = ORIGIN.replace('#', UNKNOWN);
    let report = load(folder().path(), &text, |path| OriginConfig::load(path));
    check_keys("origin.toml", &report.unwrap_err());
}

/// The text with one more line in the table of `key`.
fn with(text: &str, key: &str, value: &str) -> String {
    let (table, name) = key.rsplit_once('.').expect("keys of the document stand in tables");
    let header = match table.strip_suffix("[]") {
        Some(list) => format!("[[{list}]]\n"),
        None => format!("[{}]\n", table.replace("[]", "")),
    };
    let at = text.find(&header).expect("every table is in the text");
    let place = at + text[at..].find('#').expect("every table has a place");
    format!("{}{name} = {value}{}", &text[..place], &text[place + 1..])
}

/// Written out, a default changes nothing.
fn check_defaults<T: std::fmt::Debug>(
    file: &str,
    text: &str,
    from: impl Fn(&Path) -> Result<T, Report>,
) {
    let folder = folder();
    let plain = format!("{:?}", load(folder.path(), text, &from).expect("it is good"));
    let mut checked = 0;
    for Row { key, default } in rows(file) {
        let value = default.trim_matches('`');
        let literal = value.starts_with('"')
            || value.parse::<u64>().is_ok()
            || matches!(value, "true" | "false");
        if !literal {
            continue;
        }
        let said = load(folder.path(), &with(text, &key, value), &from);
        let said = format!("{:?}", said.unwrap_or_else(|report| panic!("{key}: {report}")));
        assert_eq!(said, plain, "{file}: `{key}` has another default than {default}");
        checked += 1;
    }
    assert!(checked > 3, "{file}: the defaults are not found any more");
}

#[test]
fn defaults_of_the_edge_are_as_documented() {
    check_defaults("edge.toml", EDGE, |path| EdgeConfig::load(path));
}

#[test]
fn defaults_of_the_origin_are_as_documented() {
    check_defaults("origin.toml", ORIGIN, |path| OriginConfig::load(path));
}
