//! `cachectl config`: of a file without a server, and of a server.

use std::fs;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::world::{Left, Server, cachectl, http};

const GOOD: &str = "[listen]\nhttp = [\"127.0.0.1:0\"]\n[[upstream]]\nid = \"web\"\n\
                    kind = \"http\"\nurl = \"http://127.0.0.1:9\"\n[[service]]\nid = \"site\"\n\
                    preset = \"proxy\"\nupstreams = [\"web\"]\n";

/// Runs a command on a file with a neighbour in its conf.d; the folder reads `DIR`.
fn of_file(more: &str, args: &[&str]) -> Left {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.toml");
    fs::write(&file, GOOD).expect("a file");
    fs::create_dir(folder.path().join("conf.d")).expect("a folder");
    fs::write(folder.path().join("conf.d/10-more.toml"), more).expect("a file");
    let file = file.to_str().expect("a plain path");
    let args: Vec<&str> = args.iter().map(|arg| if *arg == "FILE" { file } else { arg }).collect();
    let mut left = cachectl(&args, None);
    let name = folder.path().display().to_string();
    left.stdout = left.stdout.replace(&name, "DIR");
    left.stderr = left.stderr.replace(&name, "DIR");
    left
}

fn check_file(more: &str, args: &[&str], expected: &Expect) {
    expected.assert_eq(&of_file(more, args).shown());
}

fn check(
    answers: &[Value],
    args: &[&str],
    answer: Option<&str>,
    asked: &[&str],
    expected: &Expect,
) {
    let answers = answers.iter().map(|body| http(200, &body.to_string())).collect();
    let server = Server::answering(answers);
    expected.assert_eq(&server.cachectl(args, answer).shown());
    assert_eq!(server.asked(), asked);
}

