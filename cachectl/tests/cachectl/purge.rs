//! Purges of more than one object: what is asked, what is told, and what it takes to be meant.

use expect_test::{Expect, expect};
use serde_json::json;

use crate::world::{Server, http};

fn answer(dry_run: bool, wide: bool) -> Vec<u8> {
    let result = json!({"objects": 18_412, "bytes": 41_200_000_000_u64, "dry_run": dry_run,
                        "epoch": 14, "share": if wide { 0.34 } else { 0.009 }, "wide": wide,
                        "site": "lim-01"});
    http(200, &result.to_string())
}

fn reclaimed(epoch: u64, walked: u64) -> Vec<u8> {
    let purges = json!({"epoch": 14, "reclaimed_epoch": epoch, "standing": 1,
                        "standing_max": 65_536, "objects": 18_412, "bytes": 41_200_000_000_u64,
                        "stale": 0, "walked": walked, "of": 2_000_000,
                        "oldest": [{"epoch": 14, "at": 1_800_000_000, "soft": false,
                                    "kind": "tag", "what": "title:8812"}]});
    http(200, &purges.to_string())
}

fn check(
    answers: Vec<Vec<u8>>,
    args: &[&str],
    typed: Option<&str>,
    asked: &[&str],
    shown: &Expect,
) {
    let server = Server::answering(answers);
    let left = server.cachectl(&[&["cache", "purge"], args].concat(), typed);
    shown.assert_eq(&left.shown());
    assert_eq!(server.asked(), asked, "{args:?}");
}

#[test]
fn each_selector_is_asked_for() {
    let check = |args: &[&str], body: &str| {
        let server = Server::answering(vec![answer(true, false)]);
        let args = [&["cache", "purge"], args, &["--dry-run"]].concat();
        assert_eq!(server.cachectl(&args, None).code, 0, "{args:?}");
        assert_eq!(server.asked(), [format!("POST /v1/cache/purge HTTP/1.1 {body}")], "{args:?}");
    };
    check(&["url", "https://h/a"], r#"{"url":"https://h/a","dry_run":true}"#);
    check(&["prefix", "https://h/a"], r#"{"prefix":"https://h/a","dry_run":true}"#);
    check(&["tag", "a:b", "--soft"], r#"{"tag":"a:b","soft":true,"dry_run":true}"#);
    check(&["service", "film"], r#"{"service":"film","dry_run":true}"#);
    check(&["all"], r#"{"all":true,"dry_run":true}"#);
}

#[test]
fn a_wide_purge_is_told_what_it_takes() {
    check(
        vec![answer(true, true)],
        &["all", "--dry-run"],
        None,
        &[r#"POST /v1/cache/purge HTTP/1.1 {"all":true,"dry_run":true}"#],
        &expect![[r#"
            would purge 18 412 objects, 38.4 GiB, 34.0 % of all bytes
            nothing changed. run again without --dry-run and with --i-know=18412.
            --- exit 0
        "#]],
    );
    let refused = json!({"error": "refused: this purge takes 18412 objects, 34.0 % of all bytes",
                         "why": "more than a tenth of all bytes goes only when the number is named",
                         "next": "if that is meant, add --i-know=18412"});
    check(
        vec![http(403, &refused.to_string())],
        &["all", "--yes"],
        None,
        &[r#"POST /v1/cache/purge HTTP/1.1 {"all":true,"dry_run":false}"#],
        &expect![[r#"
            --- stderr
            error: refused: this purge takes 18412 objects, 34.0 % of all bytes
              why:  more than a tenth of all bytes goes only when the number is named
              next: if that is meant, add --i-know=18412
            --- exit 6
        "#]],
    );
}

#[test]
fn a_person_types_the_sites_name() {
    let question = "purge 18 412 objects, 38.4 GiB, 34.0 % of all bytes (everything)? type the \
                    site's name, lim-01, to go on:";
    for (typed, answers, code) in [
        ("lim-01\n", vec![answer(true, true), answer(false, true)], 0),
        ("y\n", vec![answer(true, true)], 6),
    ] {
        let server = Server::answering(answers);
        let left = server.cachectl(&["cache", "purge", "all"], Some(typed));
        assert_eq!(left.code, code, "{typed:?}");
        assert!(left.stderr.starts_with(question), "{}", left.stderr);
        let known = r#"POST /v1/cache/purge HTTP/1.1 {"all":true,"dry_run":false,"i_know":18412}"#;
        assert_eq!(server.asked().get(1).map(String::as_str), (code == 0).then_some(known));
    }
}

#[test]
fn waits_until_the_space_is_reclaimed() {
    let look = "GET /v1/cache/purges?reclaimed=14 HTTP/1.1";
    check(
        vec![answer(false, false), reclaimed(13, 900_000), reclaimed(14, 0)],
        &["tag", "title:8812", "--yes", "--wait"],
        None,
        &[r#"POST /v1/cache/purge HTTP/1.1 {"tag":"title:8812","dry_run":false}"#, look, look],
        &expect![[r#"
            purged 18 412 objects, 38.4 GiB, 0.9 % of all bytes (purge epoch 14)
            --- stderr
            purge holds; Ctrl-C only stops watching its space being reclaimed
            reclaiming: looked at 900 000 of 2 000 000 objects
            --- exit 0
        "#]],
    );
}

#[test]
fn a_full_ledger_is_tried_again_later() {
    let busy = r#"{"error":"too many purges are under way","next":"cachectl cache purge ls"}"#;
    check(
        vec![http(503, busy)],
        &["tag", "a", "--yes", "--no-count"],
        None,
        &[r#"POST /v1/cache/purge HTTP/1.1 {"tag":"a","dry_run":false,"uncounted":true}"#],
        &expect![[r#"
            --- stderr
            error: too many purges are under way
              next: cachectl cache purge ls
            --- exit 75
        "#]],
    );
}

#[test]
fn lists_what_stands() {
    check(
        vec![reclaimed(13, 900_000)],
        &["ls"],
        None,
        &["GET /v1/cache/purges HTTP/1.1"],
        &expect![[r#"
            epoch      14, reclaimed up to 13
            standing   1 of at most 65 536
            reclaimed  18 412 objects, 38.4 GiB, since start; 0 objects made stale
            looked at 900 000 of 2 000 000 objects
              14  2027-01-15T08:00:00Z  hard  tag title:8812
            --- exit 0
        "#]],
    );
}
