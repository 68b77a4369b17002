//! `[traces]`: what is taken, and what is said of mistakes.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::{fs, os::unix::fs::PermissionsExt};

use expect_test::expect;
use weir_config::edge::{EdgeConfig, Parents, Traces};

/// An edge with these keys in `[traces]`, and the file `fields` beside it.
fn read(keys: &str, fields: &str) -> Result<Traces, String> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("fields.toml"), fields).unwrap();
    fs::set_permissions(at("fields.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "[node]\nname = \"e1\"\n[listen]\nhttp = [\"127.0.0.1:0\"]\n[[upstream]]\nid = \"web\"\n\
         kind = \"http\"\nurl = \"http://127.0.0.1:9\"\n[[service]]\nid = \"site\"\n\
         preset = \"proxy\"\nupstreams = [\"web\"]\n[traces]\n{keys}\n"
    );
    fs::write(at("edge.toml"), text).unwrap();
    let said = EdgeConfig::load(at("edge.toml"));
    let folder = folder.path().display().to_string();
    said.map(|config| config.traces).map_err(|report| report.to_string().replace(&folder, "DIR"))
}

#[test]
fn off_unless_told() {
    let traces = read("", "").unwrap();
    assert_eq!((traces.endpoint, traces.sample_ppm), (None, 10_000));
    assert_eq!(traces.parents, Parents::Trusted);
}

#[test]
fn endpoints() {
    let check = |told: &str, expected: &str| {
        let traces = read(&format!("endpoint = \"{told}\""), "").unwrap();
        assert_eq!(traces.endpoint.unwrap().as_str(), expected);
    };
    check("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces");
    check("http://[::1]:4318/", "http://[::1]:4318/v1/traces");
    check("https://otlp.example/of/us", "https://otlp.example/of/us");
}

#[test]
fn ratios() {
    let check = |told: &str, expected: u32| {
        assert_eq!(read(&format!("sample_ratio = {told}"), "").unwrap().sample_ppm, expected);
    };
    check("0", 0);
    check("1", 1_000_000);
    check("1.0", 1_000_000);
    check("0.000_25", 250);
    check("5e-1", 500_000);
}

#[test]
fn fields_of_posts_are_read_and_never_shown() {
    let traces =
        read("headers = \"fields.toml\"", "[headers]\nAuthorization = \"Bearer hunter2\"\n")
            .unwrap();
    let [(name, value)] = &traces.headers[..] else { panic!("{:?}", traces.headers) };
    assert_eq!((name.as_str(), value.expose()), ("authorization", "Bearer hunter2"));
    assert!(!format!("{traces:?}").contains("hunter2"));
    let wrong = read(
        "headers = \"fields.toml\"",
        "[headers]\nauthorization = \"Bearer hunter2\\u0007\"\nhost = \"hunter3\"\n\"a b\" = \"\"\nx = 1\n",
    );
    let wrong = wrong.unwrap_err();
    assert!(!wrong.contains("hunter"), "{wrong}");
    expect![[r#"
        error: `headers.authorization` is no header value
          --> DIR/fields.toml:2:17
           |
         2 | (not shown: this file holds secrets)
           | ^ visible ASCII, spaces only inside

        error: the header "host" is set by the exporter
          --> DIR/fields.toml:3:8
           |
         3 | (not shown: this file holds secrets)
           | ^ leave it out

        error: `headers.a b` is no header name: "a b"
          --> DIR/fields.toml:4:9
           |
         4 | (not shown: this file holds secrets)
           | ^ letters, digits and `-`

        error: `headers.x` must be a string, not an integer
          --> DIR/fields.toml:5:5
           |
         5 | (not shown: this file holds secrets)
           | ^

        4 mistakes in DIR/edge.toml; nothing was changed"#]]
    .assert_eq(&wrong);
}

#[test]
fn mistakes() {
    let wrong = read(
        "endpoint = \"localhost:4318\"\nsample_ratio = \"1%\"\nfailed = 1\nparents = \"trust\"\n\
         timeout = \"1ms\"\nbatch = 0\nheader = \"x\"",
        "",
    );
    expect![[r#"
        error: `traces.endpoint` must be an http or https URL
          --> DIR/edge.toml:14:12
           |
        14 | endpoint = "localhost:4318"
           |            ^^^^^^^^^^^^^^^^ it starts with "http://" or "https://"
           = example: endpoint = "http://127.0.0.1:4318"

        error: `traces.sample_ratio` must be a number from 0 to 1, not a string
          --> DIR/edge.toml:15:16
           |
        15 | sample_ratio = "1%"
           |                ^^^^
           = example: sample_ratio = 0.01

        error: `traces.failed` must be true or false, not an integer
          --> DIR/edge.toml:16:10
           |
        16 | failed = 1
           |          ^
           = example: failed = true

        error: `traces.parents` must be one of "never", "trusted", "always"
          --> DIR/edge.toml:17:11
           |
        17 | parents = "trust"
           |           ^^^^^^^ did you mean `trusted`?
           = example: parents = "trusted"

        error: `traces.timeout` is out of range: 1ms is less than 1s
          --> DIR/edge.toml:18:11
           |
        18 | timeout = "1ms"
           |           ^^^^^
           = example: timeout = "10s"

        error: `traces.batch` is out of range: 0 is not between 1 and 8192
          --> DIR/edge.toml:19:9
           |
        19 | batch = 0
           |         ^
           = example: batch = 512

        error: unknown key `traces.header`
          --> DIR/edge.toml:20:1
           |
        20 | header = "x"
           | ^^^^^^ did you mean `headers`?

        7 mistakes in DIR/edge.toml; nothing was changed"#]]
    .assert_eq(&wrong.unwrap_err());
    let wrong = read("sample_ratio = 1.5\nbatch = 100\nqueue = 99\nheaders = \"none.toml\"", "");
    expect![[r#"
        error: `traces.sample_ratio` is out of range: 1.5 is not between 0 and 1
          --> DIR/edge.toml:14:16
           |
        14 | sample_ratio = 1.5
           |                ^^^
           = example: sample_ratio = 0.01

        error: `traces.queue` 99 is less than `traces.batch` 100
          --> DIR/edge.toml:16:9
           |
        16 | queue = 99
           |         ^^ a post takes its spans from the queue
           = example: queue = 8192

        error: `traces.headers` names a file that does not exist: DIR/none.toml
          --> DIR/edge.toml:17:11
           |
        17 | headers = "none.toml"
           |           ^^^^^^^^^^^ paths start at the folder of this configuration
           = example: headers = "traces-headers.toml"

        3 mistakes in DIR/edge.toml; nothing was changed"#]]
    .assert_eq(&wrong.unwrap_err());
}
