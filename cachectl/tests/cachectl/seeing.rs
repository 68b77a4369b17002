//! Metrics, completion and manual pages, the latter two read by the programs they are for.

use std::{fs, io::Write, process::Command, process::Stdio};

use crate::world::{Server, cachectl, http};
use expect_test::{Expect, expect};

const METRICS: &str = r#"# HELP edge_requests_total Requests answered.
# TYPE edge_requests_total counter
edge_requests_total{class="segment",code="2xx",proto="h2",result="hit_mem"} 18412
edge_requests_total{class="other",code="4xx",proto="h1",result="own"} 3
# HELP edge_ttfb_seconds From a request's last header byte to the first byte of its answer.
# TYPE edge_ttfb_seconds histogram
edge_ttfb_seconds_bucket{result="miss",le="0.001"} 0
edge_ttfb_seconds_bucket{result="miss",le="0.01"} 3
edge_ttfb_seconds_bucket{result="miss",le="+Inf"} 4
edge_ttfb_seconds_sum{result="miss"} 0.5
edge_ttfb_seconds_count{result="miss"} 4
# HELP edge_fill_bytes_total Bytes that fills brought.
# TYPE edge_fill_bytes_total counter
edge_fill_bytes_total 1048576
# HELP process_start_time_seconds Start.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1800000000
"#;

fn check(args: &[&str], expected: &Expect) {
    let server = Server::answering(vec![http(200, METRICS)]);
    expected.assert_eq(&server.cachectl(args, None).shown());
    assert_eq!(server.asked(), ["GET /v1/metrics HTTP/1.1"]);
}

