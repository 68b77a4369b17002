//! Objects one by one: listed, fetched, pinned; and disks read back.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::world::{NOW, Server, http};

fn check(answers: Vec<Vec<u8>>, args: &[&str], asked: &[&str], shown: &Expect) {
    let server = Server::answering(answers);
    let left = server.cachectl(&[&["cache"], args].concat(), None);
    shown.assert_eq(&left.shown());
    assert_eq!(server.asked(), asked, "{args:?}");
}

fn row(key: &str, size: u64) -> Value {
    json!({"key": key, "id": "0".repeat(31) + "7", "service": "film", "status": 200, "size": size,
           "age_s": 60, "ttl_s": 3540, "reads": 3, "read_unix_s": NOW - 125,
           "chunks": {"total": 2, "ram": 0, "disk": 2}})
}

fn with(mut row: Value, more: &Value) -> Value {
    let more = more.as_object().expect("fields").clone();
    row.as_object_mut().expect("an object").extend(more);
    row
}

fn page(rows: &[Value], next: Option<&str>) -> Vec<u8> {
    http(200, &json!({"objects": rows, "next": next, "loading": false}).to_string())
}

#[test]
fn lists_for_people() {
    let never = json!({"reads": 0, "read_unix_s": null, "ttl_s": -90, "pin": {"until_unix_s": null},
                       "chunks": {"total": 2, "ram": 1, "disk": 0}});
    let variant = json!({"variant": "accept-encoding=gzip\u{1b}[2J", "size": 5,
                         "pin": {"until_unix_s": NOW + 60},
                         "chunks": {"total": 1, "ram": 1, "disk": 0}});
    let record = json!({"selects": true, "size": 0, "chunks": {"total": 0, "ram": 0, "disk": 0}});
    let rows = [
        row("film||/vod/a.m4s", 1_500_000),
        with(row("film||/vod/b.m4s", 2_000_000), &never),
        with(row("site|h|/page", 0), &record),
        with(row("site|h|/page", 0), &variant),
    ];
    check(
        vec![page(&rows, Some("0.5.film||/vod/b.m4s"))],
        &["ls", "https://h/vod/ä", "--hot", "--limit", "4"],
        &["GET /v1/cache/objects?sort=reads&prefix=https://h/vod/%C3%A4&limit=4 HTTP/1.1"],
        &expect![[r#"
            1.43 MiB  fresh 59min     3 reads, 2min 5s ago  disk           -                                  film||/vod/a.m4s
            1.91 MiB  stale 1min 30s  never read            1 of 2 chunks  pinned                             film||/vod/b.m4s
            0 B       -               3 reads, 2min 5s ago  selects        -                                  site|h|/page
            5 B       fresh 59min     3 reads, 2min 5s ago  RAM            pinned until 2027-01-15T08:01:00Z  site|h|/page   variant "accept-encoding=gzip�[2J"
            --- stderr
            there are more: --limit N, or --limit 0 for all
            --- exit 0
        "#]],
    );
}

#[test]
fn lists_all_page_by_page() {
    let (first, second) = (row("film||/a", 1), row("film||/b", 1));
    check(
        vec![
            page(std::slice::from_ref(&first), Some("0.a\n.")),
            page(std::slice::from_ref(&second), None),
        ],
        &["ls", "--limit", "0", "--pinned"],
        &[
            "GET /v1/cache/objects?sort=any&pinned=1&limit=250 HTTP/1.1",
            "GET /v1/cache/objects?sort=any&pinned=1&limit=250&cursor=0.a%0A. HTTP/1.1",
        ],
        &expect![[r#"
            1 B  fresh 59min  3 reads, 2min 5s ago  disk  -  film||/a
            1 B  fresh 59min  3 reads, 2min 5s ago  disk  -  film||/b
            --- exit 0
        "#]],
    );
    let server = Server::answering(vec![page(&[first], Some("0.a.")), page(&[second], None)]);
    let left = server.cachectl(&["cache", "ls", "--limit", "0", "--json"], None);
    let lines: Vec<Value> =
        left.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[1]["key"], &lines[1]["schema"]),
        (&json!("film||/b"), &json!("cachectl/v1"))
    );
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_node_that_still_reads_what_it_knows_is_partial() {
    check(
        vec![http(200, r#"{"objects": [], "loading": true}"#)],
        &["ls"],
        &["GET /v1/cache/objects?sort=key&limit=50 HTTP/1.1"],
        &expect![[r#"
            --- stderr
            the node has just started and still reads what it knows: this is a part of it. run it again in a moment
            --- exit 4
        "#]],
    );
}

fn object(size: u64) -> Vec<u8> {
    let more = json!({"generation": 9, "headers": [["content-type", "video/mp4"]]});
    http(200, &with(row("film||/a", size), &more).to_string())
}

#[test]
fn bytes_go_to_stdout_or_into_a_file() {
    let body = "GET /v1/cache/body?url=https://h/a%3Fx&generation=9";
    check(
        vec![object(10), http(200, "2345")],
        &["get", "https://h/a?x", "--range", "2-5"],
        &[
            "GET /v1/cache/object?url=https://h/a%3Fx HTTP/1.1",
            &format!("{body}&from=2&to=6 HTTP/1.1"),
        ],
        &expect!["2345--- exit 0\n"],
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.bin");
    let name = file.to_str().expect("a plain path");
    let server = Server::answering(vec![object(10), http(200, "0123456789")]);
    let left = server.cachectl(&["cache", "get", "film||/a", "-o", name], None);
    assert_eq!(left.stdout, format!("wrote 10 B (10 B) of film||/a to {name}\n"));
    assert_eq!(std::fs::read(&file).expect("the file"), b"0123456789");
    assert_eq!(server.asked()[0], "GET /v1/cache/object?key=film%7C%7C/a HTTP/1.1");
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 1, "nothing else");
}

#[test]
fn what_breaks_off_leaves_no_file() {
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123".to_vec();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.bin");
    let server = Server::answering(vec![object(10), short]);
    let name = file.to_str().expect("a plain path");
    let left = server.cachectl(&["cache", "get", "film||/a", "-o", name], None);
    expect![[r#"
        --- stderr
        error: film||/a breaks off after 4 of 10 B
          why:  a chunk did not verify, or left the cache meanwhile
          next: cachectl cache get --verify says which chunk, and on which disk
        --- exit 1
    "#]]
    .assert_eq(&left.shown());
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0);
}

#[test]
fn refusals_of_get_are_told() {
    let why = r#"{"error": "https://h/a has 2 variants: say which",
                  "why": "\"accept=b\" or \"accept=c\"", "next": "add --variant TEXT"}"#;
    check(
        vec![http(400, why)],
        &["get", "https://h/a"],
        &["GET /v1/cache/object?url=https://h/a HTTP/1.1"],
        &expect![[r#"
            --- stderr
            error: https://h/a has 2 variants: say which
              why:  "accept=b" or "accept=c"
              next: add --variant TEXT
            --- exit 2
        "#]],
    );
    check(
        vec![object(10), http(404, r#"{"error": "chunk 3 of film||/a is not held"}"#)],
        &["get", "film||/a"],
        &[
            "GET /v1/cache/object?key=film%7C%7C/a HTTP/1.1",
            "GET /v1/cache/body?key=film%7C%7C/a&generation=9&from=0&to=10 HTTP/1.1",
        ],
        &expect![[r#"
            --- stderr
            error: chunk 3 of film||/a is not held
            --- exit 3
        "#]],
    );
}

#[test]
fn verify_says_which_chunk_on_which_disk() {
    let copy =
        |chunk, disk: &str, state: &str| json!({"chunk": chunk, "disk": disk, "state": state});
    let first =
        json!({"copies": [copy(0, "/d/0", "sound"), copy(1, "/d/1", "damaged")], "next": 2});
    let second = json!({"copies": [copy(2, "/d/0", "sound"), {"chunk": 3, "state": "memory"}]});
    let asked = |from| {
        format!(
            "POST /v1/cache/object/verify HTTP/1.1 {{\"id\":\"{}7\",\"generation\":9,\
             \"from\":{from},\"to\":4}}",
            "0".repeat(31)
        )
    };
    check(
        vec![object(4 << 20), http(200, &first.to_string()), http(200, &second.to_string())],
        &["get", "film||/a", "--verify"],
        &["GET /v1/cache/object?key=film%7C%7C/a HTTP/1.1", &asked(0), &asked(2)],
        &expect![[r#"
            key    film||/a
            size   4.00 MiB (4 194 304 B)
            place  disk
            fresh  age 1min, fresh for 59min
            checksums  2 chunks on disk sound, 1 damaged and dropped, 1 in RAM only, not read back
              ! chunk 1 (from byte 1 048 576) on /d/1 did not hold; it is fetched again when it is asked for
            --- stderr
            verified 2 of 4 chunks
            --- exit 5
        "#]],
    );
}

fn pins(objects: u64, dry_run: bool, more: &Value) -> Vec<u8> {
    let result = json!({"objects": objects, "bytes": objects << 20, "changed": objects,
                        "changed_bytes": objects << 20, "dry_run": dry_run,
                        "sample": ["film||/a"], "pinned_objects": 2, "pinned_bytes": 3 << 20,
                        "pinned_limit": 64 << 20});
    http(200, &with(result, more).to_string())
}

#[test]
fn a_pin_is_counted_first_and_walks_through_the_table() {
    let dry = |cursor: &str| {
        format!(
            "POST /v1/cache/pins HTTP/1.1 {{\"tag\":\"title:8\",\"unpin\":false,\
             \"until_unix_s\":{},\"dry_run\":true{cursor}}}",
            NOW + 86_400
        )
    };
    let wet = dry("").replace("true}", "false}");
    let more = json!({"incomplete": 1, "missing_bytes": 2 << 20, "brought_bytes": 1 << 20});
    check(
        vec![
            pins(4, true, &json!({"next": "5.a"})),
            pins(3, true, &json!({})),
            pins(7, false, &more),
        ],
        &["pin", "--tag", "title:8", "--until", "1d", "--yes"],
        &[&dry(""), &dry(",\"cursor\":\"5.a\""), &wet],
        &expect![[r#"
            pinned 7 objects, 7.00 MiB until 2027-01-16T08:00:00Z
              film||/a
            1.00 MiB went from RAM to disk
            1 object is not wholly here: what is missing, 2.00 MiB, is kept when it is asked for
              -> cachectl cache warm brings it now
            pinned now: 2 objects, 3.00 MiB of 64.0 MiB (4.7 %)
            --- stderr
            found: 4 objects
            --- exit 0
        "#]],
    );
}

#[test]
fn pins_need_a_word_and_room() {
    let request = r#"{"url":"https://h/a","unpin":false,"dry_run":true}"#;
    let asked = format!("POST /v1/cache/pins HTTP/1.1 {request}");
    check(
        vec![pins(1, true, &json!({}))],
        &["pin", "https://h/a"],
        &[&asked],
        &expect![[r#"
            --- stderr
            error: nobody is there to confirm it
              why:  stdin or stderr is no terminal
              next: see what would change with --dry-run, then run it with --yes
            --- exit 2
        "#]],
    );
    check(
        vec![pins(1, true, &json!({}))],
        &["pin", "https://h/a", "--dry-run"],
        &[&asked],
        &expect![[r#"
            would pin 1 object, 1.00 MiB
              film||/a
            pinned now: 2 objects, 3.00 MiB of 64.0 MiB (4.7 %)
            nothing changed. run again without --dry-run.
            --- exit 0
        "#]],
    );
    check(
        vec![pins(62, true, &json!({}))],
        &["pin", "https://h/a", "--yes"],
        &[&asked],
        &expect![[r#"
            --- stderr
            error: refused: 62 objects, 62.0 MiB is too much
              why:  pinned objects may have 64.0 MiB, half of the disks, and have 3.00 MiB already
              next: unpin something (cachectl cache ls --pinned), or pin less
            --- exit 6
        "#]],
    );
    check(
        vec![pins(0, true, &json!({"sample": []}))],
        &["pin", "https://h/a", "--yes"],
        &[&asked],
        &expect![[r#"
            --- stderr
            error: nothing of https://h/a is in the cache
              next: cachectl cache ls shows what is; cachectl cache warm URL brings it
            --- exit 3
        "#]],
    );
}

#[test]
fn unpinning_asks_a_person() {
    let server = Server::answering(vec![pins(1, true, &json!({})), pins(1, false, &json!({}))]);
    let left = server.cachectl(&["cache", "unpin", "--service", "film"], Some("y\n"));
    expect![[r#"
        unpinned 1 object, 1.00 MiB
          film||/a
        pinned now: 2 objects, 3.00 MiB of 64.0 MiB (4.7 %)
        --- stderr
        unpin 1 object, 1.00 MiB (service film)? [y/N]
        --- exit 0
    "#]]
    .assert_eq(&left.shown());
    let body = r#"{"service":"film","unpin":true,"dry_run":false}"#;
    assert_eq!(server.asked()[1], format!("POST /v1/cache/pins HTTP/1.1 {body}"));
}

#[test]
fn bad_arguments_are_usage() {
    for args in [
        &["pin"][..],
        &["pin", "https://h/a", "--tag", "b"],
        &["pin", "https://h/a", "--until", "yesterday", "--yes"],
        &["pin", "https://h/a", "--until", "2020-01-01", "--yes"],
        &["ls", "--hot", "--cold"],
        &["ls", "--sort", "colour"],
        &["verify", "--rate", "0Mbit"],
        &["verify", "--rate", "5B"],
        &["explain", "x"],
        &["explain", "film||/a"],
        &["get", "ftp://x/y"],
        &["get", "notaurl"],
        &["ls", "://"],
        &["ls", "nothinghere"],
        &["pin", "x"],
        &["pin", "--prefix", "film|"],
        &["purge", "url", "x", "--yes"],
        &["purge", "prefix", "h/a", "--yes"],
        &["purge", "tag", &"a".repeat(1025), "--yes"],
        &["purge", "tag", "a\u{7}", "--yes"],
        &["get", "film||/a", "--json", "-o", "-"],
    ] {
        let left = crate::world::cachectl(&[&["cache"], args].concat(), None);
        assert_eq!(left.code, 2, "{args:?}: {}", left.shown());
    }
}

#[test]
fn a_scrub_goes_step_by_step_and_says_what_it_dropped() {
    let step = |chunks, damaged: Value, next: Option<u64>| {
        let count = damaged.as_array().map_or(0, Vec::len);
        let step = json!({"disk": "/d/0", "chunks": chunks, "bytes": chunks << 20,
                          "damaged": damaged, "damaged_chunks": count, "held_bytes": 100 << 20,
                          "held_chunks": 100, "next": next});
        http(200, &step.to_string())
    };
    let asked = |cursor| {
        format!(
            "POST /v1/cache/scrub HTTP/1.1 {{\"disk\":\"disk0\",\"cursor\":{cursor},\
             \"rate\":25000000}}"
        )
    };
    let damage = json!([{"key": "film||/a\u{7}", "chunk": 3}, {}]);
    check(
        vec![step(60, json!([]), Some(77)), step(40, damage, None)],
        &["verify", "--disk", "disk0", "--rate", "200Mbit"],
        &[&asked(0), &asked(77)],
        &expect![[r#"
            /d/0  100 chunks  100 MiB  2 DAMAGED and dropped
              ! /d/0: chunk 3 of film||/a�
              ! /d/0: an object that nobody asks for any more, or that the damage hides
            --- stderr
            /d/0: 60.0 % of 100 chunks, 60.0 MiB, 0 damaged
            --- exit 5
        "#]],
    );
}
