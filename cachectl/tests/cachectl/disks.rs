//! `cachectl disks`: what it shows, what it sends, and what it never does unasked.

use crate::world::{Server, http};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

fn disk(name: &str, state: &str) -> Value {
    json!({
        "id": format!("{:016x}", name.len()), "path": format!("/srv/{name}"), "state": state,
        "limit": 107_374_182_400_u64, "share": if state == "offline" { 0.0 } else { 0.5 },
        "bytes": 53_687_091_200_u64, "chunks": 51_200, "evictions": 7,
        "system_bytes": 214_748_364_800_u64, "system_free_bytes": 1_073_741_824,
        "reads": 12, "read_bytes": 12_582_912, "accepted": 3, "accepted_bytes": 3_145_728,
        "part_reads": 2, "device_read_bytes": 12_700_000, "index_bytes": 1_638_400, "refused_bytes": 0, "lost": 0, "errors": 0, "overdue": 0, "checksum_failures": 0,
        "written_bytes": 3_200_000,
        "wear": {"total_bytes": 1_099_511_627_776_u64, "since_unix_s": 1_790_035_200,
                 "today_bytes": 1_048_576, "per_day_bytes": 10_737_418_240_u64},
    })
}

fn dead() -> Value {
    let mut dead = disk("disk 3", "offline");
    dead["cause"] = "errors".into();
    dead["what"] = "its probe failed: Input/output error (os error 5)".into();
    dead["since_unix_ms"] = 1_799_990_000_000_u64.into();
    dead["bytes"] = Value::Null;
    dead["chunks"] = Value::Null;
    dead["errors"] = 2.into();
    dead["wear"]["per_day_bytes"] = Value::Null;
    dead
}

fn all() -> Vec<u8> {
    http(200, &json!({ "disks": [disk("disk0", "online"), dead()] }).to_string())
}

fn result(action: &str, state: &str, dry_run: bool) -> Vec<u8> {
    let disk = disk("disk0", state);
    http(200, &json!({ "disk": disk, "action": action, "dry_run": dry_run }).to_string())
}

/// `answer` is what a person types, nothing when nobody is there.
fn check(
    answers: Vec<Vec<u8>>,
    args: &[&str],
    answer: Option<&str>,
    asked: &[&str],
    expected: &Expect,
) {
    let server = Server::answering(answers);
    expected.assert_eq(&server.cachectl(args, answer).shown());
    assert_eq!(server.asked(), asked);
}

const GET: &str = "GET /v1/disks HTTP/1.1";