#[test]
fn metrics() {
    check(
        &["metrics"],
        &expect![[r#"
            edge_requests_total   Requests answered.
              class segment, code 2xx, proto h2, result hit_mem  18 412
              class other, code 4xx, proto h1, result own        3
            edge_ttfb_seconds   From a request's last header byte to the first byte of its answer.
              result miss  4 times, mean 125 ms, half within 10 ms, 99 % past the last bucket
            edge_fill_bytes_total  1.00 MiB   Bytes that fills brought.
            process_start_time_seconds  2027-01-15T08:00:00Z   Start.
            --- exit 0
        "#]],
    );
    check(
        &["metrics", "proto=\"H1"],
        &expect![[r#"
        edge_requests_total   Requests answered.
          class other, code 4xx, proto h1, result own  3
        --- exit 0
    "#]],
    );
    check(
        &["metrics", "fill", "--json"],
        &expect![[r#"
            {"metrics":[{"help":"Bytes that fills brought.","kind":"counter","name":"edge_fill_bytes_total","series":[{"labels":{},"value":1048576}]}],"schema":"cachectl/v1"}
            --- exit 0
        "#]],
    );
    check(
        &["metrics", "TTFB", "--json"],
        &expect![[r#"
        {"metrics":[{"help":"From a request's last header byte to the first byte of its answer.","kind":"histogram","name":"edge_ttfb_seconds","series":[{"buckets":[[0.001,0],[0.01,3]],"count":4,"labels":{"result":"miss"},"sum":0.5}]}],"schema":"cachectl/v1"}
        --- exit 0
    "#]],
    );
    check(
        &["metrics", "nosuch"],
        &expect![[r#"
        --- stderr
        error: no metric has `nosuch` in its name or labels
          why:  a series appears when it first has a value
          next: cachectl metrics
        --- exit 3
    "#]],
    );
}

#[test]
fn doctor() {
    let told = serde_json::json!({
        "pid": 7, "memory": 1 << 30, "backlog": 4096, "udp_buffer": 0, "disks": ["/d0"],
        "checks": [
            {"name": "cache", "finding": "ok", "what": "a canary came back"},
            {"name": "upstream film", "finding": "fail", "what": "cannot be\u{1b} reached",
             "why": "refused", "next": "is a server running there?"},
        ],
        "from_a_newer_server": true,
    });
    let check = |args: &[&str], expected: &Expect| {
        let server = Server::json(200, &told.to_string());
        expected.assert_eq(&server.cachectl(args, None).shown());
        assert_eq!(server.asked(), ["GET /v1/doctor HTTP/1.1"]);
    };
    check(
        &["doctor"],
        &expect![[r#"
        ok    memory                     cache.memory is 1.00 GiB, 12.5 % of the 8.00 GiB of this host
        ok    cache                      a canary came back
        warn  time                       nobody here knows whether it is kept by NTP
              why:  neither timedatectl nor chronyc answers
              next: timedatectl set-ntp true, or run chrony
        warn  sysctl net.core.somaxconn  128, and the server asks for 4 096
              why:  what the kernel grants beyond this is cut off: connections are dropped in bursts
              next: sysctl -w net.core.somaxconn=4096, and the same in /etc/sysctl.d
        FAIL  open files                 1 024 at once
              why:  each connection takes one; beyond it nobody is let in
              next: LimitNOFILE=1048576 in the server's unit, or ulimit -n, and a restart
        FAIL  upstream film              cannot be� reached
              why:  refused
              next: is a server running there?
        2 ok, 2 warnings, 2 failed
        --- exit 5
    "#]],
    );
    check(
        &["doctor", "--json"],
        &expect![[r#"
        {"checks":[{"finding":"ok","name":"memory","what":"cache.memory is 1.00 GiB, 12.5 % of the 8.00 GiB of this host"},{"finding":"ok","name":"cache","what":"a canary came back"},{"finding":"warn","name":"time","next":"timedatectl set-ntp true, or run chrony","what":"nobody here knows whether it is kept by NTP","why":"neither timedatectl nor chronyc answers"},{"finding":"warn","name":"sysctl net.core.somaxconn","next":"sysctl -w net.core.somaxconn=4096, and the same in /etc/sysctl.d","what":"128, and the server asks for 4 096","why":"what the kernel grants beyond this is cut off: connections are dropped in bursts"},{"finding":"fail","name":"open files","next":"LimitNOFILE=1048576 in the server's unit, or ulimit -n, and a restart","what":"1 024 at once","why":"each connection takes one; beyond it nobody is let in"},{"finding":"fail","name":"upstream film","next":"is a server running there?","what":"cannot be\u001b reached","why":"refused"}],"fail":2,"ok":2,"schema":"cachectl/v1","warn":2}
        --- exit 5
    "#]],
    );
}

#[test]
fn doctor_of_a_node_that_is_gone() {
    let left = cachectl(&["--socket", "/nonexistent/admin.sock", "doctor"], None);
    assert_eq!((left.code, left.stderr.as_str()), (5, ""));
    let said = "FAIL  server  there is no admin socket at /nonexistent/admin.sock\n";
    assert!(left.stdout.contains(said), "{}", left.stdout);
    assert!(left.stdout.ends_with("0 ok, 1 warning, 1 failed\n"), "{}", left.stdout);
}

/// Whether there is such a program here.
fn have(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Gives `script` to a shell; what it wrote to stdout.
fn shell(program: &str, args: &[&str], script: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the shell starts");
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn script(of: &str) -> String {
    let left = cachectl(&["completion", of], None);
    assert_eq!((left.code, left.stderr.as_str()), (0, ""));
    left.stdout
}

#[test]
fn bash_completes_commands_and_options() {
    if !have("bash") {
        return;
    }
    let check = |words: &str, expected: &str| {
        let asked = format!(
            "{}\nCOMP_WORDS=({words})\nCOMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n\
             _cachectl cachectl \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"\n\
             echo \"${{COMPREPLY[@]}}\"\n",
            script("bash")
        );
        assert_eq!(shell("bash", &["--norc", "--noprofile"], &asked).trim_end(), expected);
    };
    check("cachectl stat", "status");
    check("cachectl cache pu", "purge");
    check("cachectl cache purge t", "tag");
    check("cachectl metrics --js", "--json");
    check("cachectl completion ''", "-h --json --socket --help bash zsh fish");
}

#[test]
fn other_shells_take_their_scripts() {
    // Bash is there wherever these tests run; the others are asked where they are.
    for (program, args) in [("zsh", &["-n"]), ("fish", &["-n"])] {
        if have(program) {
            shell(program, args, &script(program));
        }
    }
    assert!(script("zsh").starts_with("#compdef cachectl\n"));
    assert!(script("fish").contains("__fish_cachectl_using_subcommand cache"));
    let left = cachectl(&["completion", "csh"], None);
    assert_eq!(left.code, 2, "{}", left.stderr);
}

#[test]
fn manual_pages() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let left = cachectl(&["man", pages.to_str().unwrap(), "--json"], None);
    assert_eq!(left.code, 0, "{}", left.stderr);
    let found: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
    let names: Vec<&str> =
        found["pages"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for due in ["cachectl.1", "cachectl-status.1", "cachectl-cache-purge-url.1"] {
        assert!(names.contains(&due), "{due} is not among {names:?}");
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), names.len());
    // Every command is told of where people look; dashes are blanks, or a name's own.
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");
    let document = fs::read_to_string(document).unwrap();
    let count = format!("{} pages in /usr/local/share/man/man1", names.len());
    assert!(document.contains(&count), "it should read: {count}");
    let document = document.replace('-', " ");
    for name in &names {
        let command = name.trim_end_matches(".1").trim_start_matches("cachectl").replace('-', " ");
        assert!(document.contains(command.trim_start()), "{name} is not in docs/operating.md");
    }
    let main = cachectl(&["man"], None).stdout;
    assert!(main.contains(".SH \"EXIT STATUS\"\nExit codes: 0 ok"), "{main}");
    assert_eq!(fs::read_to_string(pages.join("cachectl.1")).unwrap(), main);
    if have("groff") {
        for name in names {
            let page = fs::read_to_string(pages.join(name)).unwrap();
            // Every warning is on, and any would be on stderr.
            let text = shell("groff", &["-man", "-Tutf8", "-ww", "-P-cbou"], &page);
            assert!(text.contains("NAME") && text.contains("SYNOPSIS"), "{name}: {text}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_made() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("man1");
    let left = cachectl(&["man", below.to_str().unwrap()], None);
    assert_eq!(left.code, 1);
    assert!(left.stderr.starts_with("error: cannot write "), "{}", left.stderr);
    assert!(left.stderr.contains("next: give a folder"), "{}", left.stderr);
}