/// Certificates and keys are the edge's to judge, where there is one.
#[test]
fn a_file_that_an_edge_has_judged() {
    let check = |name: &str, said: &str, args: &[&str], expected: &Expect| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("edge.toml");
        fs::write(&file, format!("[node]\nname = \"e1\"\n{GOOD}")).expect("a file");
        fs::write(folder.path().join(name), said).expect("a file");
        let file = file.to_str().expect("a plain path");
        let args: Vec<_> = args.iter().map(|arg| if *arg == "FILE" { file } else { arg }).collect();
        let left = cachectl(&args, None).shown();
        expected.assert_eq(&left.replace(&folder.path().display().to_string(), "DIR"));
    };
    check(
        "edge.sound",
        "warning: no certificate is for \u{1b}[31mcdn.example\n",
        &["config", "check", "FILE"],
        &expect![[r#"
            DIR/edge.toml is sound: 8 keys of an edge, its certificates and keys with it
            warning: no certificate is for \u{1b}[31mcdn.example
            --- exit 0
        "#]],
    );
    check(
        "edge.refused",
        "error: the certificate in edge.pem expired 3 days ago\n",
        &["config", "check", "FILE"],
        &expect![[r#"
            error: the certificate in edge.pem expired 3 days ago
            --- exit 5
        "#]],
    );
}

#[test]
fn a_file_without_a_server() {
    let node = "[node]\nname = \"e1\"\n";
    check_file(
        node,
        &["config", "check", "FILE"],
        &expect![[r#"
        DIR/edge.toml is sound: 8 keys of an edge
        --- stderr
        certificates and keys were not looked into, since there is no weir-edge here; weir-edge --config FILE --check does, as does `cachectl config check` of a running server
        --- exit 0
    "#]],
    );
    check_file(
        "[node]\nnmae = \"e1\"\n[fill]\nretries = 3\n",
        &["config", "check", "FILE"],
        &expect![[r#"
            error: `node.name` is missing
              --> DIR/conf.d/10-more.toml:1:1
               |
             1 | [node]
               | ^^^^^^
               = example: name = "edge-1"

            error: unknown key `node.nmae`
              --> DIR/conf.d/10-more.toml:2:1
               |
             2 | nmae = "e1"
               | ^^^^ did you mean `name`?

            error: unknown key `fill.retries`
              --> DIR/conf.d/10-more.toml:4:1
               |
             4 | retries = 3
               | ^^^^^^^ known here: `concurrency`, `deadline`, `resumes`

            3 mistakes in DIR/edge.toml; nothing was changed
            --- exit 5
        "#]],
    );
    check_file(
        node,
        &["config", "show", "fill", "--origin", "--file", "FILE"],
        &expect![[r#"
        fill.concurrency = 64  restart  default
        fill.deadline = "2s"   live     default
        fill.resumes = 3       live     default
        --- exit 0
    "#]],
    );
    check_file(
        node,
        &["config", "show", "node", "--file", "FILE"],
        &expect![[r#"
        node.name = "e1"
        node.site = "default"
        node.workers = (one for each core)
        --- exit 0
    "#]],
    );
    check_file(
        node,
        &["config", "show", "fill.deadlin", "--file", "FILE"],
        &expect![[r#"
        --- stderr
        error: no key is called `fill.deadlin`
          why:  did you mean `fill.deadline`?
          next: cachectl config show
        --- exit 3
    "#]],
    );
    let left = of_file("[node]\nnmae = \"e1\"\n", &["--json", "config", "check", "FILE"]);
    let said: Value = serde_json::from_str(&left.stdout).expect("JSON");
    assert_eq!((left.code, &said["sound"]), (5, &json!(false)));
    let place = |mistake: &Value| (mistake["line"].clone(), mistake["column"].clone());
    assert_eq!(place(&said["mistakes"][1]), (json!(2), json!(1)), "{said}");
}

#[test]
fn the_schema_names_what_a_change_takes() {
    let left = cachectl(&["config", "schema"], None);
    let schema: Value = serde_json::from_str(&left.stdout).expect("JSON");
    let deadline = &schema["properties"]["fill"]["properties"]["deadline"];
    assert_eq!(deadline["x-takes-effect"], "live");
    assert_eq!(deadline["default"], "2s");
    let origin = cachectl(&["config", "schema", "origin"], None);
    assert!(origin.stdout.contains("\"access_key\""));
}

fn result(outcome: &str, dry_run: bool) -> Value {
    let change = |key: &str, from: &str, to: &str, class: &str| {
        json!({ "key": key, "from": from, "to": to, "class": class,
                "origin": "/etc/weir/conf.d/20-more.toml:3:9" })
    };
    json!({
        "outcome": outcome, "dry_run": dry_run, "revision": 7,
        "applied": [change("fill.deadline", "\"2s\"", "\"5s\"", "live")],
        "restart": [change("cache.memory", "\"1 GiB\"", "\"2 GiB\"", "restart")],
        "certificates": 2, "new_certificates": 1, "notes": [],
    })
}

const RELOAD: &str = "POST /v1/config/reload HTTP/1.1 {\"dry_run\":false}";
const LOOK: &str = "POST /v1/config/reload HTTP/1.1 {\"dry_run\":true}";

#[test]
fn a_reload_says_what_became_of_it() {
    let args = &["config", "reload"];
    check(
        &[result("applied", false)],
        args,
        None,
        &[RELOAD],
        &expect![[r#"
        revision 7: 1 key taken, 1 key waits for a restart
          fill.deadline  "2s" -> "5s"        live     /etc/weir/conf.d/20-more.toml:3:9
          cache.memory   "1 GiB" -> "2 GiB"  restart  /etc/weir/conf.d/20-more.toml:3:9
          2 certificates, 1 new, proved by a handshake
        --- exit 0
    "#]],
    );
    let mut refused = result("refused", false);
    (refused["applied"], refused["restart"]) = (json!([]), json!([]));
    refused["refused"] = "error: unknown key `a`\n --> e.toml:1:1\n\n1 mistake\u{1b}[2J".into();
    check(
        &[refused.clone()],
        args,
        None,
        &[RELOAD],
        &expect![[r#"
        error: unknown key `a`
         --> e.toml:1:1

        1 mistake�[2J
        revision 7 runs on
        --- exit 1
    "#]],
    );
    check(
        &[refused],
        &["config", "check"],
        None,
        &[LOOK],
        &expect![[r#"
        error: unknown key `a`
         --> e.toml:1:1

        1 mistake�[2J
        --- exit 5
    "#]],
    );
    check(
        &[result("applied", true)],
        &["config", "check"],
        None,
        &[LOOK],
        &expect![[r#"
        sound: a reload would change 1 key, 1 key would wait for a restart; 2 certificates proved by a handshake
        --- exit 0
    "#]],
    );
    check(
        &[result("applied", true)],
        &["config", "diff"],
        None,
        &[LOOK],
        &expect![[r#"
        fill.deadline  "2s" -> "5s"        live     /etc/weir/conf.d/20-more.toml:3:9
        cache.memory   "1 GiB" -> "2 GiB"  restart  /etc/weir/conf.d/20-more.toml:3:9
        --- exit 7
    "#]],
    );
}

#[test]
fn a_rollback_is_confirmed() {
    let look = "POST /v1/config/rollback HTTP/1.1 {\"revision\":5,\"dry_run\":true}";
    let go = "POST /v1/config/rollback HTTP/1.1 {\"revision\":5,\"dry_run\":false}";
    let args = &["config", "rollback", "5"];
    let absent = r#"{"error":"there is no revision 5","why":"the last twenty are kept"}"#;
    let server = Server::answering(vec![http(404, absent)]);
    let left = server.cachectl(args, Some("y"));
    expect![[r#"
        --- stderr
        error: there is no revision 5
          why:  the last twenty are kept
        --- exit 3
    "#]]
    .assert_eq(&left.shown());
    assert_eq!(server.asked(), [look], "before anybody is asked to confirm it");
    check(
        &[result("applied", true)],
        args,
        None,
        &[look],
        &expect![[r#"
        --- stderr
        error: nobody is there to confirm it
          why:  stdin or stderr is no terminal
          next: see what would change with --dry-run, then run it with --yes
        --- exit 2
    "#]],
    );
    check(
        &[result("applied", true)],
        args,
        Some("n"),
        &[look],
        &expect![[r#"
        --- stderr
        fill.deadline  "2s" -> "5s"        live     /etc/weir/conf.d/20-more.toml:3:9
        cache.memory   "1 GiB" -> "2 GiB"  restart  /etc/weir/conf.d/20-more.toml:3:9
        go back to revision 5? [y/N]
        error: not confirmed; nothing changed
        --- exit 6
    "#]],
    );
    let both = [result("applied", true), result("applied", false)];
    check(
        &both,
        args,
        Some("y"),
        &[look, go],
        &expect![[r#"
        revision 7: 1 key taken, 1 key waits for a restart
          fill.deadline  "2s" -> "5s"        live     /etc/weir/conf.d/20-more.toml:3:9
          cache.memory   "1 GiB" -> "2 GiB"  restart  /etc/weir/conf.d/20-more.toml:3:9
          2 certificates, 1 new, proved by a handshake
        --- stderr
        fill.deadline  "2s" -> "5s"        live     /etc/weir/conf.d/20-more.toml:3:9
        cache.memory   "1 GiB" -> "2 GiB"  restart  /etc/weir/conf.d/20-more.toml:3:9
        go back to revision 5? [y/N]
        --- exit 0
    "#]],
    );
}

#[test]
fn the_history_marks_what_runs() {
    let kept = |revision: u64, cause: &str, changed: &[&str]| {
        json!({ "revision": revision, "unix_ms": 1_799_990_000_000_u64 + revision,
                "cause": cause, "changed": changed, "files": ["/etc/weir/edge.toml"] })
    };
    let all = json!({ "running": 2, "revisions": [
        kept(2, "SIGHUP", &["fill.deadline", "log.level", "tls.min_version"]),
        kept(1, "start", &[]),
    ]});
    let asked = "GET /v1/config/history HTTP/1.1";
    check(
        &[all],
        &["config", "history"],
        None,
        &[asked],
        &expect![[r#"
        * 2  2027-01-15T05:13:20Z  SIGHUP  1 file  fill.deadline and 2 keys
          1  2027-01-15T05:13:20Z  start   1 file
        --- exit 0
    "#]],
    );
}
