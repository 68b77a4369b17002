//! `weir-edge --check` on files that only an edge can judge: every mistake in one report, each
//! with its file, line and key, beside those of the configuration itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// A self-signed certificate of these years and its key, as PEM.
fn certificate(from: i32, to: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut asked = CertificateParams::new(["edge.test".to_owned()]).unwrap();
    asked.not_before = date_time_ymd(from, 1, 1);
    asked.not_after = date_time_ymd(to, 1, 1);
    (asked.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A configuration with a sound certificate, key set and credentials.
fn sound(folder: &Path) -> String {
    let (chain, key) = certificate(2020, 4000);
    for (name, text) in [
        ("edge.pem", chain.as_str()),
        ("edge.key", &key),
        ("jwks.json", JWKS),
        ("s3.toml", "access_key = \"edge\"\nsecret_key = \"0123456789abcdef\"\n"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    r#"[node]
name = "e1"
[listen]
https = ["127.0.0.1:0"]
[tls]
keys = "transport-keys"
[[tls.certificate]]
chain = "edge.pem"
key = "edge.key"
[cache]
state = "state/metadata.redb"
[[upstream]]
id = "s3"
kind = "s3"
endpoint = "http://127.0.0.1:9"
bucket = "films"
credentials = { file = "s3.toml" }
[[service]]
id = "film"
preset = "media"
upstreams = ["s3"]
[service.token]
jwks = "jwks.json"
"#
    .to_owned()
}

fn weir_edge(folder: &Path, toml: &str, check: bool) -> Output {
    fs::write(folder.join("edge.toml"), toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-edge"));
    command.args(["--config", "edge.toml"]).args(check.then_some("--check"));
    command.current_dir(folder).env_remove("LISTEN_FDS").output().unwrap()
}

/// A log on a full file system ends neither a check nor a start with a panic.
#[test]
fn a_full_log_is_no_panic() {
    for (check, key) in [(true, "nme"), (false, "nme"), (false, "name")] {
        let folder = TempDir::new().unwrap();
        let toml = sound(folder.path()).replacen("name", key, 1);
        // A folder stands where the state file shall be.
        fs::create_dir_all(folder.path().join("state/metadata.redb")).unwrap();
        fs::write(folder.path().join("edge.toml"), toml).unwrap();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-edge"));
        command.args(["--config", "edge.toml"]).args(check.then_some("--check"));
        command.current_dir(folder.path()).env_remove("LISTEN_FDS").stderr(full);
        assert_eq!(command.status().unwrap().code(), Some(1), "{key}, check: {check}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_is_sound_passes_and_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let toml = sound(folder.path());
    let output = weir_edge(folder.path(), &toml, true);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["edge.key", "edge.pem", "edge.toml", "jwks.json", "s3.toml"]);
}

/// Names that no certificate is for are no mistake: one may answer to them over plain HTTP.
#[test]
fn names_without_a_certificate_are_odd() {
    let check = |hosts: &str, expected: &[&str]| {
        let folder = TempDir::new().unwrap();
        let toml = sound(folder.path());
        let toml =
            toml.replace("preset = \"media\"", &format!("preset = \"media\"\nhosts = {hosts}"));
        let output = weir_edge(folder.path(), &toml, true);
        assert!(output.status.success(), "{}", said(&output));
        let said = said(&output);
        let lines: Vec<_> = said.lines().map(|l| l.split(',').next().unwrap()).collect();
        assert_eq!(lines, expected);
    };
    check("[\"edge.test\", \"127.0.0.1\"]", &[]);
    check("[\"edge.test\", \"b.test\"]", &["warning: no certificate is for b.test"]);
}

/// Each of them alone is told with its line, its key and what is wrong.
#[test]
fn files_that_are_of_no_use() {
    fn check(file: &str, content: &str, expected: &[&str]) {
        let folder = TempDir::new().unwrap();
        let toml = sound(folder.path());
        fs::write(folder.path().join(file), content).unwrap();
        let output = weir_edge(folder.path(), &toml, true);
        let said = said(&output);
        assert!(!output.status.success(), "{file}: passes");
        for part in expected {
            assert!(said.contains(part), "{file}: {part} is not in\n{said}");
        }
        assert!(said.contains("1 mistake in edge.toml; nothing was changed"), "{said}");
        assert!(!said.contains("PRIVATE KEY---") && !said.contains("0123456789abcdef"), "{said}");
    }
    let (_, other_key) = certificate(2020, 4000);
    let chain = ["`tls.certificate[0].chain`", "edge.toml:8:9"];
    let key = ["`tls.certificate[0].key`", "edge.toml:9:7"];
    let jwks = ["`service[0].token.jwks`", "edge.toml:23:8", "cachectl keys new"];
    let with = |place: &[&'static str], what: &'static str| {
        place.iter().copied().chain([what]).collect::<Vec<_>>()
    };
    check("edge.key", &other_key, &with(&key, "edge.key does not serve the certificate"));
    check("edge.key", "", &with(&key, "cannot read the private key"));
    check("edge.key", "garbled", &with(&key, "cannot read the private key"));
    let wrong = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check("edge.key", wrong, &with(&key, "cannot be used"));
    check("edge.pem", "", &with(&chain, "holds no certificate"));
    check("edge.pem", "garbled", &with(&chain, "holds no certificate"));
    let garbled = "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
    check("edge.pem", garbled, &with(&chain, "cannot read the certificate chain"));
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check("edge.pem", empty, &with(&chain, "is malformed"));
    check("jwks.json", "garbled", &with(&jwks, "no JWKS document"));
    check("jwks.json", "{\"keys\":[]}", &with(&jwks, "holds no Ed25519 key"));
    let private = JWKS.replace("\"kid\"", "\"d\":\"x\",\"kid\"");
    check("jwks.json", &private, &with(&jwks, "is a private one"));
    let keys = ["`tls.keys`", "edge.toml:6:8"];
    check("transport-keys", "garbled", &with(&keys, "others (mode"));
    // Credentials have their own lines, none of which is shown.
    check("s3.toml", "access_key = \"edge\"", &["`secret_key` is missing", "s3.toml"]);
    check("s3.toml", "access_key", &["s3.toml:1", "not TOML"]);
}

#[test]
fn certificates_out_of_date_are_told_and_do_not_stop_a_start() {
    let folder = TempDir::new().unwrap();
    let toml = sound(folder.path());
    for (from, to, expected) in [
        (2020, 2021, "the certificate in edge.pem expired "),
        (3999, 4000, "the certificate in edge.pem is not good before "),
    ] {
        let (chain, key) = certificate(from, to);
        fs::write(folder.path().join("edge.pem"), chain).unwrap();
        fs::write(folder.path().join("edge.key"), key).unwrap();
        let output = weir_edge(folder.path(), &toml, true);
        let said = said(&output);
        assert!(said.contains(expected) && said.contains("edge.toml:8:9"), "{said}");
    }
    // The start gets past the configuration, to a state folder that cannot be made.
    fs::write(folder.path().join("state"), "in the way").unwrap();
    let output = weir_edge(folder.path(), &toml, false);
    let said = said(&output);
    assert!(!output.status.success() && said.contains("cannot make the folder"), "{said}");
    let log = String::from_utf8(output.stdout).unwrap() + &said;
    assert!(log.contains("edge.pem is not good before"), "{log}");
}

#[test]
fn all_of_them_at_once_with_those_of_the_configuration() {
    let folder = TempDir::new().unwrap();
    let toml = sound(folder.path()).replace("name = \"e1\"", "nmae = \"e1\"");
    let (expired, _) = certificate(2020, 2021);
    for (name, text) in [
        ("edge.pem", expired.as_str()),
        ("edge.key", "garbled"),
        ("jwks.json", "{}"),
        ("s3.toml", "access_key = \"edge\""),
        ("transport-keys", "garbled"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.path().join("transport-keys"), mode).unwrap();
    let said = said(&weir_edge(folder.path(), &toml, true));
    for part in [
        "edge.toml:1:1",
        "`node.name` is missing",
        "edge.toml:2:1",
        "edge.toml:6:8",
        "does not hold transport keys",
        "edge.toml:8:9",
        "expired",
        "edge.toml:9:7",
        "cannot read the private key",
        "edge.toml:23:8",
        "no JWKS document",
        "s3.toml",
        "`secret_key` is missing",
        "7 mistakes",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    // A start says the same but for the times, and starts nothing.
    let output = weir_edge(folder.path(), &toml, false);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("6 mistakes in edge.toml"));
}
