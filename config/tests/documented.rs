//! `docs/configuration.md` and the schemas name every key that the servers know and no other, and
//! the defaults they name are the ones that hold: the table of keys is held against the parser,
//! and everything else is made from the table.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use weir_config::{
    Report, edge::EdgeConfig, keys::Server, origin::OriginConfig, steering::SteeringConfig,
};

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
[clients]
#
[overload]
#
[limits]
#
[log]
#
[traces]
#
[steering]
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

/// Every table of a control plane.
const STEERING: &str = r#"
#
[steering]
#
[listen]
nodes = ["127.0.0.1:0"]
names = ["localhost"]
#
[admin]
#
[store]
#
[fleet]
#
[log]
#
[shutdown]
#
"#;

const UNKNOWN: &str = "nobody_knows_this_key = 1";

/// What the document says of a server's keys: the lines from the head of its table on.
fn table(server: Server) -> String {
    let head =
        "| key | value | default | takes effect | meaning |\n| --- | --- | --- | --- | --- |";
    let rows = server.keys().map(|key| {
        let (value, default, class) = (key.value, key.default, key.class.as_str());
        format!("| `{}` | {value} | {default} | {class} | {} |\n", key.path, key.about)
    });
    format!("{head}\n{}", rows.collect::<String>().replace("  ", " "))
}

/// `UPDATE_EXPECT=1` writes the document anew.
fn check_document(server: Server) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(&path).expect("the document is there");
    let at = text.find(&format!("\n## {}.toml\n", server.as_str())).expect("it has a section");
    let from = at + text[at..].find("\n| key |").expect("the section has a table") + 1;
    let to = from + text[from..].find("\n\n").map_or(text[from..].len(), |end| end + 1);
    let expected = table(server);
    if text[from..to] == expected {
        return;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let whole = format!("{}{expected}{}", &text[..from], &text[to..]);
        return fs::write(&path, whole).expect("the document can be written");
    }
    let differs = text[from..to].lines().zip(expected.lines()).find(|(a, b)| a != b);
    panic!(
        "docs/configuration.md differs from config/src/keys: {differs:?}; change the keys there, \
         then UPDATE_EXPECT=1 cargo nextest run --release -p weir-config document"
    );
}

#[test]
fn the_document_is_made_from_the_keys() {
    // One after the other: all are in one file.
    check_document(Server::Edge);
    check_document(Server::Origin);
    check_document(Server::Steering);
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

fn check_keys(server: Server, report: &Report) {
    let known = known(report);
    let declared: BTreeSet<&str> = server.keys().map(|key| key.path).collect();
    assert_eq!(declared.len(), server.keys().count(), "a key stands twice");
    let schema = in_schema(&server.schema(), "");
    assert_eq!(schema, declared.iter().map(|key| (*key).to_owned()).collect(), "the schema");
    for key in &declared {
        assert!(
            known.contains(*key),
            "{server:?}: `{key}` is declared, and the parser knows it not"
        );
    }
    for key in &known {
        let inside = |other: &&str| {
            other.strip_prefix(&**key).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let told = declared.contains(&**key) || declared.iter().any(inside);
        assert!(told, "{server:?}: the parser knows `{key}`, and config/src/keys does not");
    }
}

/// Every key that a schema describes; each says when a change takes effect.
fn in_schema(schema: &Value, path: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (name, value) in schema["properties"].as_object().expect("a table has properties") {
        let dot = if path.is_empty() { "" } else { "." };
        let inner = format!("{path}{dot}{name}");
        match (value["x-takes-effect"].as_str(), &value["items"], &value["oneOf"][1]) {
            (Some(_), _, table) if table.is_object() => {
                keys.extend(in_schema(table, &inner));
                keys.insert(inner);
            }
            (Some(class), ..) => {
                assert!(matches!(class, "live" | "new-connections" | "restart"), "{inner}");
                keys.insert(inner);
            }
            (None, items, _) if items.is_object() => {
                keys.extend(in_schema(items, &format!("{inner}[]")));
            }
            (None, ..) => keys.extend(in_schema(value, &inner)),
        }
    }
    keys
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
    check_keys(Server::Edge, &report.unwrap_err());
}

#[test]
fn every_key_of_the_origin_is_documented() {
    let text = ORIGIN.replace('#', UNKNOWN);
    let report = load(folder().path(), &text, |path| OriginConfig::load(path));
    check_keys(Server::Origin, &report.unwrap_err());
}

#[test]
fn every_key_of_the_control_plane_is_documented() {
    let text = STEERING.replace('#', UNKNOWN);
    let report = load(folder().path(), &text, |path| SteeringConfig::load(path));
    check_keys(Server::Steering, &report.unwrap_err());
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
    server: Server,
    text: &str,
    from: impl Fn(&Path) -> Result<T, Report>,
) {
    let folder = folder();
    let plain = format!("{:?}", load(folder.path(), text, &from).expect("it is good"));
    let mut checked = 0;
    for key in server.keys() {
        let Some(value) = key.literal_default() else { continue };
        let key = key.path;
        let said = load(folder.path(), &with(text, key, value), &from);
        let said = format!("{:?}", said.unwrap_or_else(|report| panic!("{key}: {report}")));
        assert_eq!(said, plain, "{server:?}: `{key}` has another default than {value}");
        checked += 1;
    }
    assert!(checked > 3, "{server:?}: the defaults are not found any more");
}

#[test]
fn defaults_of_the_edge_are_as_documented() {
    check_defaults(Server::Edge, EDGE, |path| EdgeConfig::load(path));
}

#[test]
fn defaults_of_the_origin_are_as_documented() {
    check_defaults(Server::Origin, ORIGIN, |path| OriginConfig::load(path));
}

#[test]
fn defaults_of_the_control_plane_are_as_documented() {
    check_defaults(Server::Steering, STEERING, |path| SteeringConfig::load(path));
}
