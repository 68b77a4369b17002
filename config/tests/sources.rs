//! Several files and the environment as one configuration: who wins, who says so, and where a
//! mistake is said to be.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

use std::{fs, path::Path};

use expect_test::{Expect, expect};
use weir_config::{
    Loaded, Report, Sources, Unjudged,
    edge::EdgeConfig,
    keys::{Class, Server},
};

const MAIN: &str = r#"[node]
name = "e1"
[listen]
http = ["127.0.0.1:0"]
[fill]
deadline = "2s"
[[upstream]]
id = "s3-main"
kind = "s3"
bucket = "films"
[[upstream]]
id = "web"
kind = "http"
url = "http://127.0.0.1:9"
[[service]]
id = "site"
preset = "proxy"
upstreams = ["web"]
[service.response_headers]
set = { "x-a" = "1" }
"#;

fn load(
    files: &[(&str, &str)],
    environment: &[(&str, &str)],
) -> (tempfile::TempDir, Result<Loaded<EdgeConfig>, Report>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("edge.toml"), MAIN).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let owned = |(name, value): &(&str, &str)| {
        (name.to_string(), value.replace("DIR", &folder.path().display().to_string()))
    };
    let sources = Sources::new(folder.path().join("edge.toml"))
        .environment(Server::Edge, environment.iter().map(owned));
    let loaded = sources.read().and_then(|texts| EdgeConfig::of(texts, &Unjudged));
    (folder, loaded)
}

/// The entries of a good configuration whose key begins so.
fn check(files: &[(&str, &str)], environment: &[(&str, &str)], keys: &[&str], expected: &Expect) {
    let (folder, loaded) = load(files, environment);
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    let shown: String = loaded
        .entries
        .iter()
        .filter(|entry| keys.iter().any(|key| entry.key.starts_with(key)))
        .map(|entry| format!("{} = {} # {}\n", entry.key, entry.value, entry.origin))
        .collect();
    expected.assert_eq(&shown.replace(&folder.path().display().to_string(), "DIR"));
}

