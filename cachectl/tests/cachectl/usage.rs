//! What a person reads who asks for help, or errs.

use crate::world::cachectl;
use expect_test::{Expect, expect};

fn check(args: &[&str], expected: &Expect) {
    expected.assert_eq(&cachectl(args, None).shown());
}

#[test]
fn help() {
    check(
        &["--help"],
        &expect![[r#"
            Asks and commands a Weir server

            Usage: cachectl [OPTIONS] <COMMAND>

            Commands:
              status      One verdict, its reasons, and what to do about them
              doctor      One self test of the node as it is: upstreams, certificates, ports, disks, and its
                          host
              cache       What the cache holds, and why
              disks       The disks of the cache, each a failure domain of its own
              nodes       The nodes of a control plane
              enroll      Let nodes into the fleet of a control plane
              config      What a server was told, and telling it anew
              keys        Signing keys and playback tokens
              logs        Requests as the access log tells them
              top         Traffic, hits, disks, origins, hottest objects and slow requests, as they are just now
              trace       One request, phase by phase: a finished one by its id, or one made for it
              metrics     What the server counts: the series of /metrics, in units that people read
              completion  A shell's script that completes commands and options
              man         Manual pages, in roff: the main one to stdout, or one of each command to a folder
              version     The version of this program
              help        Print this message or the help of the given subcommand(s)

            Options:
                  --json           Print JSON ("schema": "cachectl/v1") instead of text
                  --socket <PATH>  The server's admin socket [default: $WEIR_ADMIN_SOCKET, then
                                   /run/weir/admin.sock]
              -h, --help           Print help
              -V, --version        Print version

            Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 partial, 5 unhealthy, 6 refused, 7 conflict, 75
            try again later, 130 interrupted.
            --- exit 0
        "#]],
    );
    check(
        &["keys", "mint-url", "--help"],
        &expect![[r#"
        Put a new token into a URL

        Usage: cachectl keys mint-url [OPTIONS] --key <FILE> --audience <AUDIENCE> --ttl <TTL> <URL>

        Arguments:
          <URL>  The URL to open

        Options:
              --json                 Print JSON ("schema": "cachectl/v1") instead of text
              --key <FILE>           The private key (JWK) that `keys new` made
              --audience <AUDIENCE>  The service's `token.audience`
              --socket <PATH>        The server's admin socket [default: $WEIR_ADMIN_SOCKET, then
                                     /run/weir/admin.sock]
              --ttl <TTL>            How long the token is good: 30min, 4h, 7d
              --prefix <PREFIX>      What the token opens [default: the URL's folder]
              --session <SESSION>    The session to write into the token
          -h, --help                 Print help
        --- exit 0
    "#]],
    );
}

/// Whoever wrote an argument for somebody else does not get at their terminal.
#[test]
fn control_bytes_are_escaped() {
    check(
        &["cache", "get", "a\u{1b}[31mred\n\u{9b}2J"],
        &expect![[r#"
            --- stderr
            error: not a URL or a cache key: a\u{1b}[31mred\n\u{9b}2J
              next: a URL looks like https://host/path, a key like SERVICE|host|/path (cachectl cache ls)
            --- exit 2
        "#]],
    );
    for args in [
        &["cache", "explain", "\u{1b}[31mred"][..],
        &["cache", "explain", "https://h/a", "-H", "\u{1b}[31mred"],
        &["cache", "\u{1b}[31mred"],
        &["--\u{1b}[31mred"],
        &["status", "--socket", "/none/\u{1b}[31mred\u{7f}", "--json"],
        &["status", "--socket", "/none/\u{1b}[31mred\u{7f}"],
        &["config", "check", "/none/\u{1b}[31mred"],
    ] {
        let left = cachectl(args, None);
        let all = format!("{}{}", left.stdout, left.stderr);
        assert!(left.code != 0 && !all.contains(['\u{1b}', '\u{7f}']), "{all:?}");
    }
}

#[test]
fn versions() {
    check(
        &["version"],
        &expect![[r#"
        cachectl 0.1.0
        --- exit 0
    "#]],
    );
    check(
        &["version", "--json"],
        &expect![[r#"
        {"schema":"cachectl/v1","version":"0.1.0"}
        --- exit 0
    "#]],
    );
}

#[test]
fn slips() {
    check(
        &["cache", "purg", "url", "https://h/a"],
        &expect![[r#"
        --- stderr
        error: unrecognized subcommand 'purg'

          tip: a similar subcommand exists: 'purge'

        Usage: cachectl cache [OPTIONS] <COMMAND>

        For more information, try '--help'.
        --- exit 2
    "#]],
    );
    check(
        &["status", "--jsn"],
        &expect![[r#"
        --- stderr
        error: unexpected argument '--jsn' found

          tip: a similar argument exists: '--json'

        Usage: cachectl status --json

        For more information, try '--help'.
        --- exit 2
    "#]],
    );
    check(
        &["keys", "mint-url", "https://h/a", "--key", "k", "--audience", "a", "--ttl", "4"],
        &expect![[r#"
            --- stderr
            error: invalid value '4' for '--ttl <TTL>': "4" has no unit; units are ns, us, ms, s, min (or m), h and d

            For more information, try '--help'.
            --- exit 2
        "#]],
    );
    assert_eq!(cachectl(&[], None).code, 2);
}
