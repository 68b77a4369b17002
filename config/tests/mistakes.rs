//! What an operator reads when a configuration is wrong: everything at once, with its place.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use expect_test::{Expect, expect};
use weir_config::{Report, edge::EdgeConfig, origin::OriginConfig};

/// A file in a folder of its own, and what is said about it; the folder reads `DIR`.
fn report<T>(
    load: impl Fn(&Path) -> Result<T, Report>,
    text: &str,
    files: &[(&str, &str)],
) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    fs::write(&file, text).expect("a file");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let report = load(&file).err().expect("it is wrong");
    report.to_string().replace(&folder.path().display().to_string(), "DIR")
}

fn edge(text: &str, files: &[(&str, &str)], expected: &Expect) {
    expected.assert_eq(&report(|path| EdgeConfig::load(path), text, files));
}

fn origin(text: &str, files: &[(&str, &str)], expected: &Expect) {
    expected.assert_eq(&report(|path| OriginConfig::load(path), text, files));
}

/// A good edge, to which one mistake is added.
const GOOD: &str = r#"[node]
name = "e1"
[listen]
http = ["127.0.0.1:0"]
[[upstream]]
id = "web"
kind = "http"
url = "http://127.0.0.1:9"
[[service]]
id = "site"
preset = "proxy"
upstreams = ["web"]
"#;