#[test]
fn a_list() {
    check(
        vec![all()],
        &["disks", "ls"],
        None,
        &[GET],
        &expect![[r#"
            /srv/disk0   online            50.0 GiB of 100 GiB (50.0 %)  50.0 % of chunks  0 failures
            /srv/disk 3  OFFLINE (errors)  - of 100 GiB                  0.0 % of chunks   2 failures  its probe failed: Input/output error (os error 5)
            --- exit 5
        "#]],
    );
    let none = http(200, r#"{"disks":[]}"#);
    check(
        vec![none],
        &["disks", "ls"],
        None,
        &[GET],
        &expect![[r#"
        no disks: this node caches in RAM only
        --- exit 0
    "#]],
    );
}

#[test]
fn one_disk() {
    check(
        vec![all()],
        &["disks", "show", "disk0"],
        None,
        &[GET],
        &expect![[r#"
        disk         /srv/disk0
        identity     0000000000000005
        state        online
        holds        50.0 GiB of 100 GiB (50.0 %), 51 200 chunks, 7 evicted
        share        50.0 % of chunks belong here
        file system  1.00 GiB free of 200 GiB
        read         12 chunks, 12.0 MiB; of 2 a part only; 12.1 MiB from the device
        written      3 chunks of 3.00 MiB taken, 0 B refused, 3.05 MiB to the device
        failures     0 failed calls, 0 reads too slow, 0 chunks lost, 0 damaged
        index        1.56 MiB of cache.memory
        --- exit 0
    "#]],
    );
    check(
        vec![all()],
        &["disks", "show", "/srv/disk 3"],
        None,
        &[GET],
        &expect![[r#"
            disk         /srv/disk 3
            identity     0000000000000006
            state        OFFLINE (errors)
            why          its probe failed: Input/output error (os error 5)
            since        2027-01-15T05:13:20Z, 2h 46min ago
            holds        - of 100 GiB, 7 evicted
            share        0.0 % of chunks belong here
            file system  1.00 GiB free of 200 GiB
            read         12 chunks, 12.0 MiB; of 2 a part only; 12.1 MiB from the device
            written      3 chunks of 3.00 MiB taken, 0 B refused, 3.05 MiB to the device
            failures     2 failed calls, 0 reads too slow, 0 chunks lost, 0 damaged
            index        1.56 MiB of cache.memory
            next  change the disk and mount the new one at /srv/disk 3, then cachectl disks replace /srv/disk 3; or try it again: cachectl disks online /srv/disk 3
            --- exit 5
        "#]],
    );
    check(
        vec![all()],
        &["disks", "show", "disk9"],
        None,
        &[GET],
        &expect![[r#"
        --- stderr
        error: no disk is called "disk9"
          why:  a disk is named by its folder, the folder's last name, or its identity
          next: cachectl disks ls
        --- exit 3
    "#]],
    );
    check(
        vec![all()],
        &["disks", "show", "00000000"],
        None,
        &[GET],
        &expect![[r#"
        --- stderr
        error: "00000000" is several disks
          next: name one by its whole folder
        --- exit 2
    "#]],
    );
}

#[test]
fn wear() {
    check(
        vec![all()],
        &["disks", "wear"],
        None,
        &[GET],
        &expect![[r#"
        /srv/disk0   1.00 TiB written since 2026-09-22  10.0 GiB a day, 0.10 of its size  1.00 MiB today
        /srv/disk 3  1.00 TiB written since 2026-09-22  no whole day yet                  1.00 MiB today
        --- stderr
        what the cache had written; file system and device add their own. endurance is not known here: compare with the drive's rated TBW or DWPD
        --- exit 0
    "#]],
    );
}

#[test]
fn nothing_is_done_unasked() {
    check(
        vec![],
        &["disks", "replace", "disk0"],
        None,
        &[],
        &expect![[r#"
        --- stderr
        error: nobody is there to confirm it
          why:  stdin or stderr is no terminal
          next: see what would be done with --dry-run, then run it with --yes
        --- exit 2
    "#]],
    );
    check(
        vec![result("replace", "online", true)],
        &["disks", "replace", "disk0", "--dry-run"],
        None,
        &["POST /v1/disks HTTP/1.1 {\"disk\":\"disk0\",\"action\":\"replace\",\"dry_run\":true}"],
        &expect![[r#"
            would empty disk /srv/disk0 (online now) and begin anew there: what it holds, 51 200 chunks, 50.0 GiB, is lost
            nothing changed. run again without --dry-run.
            --- exit 0
        "#]],
    );
    check(
        vec![result("offline", "online", true)],
        &["disks", "offline", "disk0"],
        Some("n"),
        &["POST /v1/disks HTTP/1.1 {\"disk\":\"disk0\",\"action\":\"offline\",\"dry_run\":true}"],
        &expect![[r#"
            --- stderr
            take disk /srv/disk0 out of use (online now): what it holds, 51 200 chunks, 50.0 GiB, becomes a miss until it is online again? [y/N]
            error: not confirmed; nothing changed
            --- exit 6
        "#]],
    );
}

#[test]
fn orders_are_carried_out() {
    check(
        vec![result("offline", "offline", false)],
        &["disks", "offline", "disk0", "--yes"],
        None,
        &["POST /v1/disks HTTP/1.1 {\"disk\":\"disk0\",\"action\":\"offline\",\"dry_run\":false}"],
        &expect![[r#"
            disk /srv/disk0 is offline, over restarts too; its chunks are misses. It can be taken out.
            --- exit 0
        "#]],
    );
    // What a restart will undo is said, and is no success.
    let unkept = json!({
        "disk": disk("disk0", "offline"), "action": "offline", "dry_run": false,
        "unkept": "/state/edge.disks cannot be written: No space left on device",
    });
    check(
        vec![http(200, &unkept.to_string())],
        &["disks", "offline", "disk0", "--yes"],
        None,
        &["POST /v1/disks HTTP/1.1 {\"disk\":\"disk0\",\"action\":\"offline\",\"dry_run\":false}"],
        &expect![[r#"
            disk /srv/disk0 is offline; its chunks are misses. It can be taken out.
            a restart forgets that: /state/edge.disks cannot be written: No space left on device
            next  make room or give rights there; it is tried again within 30 s: cachectl status
            --- exit 4
        "#]],
    );
    // One that takes a while, and one that does not come back.
    check(
        vec![result("online", "opening", false), all()],
        &["disks", "online", "disk0", "--yes"],
        None,
        &[
            "POST /v1/disks HTTP/1.1 {\"disk\":\"disk0\",\"action\":\"online\",\"dry_run\":false}",
            "GET /v1/disks?settled=0000000000000005 HTTP/1.1",
        ],
        &expect![[r#"
            disk /srv/disk0 is online, 50.0 GiB of 100 GiB (50.0 %)
            --- stderr
            opening; Ctrl-C only stops watching
            --- exit 0
        "#]],
    );
    check(
        vec![result("replace", "offline", false)],
        &["disks", "replace", "disk0", "--yes"],
        None,
        &["POST /v1/disks HTTP/1.1 {\"disk\":\"disk0\",\"action\":\"replace\",\"dry_run\":false}"],
        &expect![[r#"
            --- stderr
            error: disk /srv/disk0 is OFFLINE ()
              why:  
              next: cachectl disks show /srv/disk0
            --- exit 1
        "#]],
    );
}