fn wrong(files: &[(&str, &str)], environment: &[(&str, &str)], expected: &Expect) {
    let (folder, loaded) = load(files, environment);
    let report = loaded.expect_err("it is wrong").to_string();
    expected.assert_eq(&report.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn later_files_win_key_by_key_and_tables_by_name() {
    let cache = "[fill]\ndeadline = \"5s\"\nresumes = 7\n";
    let service = "[[service]]\nid = \"site\"\ndefault_ttl = \"9s\"\n\
                   [service.response_headers]\nset = { \"x-b\" = \"2\" }\n\
                   [[service]]\nid = \"more\"\npath_prefix = \"/more/\"\npreset = \"proxy\"\n\
                   upstreams = [\"web\"]\n";
    check(
        &[
            ("conf.d/20-late.toml", "[fill]\ndeadline = \"6s\"\n"),
            ("conf.d/10-cache.toml", cache),
            ("conf.d/30-service.toml", service),
            ("conf.d/.hidden.toml", "[nobody]\n"),
            ("conf.d/40.toml.bak", "[nobody]\n"),
        ],
        &[],
        &["fill", "service"],
        &expect![[r#"
            fill.concurrency = 64 # default
            fill.deadline = "6s" # DIR/conf.d/20-late.toml:2:12
            fill.resumes = 7 # DIR/conf.d/10-cache.toml:3:11
            service[site].id = "site" # DIR/conf.d/30-service.toml:2:6
            service[site].hosts = (every host) # default
            service[site].path_prefix = "/" # default
            service[site].strip_prefix = (nothing) # default
            service[site].preset = "proxy" # DIR/edge.toml:17:10
            service[site].upstreams = ["web"] # DIR/edge.toml:18:13
            service[site].query_keys = (none) # default
            service[site].default_ttl = "9s" # DIR/conf.d/30-service.toml:3:15
            service[site].negative_ttl = (1s for `media`, none for `proxy`) # default
            service[site].stale_if_error = "1h" # default
            service[site].store_set_cookie = false # default
            service[site].hedge = false # default
            service[site].server_timing = false # default
            service[site].response_headers.set.x-a = "1" # DIR/edge.toml:20:17
            service[site].response_headers.set.x-b = "2" # DIR/conf.d/30-service.toml:5:17
            service[site].response_headers.remove = (empty) # default
            service[more].id = "more" # DIR/conf.d/30-service.toml:7:6
            service[more].hosts = (every host) # default
            service[more].path_prefix = "/more/" # DIR/conf.d/30-service.toml:8:15
            service[more].strip_prefix = (nothing) # default
            service[more].preset = "proxy" # DIR/conf.d/30-service.toml:9:10
            service[more].upstreams = ["web"] # DIR/conf.d/30-service.toml:10:13
            service[more].query_keys = (none) # default
            service[more].default_ttl = (60s for `media`, none for `proxy`) # default
            service[more].negative_ttl = (1s for `media`, none for `proxy`) # default
            service[more].stale_if_error = "1h" # default
            service[more].store_set_cookie = false # default
            service[more].hedge = false # default
            service[more].server_timing = false # default
            service[more].response_headers.set = (empty) # default
            service[more].response_headers.remove = (empty) # default
        "#]],
    );
}

#[test]
fn the_environment_wins_over_files() {
    check(
        &[("conf.d/10.toml", "[fill]\ndeadline = \"5s\"\n")],
        &[
            ("WEIR_EDGE__FILL__DEADLINE", "8s"),
            ("WEIR_EDGE__FILL__RESUMES", "4"),
            ("WEIR_EDGE__UPSTREAM__S3_MAIN__REGION", "lima"),
            ("WEIR_EDGE__UPSTREAM__1__URL", "http://127.0.0.1:10"),
            ("WEIR_EDGE__SERVICE__SITE__UPSTREAMS", "[\"web\", \"s3-main\"]"),
            ("WEIR_EDGE__TLS__MIN_VERSION", "1.2"),
            ("WEIR_EDGE__LISTEN__HTTP", "[\"127.0.0.1:1\"]"),
            ("WEIR_LOG", "debug"),
            ("WEIR_TEST_CRASH_FROM", "1"),
        ],
        &["fill", "listen.http", "upstream", "service[site].upstreams", "tls"],
        &expect![[r#"
            listen.https = (none) # default
            listen.http = ["127.0.0.1:1"] # $WEIR_EDGE__LISTEN__HTTP
            listen.http3 = (true where there is `listen.https`) # default
            tls.min_version = "1.2" # $WEIR_EDGE__TLS__MIN_VERSION
            tls.keys = "state/transport-keys" # default
            fill.concurrency = 64 # default
            fill.deadline = "8s" # $WEIR_EDGE__FILL__DEADLINE
            fill.resumes = 4 # $WEIR_EDGE__FILL__RESUMES
            upstream[s3-main].id = "s3-main" # DIR/edge.toml:8:6
            upstream[s3-main].kind = "s3" # DIR/edge.toml:9:8
            upstream[s3-main].max_fills = (three quarters of `fill.concurrency`, all of it for the only upstream) # default
            upstream[s3-main].endpoint = (`s3` only: the region's endpoint at AWS) # default
            upstream[s3-main].bucket = "films" # DIR/edge.toml:10:10
            upstream[s3-main].region = "lima" # $WEIR_EDGE__UPSTREAM__S3_MAIN__REGION
            upstream[s3-main].path_style = (true where there is an `endpoint`) # default
            upstream[s3-main].credentials = "anonymous" # default
            upstream[web].id = "web" # DIR/edge.toml:12:6
            upstream[web].kind = "http" # DIR/edge.toml:13:8
            upstream[web].max_fills = (three quarters of `fill.concurrency`, all of it for the only upstream) # default
            upstream[web].url = "http://127.0.0.1:10" # $WEIR_EDGE__UPSTREAM__1__URL
            service[site].upstreams = ["web", "s3-main"] # $WEIR_EDGE__SERVICE__SITE__UPSTREAMS
        "#]],
    );
}

#[test]
fn mistakes_name_the_text_that_they_stand_in() {
    wrong(
        &[
            ("conf.d/10-cache.toml", "[fill]\ntiemout = \"2s\"\n[cache]\nmemory = \"1 MiB\"\n"),
            ("conf.d/20-more.toml", "[[upstream]]\nid = \"web\"\nurl = \"ftp://x\"\n"),
        ],
        &[
            ("WEIR_EDGE__FILL__RESUMES", "many"),
            ("WEIR_EDGE__FILL__DEADLINE", "2 parsecs"),
            ("WEIR_EDGE__FILL__DEADLIN", "2s"),
            ("WEIR_EDGE__FILL", "2s"),
            ("WEIR_EDGE__SERVICE__SIGHT__PRESET", "media"),
            ("WEIR_EDGE__SERVICE__SITE", "media"),
            ("WEIR_EDGE__CACHE__DISK__0__SIZE", "1 GiB"),
        ],
        &expect![[r#"
            error: unknown key `fill.tiemout`
              --> DIR/conf.d/10-cache.toml:2:1
               |
             2 | tiemout = "2s"
               | ^^^^^^^ known here: `concurrency`, `deadline`, `resumes`

            error: `cache.memory` is out of range: 1 MiB is less than 16 MiB
              --> DIR/conf.d/10-cache.toml:4:10
               |
             4 | memory = "1 MiB"
               |          ^^^^^^^
               = example: memory = "512 MiB"

            error: `upstream[1].url` must be an http or https URL
              --> DIR/conf.d/20-more.toml:3:7
               |
             3 | url = "ftp://x"
               |       ^^^^^^^^^ it starts with "http://" or "https://"
               = example: url = "https://origin.example"

            error: there is no `[[cache.disk]]` that is called "0"
              --> $WEIR_EDGE__CACHE__DISK__0__SIZE:1:1
               |
             1 | WEIR_EDGE__CACHE__DISK__0__SIZE=1 GiB
               | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the environment makes none: write a [[cache.disk]] into a file

            error: `fill` is a table: say which key of it
              --> $WEIR_EDGE__FILL:1:1
               |
             1 | WEIR_EDGE__FILL=2s
               | ^^^^^^^^^^^^^^^ known there: concurrency, deadline, resumes

            error: `deadlin` is no key of `fill`
              --> $WEIR_EDGE__FILL__DEADLIN:1:1
               |
             1 | WEIR_EDGE__FILL__DEADLIN=2s
               | ^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `deadline`?

            error: `fill.deadline`: "parsecs" is no unit; units are ns, us, ms, s, min (or m), h and d
              --> $WEIR_EDGE__FILL__DEADLINE:1:27
               |
             1 | WEIR_EDGE__FILL__DEADLINE=2 parsecs
               |                           ^^^^^^^^^
               = example: deadline = "2s"

            error: this is not TOML: string values must be quoted, expected literal string
              --> $WEIR_EDGE__FILL__RESUMES:1:26
               |
             1 | WEIR_EDGE__FILL__RESUMES=many
               |                          ^^^^

            error: there is no `[[service]]` that is called "sight"
              --> $WEIR_EDGE__SERVICE__SIGHT__PRESET:1:1
               |
             1 | WEIR_EDGE__SERVICE__SIGHT__PRESET=media
               | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ known: site

            error: `service[]` of "site" is a table: say which key of it
              --> $WEIR_EDGE__SERVICE__SITE:1:1
               |
             1 | WEIR_EDGE__SERVICE__SITE=media
               | ^^^^^^^^^^^^^^^^^^^^^^^^ known there: id, hosts, path_prefix, strip_prefix, preset, upstreams, query_keys, default_ttl, negative_ttl, stale_if_error, store_set_cookie, hedge, server_timing, cors, token, response_headers

            10 mistakes in DIR/edge.toml; nothing was changed"#]],
    );
}

#[test]
fn names_given_twice_tell_the_other_file() {
    wrong(
        &[(
            "conf.d/10.toml",
            "[[service]]\nid = \"a\"\npreset = \"proxy\"\nupstreams = [\"web\"]\n\
             [[service]]\nid = \"a\"\npath_prefix = \"/b\"\npreset = \"proxy\"\nupstreams = [\"web\"]\n",
        )],
        &[],
        &expect![[r#"
            error: `service[1]` takes every host with "/" again
              --> DIR/conf.d/10.toml:1:1
               |
             1 | [[service]]
               | ^^^^^^^^^^^ the service at DIR/edge.toml:15 has them already

            error: `service[2].id` is given twice: "a"
              --> DIR/conf.d/10.toml:6:6
               |
             6 | id = "a"
               |      ^^^ line 2 has it already
               = example: id = "film"

            2 mistakes in DIR/edge.toml; nothing was changed"#]],
    );
}

#[test]
fn broken_files_and_too_many_of_them() {
    wrong(
        &[
            ("conf.d/10.toml", "[fill\ndeadline = 3\n"),
            ("conf.d/20.toml", "[log]\nlevl = \"info\"\n"),
        ],
        &[],
        &expect![[r#"
            error: this is not TOML: unclosed table, expected `]`
              --> DIR/conf.d/10.toml:1:6
               |
             1 | [fill
               |      ^

            error: unknown key `deadline`
              --> DIR/conf.d/10.toml:2:1
               |
             2 | deadline = 3
               | ^^^^^^^^ known here: `node`, `listen`, `admin`, `tls`, `fill`, `cache`, `clients`, `overload`, `limits`, `log`, `traces`, `steering`, `shutdown`, `upstream`, `service`

            error: unknown key `log.levl`
              --> DIR/conf.d/20.toml:2:1
               |
             2 | levl = "info"
               | ^^^^ did you mean `level`?

            3 mistakes in DIR/edge.toml; nothing was changed"#]],
    );
    let names: Vec<String> = (0..70).map(|n| format!("conf.d/{n}.toml")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    wrong(
        &files,
        &[],
        &expect![[r#"
        error: DIR/conf.d holds more than 64 files
          --> DIR/edge.toml
           = write several tables into one file

        1 mistake in DIR/edge.toml; nothing was changed"#]],
    );
}

#[test]
fn credentials_of_systemd() {
    let jwks = "[[service]]\nid = \"site\"\n[service.token]\njwks = \"credential:keys\"\n";
    let files = [("conf.d/10.toml", jwks), ("keys", "{}")];
    let (folder, loaded) = load(&files, &[("CREDENTIALS_DIRECTORY", "DIR")]);
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    let token = loaded.config.services[0].token.clone().unwrap();
    assert_eq!(token.jwks, folder.path().join("keys"));
    wrong(
        &files,
        &[],
        &expect![[r#"
        error: `service[0].token.jwks` names the credential "keys", and there are none
          --> DIR/conf.d/10.toml:4:8
           |
         4 | jwks = "credential:keys"
           |        ^^^^^^^^^^^^^^^^^ $CREDENTIALS_DIRECTORY is not set: the unit needs LoadCredential=keys:FILE
           = example: jwks = "keys/jwks.json"

        1 mistake in DIR/edge.toml; nothing was changed"#]],
    );
    let climbs = jwks.replace("keys", "../keys");
    wrong(
        &[("conf.d/10.toml", &climbs)],
        &[("CREDENTIALS_DIRECTORY", "DIR")],
        &expect![[r#"
        error: `service[0].token.jwks`: "../keys" is no name of a credential
          --> DIR/conf.d/10.toml:4:8
           |
         4 | jwks = "credential:../keys"
           |        ^^^^^^^^^^^^^^^^^^^^ the name alone, as LoadCredential= gives it
           = example: jwks = "keys/jwks.json"

        1 mistake in DIR/edge.toml; nothing was changed"#]],
    );
}

#[test]
fn every_entry_has_its_class() {
    let (_folder, loaded) = load(&[], &[]);
    let entries = loaded.unwrap().entries;
    let class = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.class);
    assert_eq!(class("cache.memory"), Some(Class::Restart));
    assert_eq!(class("tls.min_version"), Some(Class::NewConnections));
    assert_eq!(class("service[site].response_headers.set.x-a"), Some(Class::Live));
    // What is not there has no keys; what belongs to another kind is not listed.
    assert_eq!(class("service[site].cors.max_age"), None);
    assert_eq!(class("upstream[web].region"), None);
    assert!(class("upstream[s3-main].region").is_some());
}

#[test]
fn the_examples_satisfy_their_own_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/edge.toml");
    let text = fs::read_to_string(path).unwrap();
    // A path that nobody made stands in for the files that the example names.
    for line in text.lines().filter_map(|line| line.strip_prefix('[')) {
        let table = line.trim_matches(['[', ']']);
        let known = Server::Edge.keys().any(|key| key.path.replace("[]", "").starts_with(table));
        assert!(known, "{table}");
    }
}