fn good_but(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn the_good_one_is_good() {
    EdgeConfig::parse("a.toml", GOOD).unwrap();
}

#[test]
fn everything_at_once() {
    let text = r#"[node]
nmae = "edge-1"
workers = 0

[listen]
https = ["127.0.0.1:8443", "localhost:8443"]
http = ["0.0.0.0:8080"]
alt_svc_max_age = 86400

[admin]
listen = "127.0.0.1:8080"

[tls]
min_version = "1.1"

[[tls.certificate]]
chain = "no.pem"

[cache]
memory = "32 MiB"
[[cache.disk]]
path = "d"
size = "10 gigs"
[[cache.disk]]
path = "d/inner"
size = "10 GiB"

[fill]
tiemout = "2s"
resumes = "three"

[log]
level = "inof"

[[upstream]]
id = "s3-main"
kind = "s3"
buckett = "films"
credentials = "enviroment"

[[upstream]]
id = "s3-main"
kind = "http"
url = "ftp://user:pass@host"

[[service]]
id = "film"
hosts = ["https://cdn.example/"]
path_prefix = "/vod/"
strip_prefix = "/film/"
preset = "Media"
upstreams = ["s3_main", "s3-main"]
query_keys = ["CMCD"]
[service.cors]
origins = ["*", "https://a.example/"]
[service.token]
jwks = "keys/jwks.json"
[service.response_headers]
set = { "content-length" = "0", "x y" = "1", "x-ok" = "a\nb" }
[[service]]
id = "again"
path_prefix = "/vod/"
preset = "proxy"
upstreams = []
[[service]]
id = "third"
path_prefix = "/vod/"
preset = "proxy"
upstreams = ["s3-main"]
"#;
    edge(
        text,
        &[],
        &expect![[r#"
        error: `node.name` is missing
          --> DIR/a.toml:1:1
           |
         1 | [node]
           | ^^^^^^
           = example: name = "edge-1"

        error: unknown key `node.nmae`
          --> DIR/a.toml:2:1
           |
         2 | nmae = "edge-1"
           | ^^^^ did you mean `name`?

        error: `node.workers` is out of range: 0 is not between 1 and 1024
          --> DIR/a.toml:3:11
           |
         3 | workers = 0
           |           ^
           = example: workers = 4

        error: `listen.https[1]` must be an IP address and a port, not "localhost:8443"
          --> DIR/a.toml:6:28
           |
         6 | https = ["127.0.0.1:8443", "localhost:8443"]
           |                            ^^^^^^^^^^^^^^^^ names are not looked up here
           = example: https = ["0.0.0.0:443", "[::]:443"]

        error: `listen.alt_svc_max_age` must be a string with a number and a unit, not an integer
          --> DIR/a.toml:8:19
           |
         8 | alt_svc_max_age = 86400
           |                   ^^^^^
           = example: alt_svc_max_age = "24h"

        error: `listen.http[0]` and `admin.listen` cannot both be bound: 0.0.0.0:8080 and 127.0.0.1:8080
          --> DIR/a.toml:11:10
           |
        11 | listen = "127.0.0.1:8080"
           |          ^^^^^^^^^^^^^^^^ line 7 has it already

        error: `tls.min_version` must be one of "1.2", "1.3"
          --> DIR/a.toml:14:15
           |
        14 | min_version = "1.1"
           |               ^^^^^ did you mean `1.2`?
           = example: min_version = "1.3"

        error: `tls.certificate[0].key` is missing
          --> DIR/a.toml:16:1
           |
        16 | [[tls.certificate]]
           | ^^^^^^^^^^^^^^^^^^^
           = example: key = "tls/edge.key"

        error: `tls.certificate[0].chain` names a file that does not exist: DIR/no.pem
          --> DIR/a.toml:17:9
           |
        17 | chain = "no.pem"
           |         ^^^^^^^^ paths start at the folder of this configuration
           = example: chain = "tls/edge.pem"

        error: `cache.disk[0].size`: "gigs" is no unit; units are B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024)
          --> DIR/a.toml:23:8
           |
        23 | size = "10 gigs"
           |        ^^^^^^^^^
           = example: size = "100 GiB"

        error: `cache.disk[1].path` overlaps that of the disk at line 21: DIR/d
          --> DIR/a.toml:25:8
           |
        25 | path = "d/inner"
           |        ^^^^^^^^^
           = example: path = "/var/cache/weir/disk0"

        error: unknown key `fill.tiemout`
          --> DIR/a.toml:29:1
           |
        29 | tiemout = "2s"
           | ^^^^^^^ known here: `concurrency`, `deadline`, `resumes`

        error: `fill.resumes` must be a whole number, not a string
          --> DIR/a.toml:30:11
           |
        30 | resumes = "three"
           |           ^^^^^^^
           = example: resumes = 3

        error: `log.level` must be one of "error", "warn", "info", "debug", "trace"
          --> DIR/a.toml:33:9
           |
        33 | level = "inof"
           |         ^^^^^^ did you mean `info`?
           = example: level = "info"

        error: `upstream[0].bucket` is missing
          --> DIR/a.toml:35:1
           |
        35 | [[upstream]]
           | ^^^^^^^^^^^^
           = example: bucket = "films"

        error: unknown key `upstream[0].buckett`
          --> DIR/a.toml:38:1
           |
        38 | buckett = "films"
           | ^^^^^^^ did you mean `bucket`?

        error: `upstream[0].credentials` must be one of "anonymous", "env", "imds"
          --> DIR/a.toml:39:15
           |
        39 | credentials = "enviroment"
           |               ^^^^^^^^^^^^ did you mean `env`?
           = example: credentials = { file = "s3-credentials.toml" }

        error: `upstream[1].id` is given twice: "s3-main"
          --> DIR/a.toml:42:6
           |
        42 | id = "s3-main"
           |      ^^^^^^^^^ line 36 has it already

        error: `upstream[1].url` must be an http or https URL
          --> DIR/a.toml:44:7
           |
        44 | url = "ftp://***@host"
           |       ^^^^^^^^^^^^^^^^ it starts with "http://" or "https://"
           = example: url = "https://origin.example"

        error: `service[0].hosts[0]` is no host name: "https://cdn.example/"
          --> DIR/a.toml:48:10
           |
        48 | hosts = ["https://cdn.example/"]
           |          ^^^^^^^^^^^^^^^^^^^^^^ the name only, without scheme and path
           = example: hosts = ["cdn.example"]

        error: `service[0].strip_prefix` must be a beginning of `path_prefix`: "/film/" is none of "/vod/"
          --> DIR/a.toml:50:16
           |
        50 | strip_prefix = "/film/"
           |                ^^^^^^^^
           = example: strip_prefix = "/vod/"

        error: `service[0].preset` must be one of "media", "proxy"
          --> DIR/a.toml:51:10
           |
        51 | preset = "Media"
           |          ^^^^^^^ did you mean `media`?
           = example: preset = "media"

        error: `service[0].upstreams[0]` names an unknown upstream: "s3_main"
          --> DIR/a.toml:52:14
           |
        52 | upstreams = ["s3_main", "s3-main"]
           |              ^^^^^^^^^ did you mean `s3-main`?
           = example: upstreams = ["s3-main"]

        error: `service[0].query_keys[0]`: "CMCD" never enters the cache key
          --> DIR/a.toml:53:15
           |
        53 | query_keys = ["CMCD"]
           |               ^^^^^^ players send their state in it
           = example: query_keys = ["v"]

        error: `service[0].cors.origins[1]` is no origin as browsers send it
          --> DIR/a.toml:55:17
           |
        55 | origins = ["*", "https://a.example/"]
           |                 ^^^^^^^^^^^^^^^^^^^^ write "https://a.example"
           = example: origins = ["https://player.example"]

        error: `service[0].token.jwks` names a file that does not exist: DIR/keys/jwks.json
          --> DIR/a.toml:57:8
           |
        57 | jwks = "keys/jwks.json"
           |        ^^^^^^^^^^^^^^^^ paths start at the folder of this configuration

        error: the header "content-length" belongs to the connection
          --> DIR/a.toml:59:28
           |
        59 | set = { "content-length" = "0", "x y" = "1", "x-ok" = "a\nb" }
           |                            ^^^ it cannot be set or removed by a rule

        error: `service[0].response_headers.set.x y` is no header name: "x y"
          --> DIR/a.toml:59:41
           |
        59 | set = { "content-length" = "0", "x y" = "1", "x-ok" = "a\nb" }
           |                                         ^^^ letters, digits and `-`

        error: `service[0].response_headers.set.x-ok` is no header value
          --> DIR/a.toml:59:55
           |
        59 | set = { "content-length" = "0", "x y" = "1", "x-ok" = "a\nb" }
           |                                                       ^^^^^^ visible ASCII, spaces only inside

        error: `service[1].upstreams` is empty
          --> DIR/a.toml:64:13
           |
        64 | upstreams = []
           |             ^^
           = example: upstreams = ["s3-main"]

        error: `service[2]` takes every host with "/vod/" again
          --> DIR/a.toml:65:1
           |
        65 | [[service]]
           | ^^^^^^^^^^^ the service at line 60 has them already

        31 mistakes in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn nothing_at_all() {
    edge(
        "",
        &[],
        &expect![[r#"
        error: `node.name` is missing
          --> DIR/a.toml
           = example: [node] name = "edge-1"

        error: `listen.https` is missing
          --> DIR/a.toml
           = example: [listen] https = ["0.0.0.0:443", "[::]:443"]

        error: there is no `[[upstream]]`
          --> DIR/a.toml
           = example: [[upstream]] id = "web" kind = "http" url = "https://origin.example"

        error: there is no `[[service]]`
          --> DIR/a.toml
           = example: [[service]] id = "site" preset = "proxy" upstreams = ["web"]

        4 mistakes in DIR/a.toml; nothing was changed"#]],
    );
    origin(
        "",
        &[],
        &expect![[r#"
        error: `listen.http` is missing
          --> DIR/a.toml
           = example: [listen] http = ["127.0.0.1:9000"]

        error: `store.path` is missing
          --> DIR/a.toml
           = example: [store] path = "store"

        error: `store.buckets` is missing
          --> DIR/a.toml
           = example: [store] buckets = ["films"]

        3 mistakes in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn not_toml() {
    edge(
        &good_but("name = \"e1\"", "name = \"e1\nworkers = "),
        &[],
        &expect![[r#"
        error: this is not TOML: invalid basic string, expected `"`
          --> DIR/a.toml:2:11
           |
         2 | name = "e1
           |           ^

        error: this is not TOML: string values must be quoted, expected literal string
          --> DIR/a.toml:3:11
           |
         3 | workers =
           |           ^

        2 mistakes in DIR/a.toml; nothing was changed"#]],
    );
}

/// After a syntax error nothing is called missing that may only be hidden by it.
#[test]
fn a_syntax_error_and_a_mistake() {
    let text = good_but("[listen]", "[listen").replace("preset = \"proxy\"", "preset = \"prxy\"");
    edge(
        &text,
        &[],
        &expect![[r#"
        error: this is not TOML: unclosed table, expected `]`
          --> DIR/a.toml:3:8
           |
         3 | [listen
           |        ^

        error: `service[0].preset` must be one of "media", "proxy"
          --> DIR/a.toml:11:10
           |
        11 | preset = "prxy"
           |          ^^^^^^ did you mean `proxy`?
           = example: preset = "media"

        2 mistakes in DIR/a.toml; nothing was changed"#]],
    );
}

/// Nor is a value called wrong that nobody wrote.
#[test]
fn a_syntax_error_in_a_value() {
    edge(
        &good_but("[listen]", "workers = = 2\n[listen]"),
        &[],
        &expect![[r#"
        error: this is not TOML: extra `=`, expected nothing
          --> DIR/a.toml:3:11
           |
         3 | workers = = 2
           |           ^

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn hosts_are_names_without_brackets() {
    let check = |written: &str, read: &str| {
        let text = good_but("preset", &format!("hosts = [\"{written}\"]\npreset"));
        let config = EdgeConfig::parse("a.toml", &text).unwrap();
        assert_eq!(config.services[0].hosts, [read]);
    };
    check("CDN.Example", "cdn.example");
    check("127.0.0.1", "127.0.0.1");
    // As the `host` of a URL `https://[::1]/` is looked up.
    check("[::1]", "::1");
    check("2001:DB8:0::1", "2001:db8::1");
}

/// Two upstreams with the same credentials are one mistake.
#[test]
fn a_shared_file_is_told_once() {
    let s3 = "kind = \"s3\"\nbucket = \"films\"\ncredentials = { file = \"c.toml\" }\n";
    let text = good_but(
        "kind = \"http\"\nurl = \"http://127.0.0.1:9\"\n",
        &format!("{s3}[[upstream]]\nid = \"web2\"\n{s3}"),
    );
    edge(
        &text,
        &[("c.toml", "access_key = \"AKIA\"\n")],
        &expect![[r#"
        error: `secret_key` is missing
          --> DIR/c.toml
           = example: secret_key = "…"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn wrong_types() {
    let text = r#"node = 3
listen = [1]
cache.disk = "here"
upstream = {}
service = [1, { id = 2 }]
log.access = false
"#;
    edge(
        text,
        &[],
        &expect![[r#"
        error: `node` must be a table, not an integer
          --> DIR/a.toml:1:8
           |
         1 | node = 3
           |        ^

        error: `listen` must be a table, not a list
          --> DIR/a.toml:2:10
           |
         2 | listen = [1]
           |          ^^^

        error: `cache.disk` must be a list of tables, not a string
          --> DIR/a.toml:3:14
           |
         3 | cache.disk = "here"
           |              ^^^^^^ write [[cache.disk]]

        error: `upstream` must be a list of tables, not a table
          --> DIR/a.toml:4:12
           |
         4 | upstream = {}
           |            ^^ write [[upstream]]

        error: `service[0]` must be a table, not an integer
          --> DIR/a.toml:5:12
           |
         5 | service = [1, { id = 2 }]
           |            ^

        error: `service[1].preset` is missing
          --> DIR/a.toml:5:15
           |
         5 | service = [1, { id = 2 }]
           |               ^^^^^^^^^^
           = example: preset = "media"

        error: `service[1].upstreams` is missing
          --> DIR/a.toml:5:15
           |
         5 | service = [1, { id = 2 }]
           |               ^^^^^^^^^^
           = example: upstreams = ["s3-main"]

        error: `service[1].id` must be a string, not an integer
          --> DIR/a.toml:5:22
           |
         5 | service = [1, { id = 2 }]
           |                      ^
           = example: id = "film"

        error: `log.access` must be a string, not a boolean
          --> DIR/a.toml:6:14
           |
         6 | log.access = false
           |              ^^^^^
           = example: access = "log/access.jsonl"

        9 mistakes in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn folders_of_disks() {
    let text = format!(
        "{GOOD}[cache]\nadmission = \"twice\"\nstate = \"d/s/metadata.redb\"\n\
         [[cache.disk]]\npath = \"d\"\nsize = \"1 GiB\"\n\
         [[cache.disk]]\npath = \"e\"\nsize = \"1 GiB\"\n\
         [[cache.disk]]\npath = \"e\"\nsize = \"1 GiB\"\n"
    );
    edge(
        &text,
        &[],
        &expect![[r#"
        error: `cache.admission` must be one of "second-hit", "always"
          --> DIR/a.toml:14:13
           |
        14 | admission = "twice"
           |             ^^^^^^^
           = example: admission = "second-hit"

        error: `cache.disk[0].path` holds `cache.state`: DIR/d
          --> DIR/a.toml:17:8
           |
        17 | path = "d"
           |        ^^^ a disk has a folder of its own
           = example: path = "/var/cache/weir/disk0"

        error: `cache.disk[2].path` is the same folder as that of the disk at line 19: DIR/e
          --> DIR/a.toml:23:8
           |
        23 | path = "e"
           |        ^^^
           = example: path = "/var/cache/weir/disk0"

        3 mistakes in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn the_access_log_is_a_file() {
    let folder = "[log]\naccess = \"logs.d\"\n[[upstream]]";
    let check = |to: &str, expected: Expect| {
        edge(&good_but("[[upstream]]", to), &[("plain", "x")], &expected);
    };
    check(
        "[log]\naccess = \".\"\n[[upstream]]",
        expect![[r#"
        error: `log.access` names a folder, not a file: DIR/.
          --> DIR/a.toml:6:10
           |
         6 | access = "."
           |          ^^^ the file that is to be written in it
           = example: access = "log/access.jsonl"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
    check(
        "[log]\naccess = \"logs/\"\n[[upstream]]",
        expect![[r#"
        error: `log.access` names a folder, not a file: DIR/logs/
          --> DIR/a.toml:6:10
           |
         6 | access = "logs/"
           |          ^^^^^^^ the file that is to be written in it
           = example: access = "log/access.jsonl"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
    check(
        "[log]\naccess = \"plain/access.jsonl\"\n[[upstream]]",
        expect![[r#"
        error: `log.access` names DIR/plain/access.jsonl, and DIR/plain is no folder
          --> DIR/a.toml:6:10
           |
         6 | access = "plain/access.jsonl"
           |          ^^^^^^^^^^^^^^^^^^^^
           = example: access = "log/access.jsonl"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
    EdgeConfig::parse("a.toml", &good_but("[[upstream]]", folder)).unwrap();
}

#[test]
fn nobody_is_hedged_with() {
    edge(
        &good_but("upstreams = [\"web\"]", "upstreams = [\"web\"]\nhedge = true"),
        &[],
        &expect![[r#"
            error: `service[0].hedge` has nobody to ask beside the one upstream
              --> DIR/a.toml:13:9
               |
            13 | hedge = true
               |         ^^^^ name a second one in `upstreams`, or leave `hedge` out

            1 mistake in DIR/a.toml; nothing was changed"#]],
    );
    EdgeConfig::parse("a.toml", &format!("{GOOD}hedge = false\n")).unwrap();
}

#[test]
fn sums_that_cannot_be() {
    let text = format!("{GOOD}[cache]\nmemory = \"64 MiB\"\n[fill]\nconcurrency = 200\n");
    edge(
        &text,
        &[],
        &expect![[r#"
        error: `cache.memory` 64 MiB is too small for its parts: `fill.concurrency` 200 × 1 MiB, a sixteenth for metadata and at least 16 MiB for the RAM tier
          --> DIR/a.toml:14:10
           |
        14 | memory = "64 MiB"
           |          ^^^^^^^^ at least 231 MiB, or fewer fills
           = example: memory = "512 MiB"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
    let text = format!("{GOOD}[fill]\nconcurrency = 2000\n");
    edge(
        &text,
        &[],
        &expect![[r#"
        error: `cache.memory` 512 MiB is too small for its parts: `fill.concurrency` 2000 × 1 MiB, a sixteenth for metadata and at least 16 MiB for the RAM tier
          --> DIR/a.toml
           = at least 2151 MiB, or fewer fills

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
    let text = format!("{GOOD}[cache]\nmemory = \"1 GiB\"\nobjects = 10_000_000\n");
    edge(
        &text,
        &[],
        &expect![[r#"
        error: `cache.memory` 1 GiB is too small for its parts: `fill.concurrency` 64 × 1 MiB, `cache.objects` 10000000 × 200 B and at least 16 MiB for the RAM tier
          --> DIR/a.toml:14:10
           |
        14 | memory = "1 GiB"
           |          ^^^^^^^ at least 1988 MiB, or fewer fills or objects
           = example: memory = "512 MiB"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn tls_needs_a_certificate() {
    edge(
        &good_but("http = [", "https = ["),
        &[],
        &expect![[r#"
        error: `listen.https` needs a certificate: `tls.certificate` is missing
          --> DIR/a.toml
           = example: [[tls.certificate]] chain = "tls/edge.pem" key = "tls/edge.key"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
    edge(
        &good_but("[listen]", "[listen]\nhttp3 = true"),
        &[],
        &expect![[r#"
        error: `listen.http3` needs `listen.https`
          --> DIR/a.toml:4:9
           |
         4 | http3 = true
           |         ^^^^ HTTP/3 is served on the UDP ports of those addresses

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn secrets_are_not_shown() {
    let s3 = |credentials: &str| {
        good_but(
            "kind = \"http\"\nurl = \"http://127.0.0.1:9\"",
            &format!("kind = \"s3\"\nbucket = \"films\"\n{credentials}"),
        )
    };
    let inline = s3("credentials = { access_key = \"AKIA\", secret_key = \"hunter2\" }");
    edge(
        &inline,
        &[],
        &expect![[r#"
        error: `upstream[0].credentials.file` is missing
          --> DIR/a.toml:9:15
           |
         9 | credentials = { access_key = "***", secret_key = "***" }
           |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           = example: file = "s3-credentials.toml"

        error: unknown key `upstream[0].credentials.access_key`
          --> DIR/a.toml:9:17
           |
         9 | credentials = { access_key = "***", secret_key = "***" }
           |                 ^^^^^^^^^^ known here: `file`

        error: unknown key `upstream[0].credentials.secret_key`
          --> DIR/a.toml:9:38
           |
         9 | credentials = { access_key = "***", secret_key = "***" }
           |                                     ^^^^^^^^^^ known here: `file`

        3 mistakes in DIR/a.toml; nothing was changed"#]],
    );
    let file = s3("credentials = { file = \"c.toml\" }");
    let wrong = "access_key = \"AKIA\"\nsecret_kye = \"hunter2\"\nsecret_key = hunter2\n";
    edge(
        &file,
        &[("c.toml", wrong)],
        &expect![[r#"
        error: unknown key `secret_kye`
          --> DIR/c.toml:2:1
           |
         2 | (not shown: this file holds secrets)
           | ^ did you mean `secret_key`?

        error: this is not TOML: string values must be quoted, expected literal string
          --> DIR/c.toml:3:14
           |
         3 | (not shown: this file holds secrets)
           | ^

        2 mistakes in DIR/a.toml; nothing was changed"#]],
    );
    let url = good_but("http://127.0.0.1:9", "http://me:hunter2@127.0.0.1:9");
    edge(
        &url,
        &[],
        &expect![[r#"
        error: `upstream[0].url` must be an http or https URL
          --> DIR/a.toml:8:7
           |
         8 | url = "http://***@127.0.0.1:9"
           |       ^^^^^^^^^^^^^^^^^^^^^^^^ user and password do not belong into a URL
           = example: url = "https://origin.example"

        1 mistake in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn an_origin() {
    let text = r#"[listen]
http = ["127.0.0.1:9000", "127.0.0.1:9000"]
[store]
path = "store"
buckets = ["Films", "a"]
[[access_key]]
id = "edge"
secret_file = "short"
allow = "write-only"
[[access_key]]
id = "edge"
buckets = ["fims"]
"#;
    origin(
        text,
        &[("short", "abc")],
        &expect![[r#"
        error: `listen.http[0]` and `listen.http[1]` cannot both be bound: 127.0.0.1:9000 and 127.0.0.1:9000
          --> DIR/a.toml:2:27
           |
         2 | http = ["127.0.0.1:9000", "127.0.0.1:9000"]
           |                           ^^^^^^^^^^^^^^^^ line 2 has it already

        error: `store.buckets[0]` is no bucket name: "Films"
          --> DIR/a.toml:5:12
           |
         5 | buckets = ["Films", "a"]
           |            ^^^^^^^ 3 to 63 lower-case letters, digits, `-` and `.`
           = example: buckets = ["films"]

        error: `store.buckets[1]` is no bucket name: "a"
          --> DIR/a.toml:5:21
           |
         5 | buckets = ["Films", "a"]
           |                     ^^^ 3 to 63 lower-case letters, digits, `-` and `.`
           = example: buckets = ["films"]

        error: `access_key[0].secret_file` names a file that holds no usable secret: DIR/short
          --> DIR/a.toml:8:15
           |
         8 | secret_file = "short"
           |               ^^^^^^^ one line of 16 to 4096 characters without white space
           = example: secret_file = "keys/edge.secret"

        error: `access_key[0].allow` must be one of "read", "write"
          --> DIR/a.toml:9:9
           |
         9 | allow = "write-only"
           |         ^^^^^^^^^^^^ did you mean `write`?
           = example: allow = "read"

        error: `access_key[1].secret_file` is missing
          --> DIR/a.toml:10:1
           |
        10 | [[access_key]]
           | ^^^^^^^^^^^^^^
           = example: secret_file = "keys/edge.secret"

        error: `access_key[1].id` is given twice: "edge"
          --> DIR/a.toml:11:6
           |
        11 | id = "edge"
           |      ^^^^^^ line 7 has it already

        7 mistakes in DIR/a.toml; nothing was changed"#]],
    );
    let text = text.replace("\"Films\", \"a\"", "\"films\"");
    origin(
        &text,
        &[("short", "0123456789abcdef")],
        &expect![[r#"
        error: `listen.http[0]` and `listen.http[1]` cannot both be bound: 127.0.0.1:9000 and 127.0.0.1:9000
          --> DIR/a.toml:2:27
           |
         2 | http = ["127.0.0.1:9000", "127.0.0.1:9000"]
           |                           ^^^^^^^^^^^^^^^^ line 2 has it already

        error: `access_key[0].allow` must be one of "read", "write"
          --> DIR/a.toml:9:9
           |
         9 | allow = "write-only"
           |         ^^^^^^^^^^^^ did you mean `write`?
           = example: allow = "read"

        error: `access_key[1].secret_file` is missing
          --> DIR/a.toml:10:1
           |
        10 | [[access_key]]
           | ^^^^^^^^^^^^^^
           = example: secret_file = "keys/edge.secret"

        error: `access_key[1].id` is given twice: "edge"
          --> DIR/a.toml:11:6
           |
        11 | id = "edge"
           |      ^^^^^^ line 7 has it already

        error: `access_key[1].buckets[0]` names a bucket that `store.buckets` does not have: "fims"
          --> DIR/a.toml:12:12
           |
        12 | buckets = ["fims"]
           |            ^^^^^^ did you mean `films`?
           = example: buckets = ["films"]

        5 mistakes in DIR/a.toml; nothing was changed"#]],
    );
}

#[test]
fn files_that_cannot_be_read() {
    let load = |path: &Path| EdgeConfig::load(path).map(drop).unwrap_err().to_string();
    let folder = tempfile::tempdir().unwrap();
    let show = |text: String| text.replace(&folder.path().display().to_string(), "DIR");
    expect![[r#"
        error: there is no file DIR/none.toml
          --> DIR/none.toml
           = give another one with --config, or start from config/examples/

        1 mistake in DIR/none.toml; nothing was changed"#]]
    .assert_eq(&show(load(&folder.path().join("none.toml"))));
    expect![[r#"
        error: DIR is a folder, not a file
          --> DIR

        1 mistake in DIR; nothing was changed"#]]
    .assert_eq(&show(load(folder.path())));
    let binary = folder.path().join("binary.toml");
    fs::write(&binary, b"[node]\nname = \"\xff\"").unwrap();
    expect![[r#"
        error: DIR/binary.toml: line 2 is not UTF-8
          --> DIR/binary.toml
           = save the file as UTF-8

        1 mistake in DIR/binary.toml; nothing was changed"#]]
    .assert_eq(&show(load(&binary)));
    fs::write(&binary, vec![b'#'; (1 << 20) + 1]).unwrap();
    expect![[r#"
        error: DIR/binary.toml is larger than 1 MiB: it is no configuration
          --> DIR/binary.toml

        1 mistake in DIR/binary.toml; nothing was changed"#]]
    .assert_eq(&show(load(&binary)));
}

/// A key that this user may not read; root may read everything, so it cannot see this.
#[test]
fn a_key_without_permission() {
    let folder = tempfile::tempdir().unwrap();
    let text = good_but("http = [", "https = [")
        + "[[tls.certificate]]\nchain = \"c.pem\"\nkey = \"c.key\"\n";
    let file = folder.path().join("a.toml");
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("c.pem"), "").unwrap();
    let key = folder.path().join("c.key");
    fs::write(&key, "").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).unwrap();
    let all_powerful = fs::File::open(&key).is_ok();
    match EdgeConfig::load(&file) {
        Ok(_) => assert!(all_powerful),
        Err(report) => {
            let said = report.to_string();
            assert!(
                said.contains("`tls.certificate[0].key` names a file that this user may not read")
            );
        }
    }
}
