//! What a node does just now: one frame of fixed figures, and the program in a terminal.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Command, Stdio},
};

use expect_test::expect;
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::json;

use crate::world::{Server, http};

fn metrics(times: u64) -> String {
    format!(
        r#"# TYPE edge_requests_total counter
edge_requests_total{{class="segment",code="2xx",proto="h2",result="hit_mem"}} {}
edge_requests_total{{class="other",code="5xx",proto="h1",result="error"}} {}
# TYPE edge_sent_bytes_total counter
edge_sent_bytes_total{{proto="h2",result="hit_mem"}} {}
# TYPE edge_ttfb_seconds histogram
edge_ttfb_seconds_bucket{{result="hit_mem",le="0.001"}} {}
edge_ttfb_seconds_bucket{{result="hit_mem",le="0.01"}} {}
edge_ttfb_seconds_bucket{{result="hit_mem",le="+Inf"}} {}
# TYPE edge_inflight_requests gauge
edge_inflight_requests 38
# TYPE edge_disk_online gauge
edge_disk_online{{disk="/srv/disk0"}} 1
edge_disk_online{{disk="/srv/disk1"}} 0
# TYPE edge_disk_bytes gauge
edge_disk_bytes{{disk="/srv/disk0"}} 1048576
# TYPE edge_disk_read_bytes_total counter
edge_disk_read_bytes_total{{disk="/srv/disk0"}} {}
# TYPE edge_origin_circuit gauge
edge_origin_circuit{{origin="s3"}} 2
# TYPE edge_origin_requests_total counter
edge_origin_requests_total{{code="5xx",origin="s3"}} {}
# TYPE edge_shed_requests_total counter
edge_shed_requests_total{{reason="connections"}} {}
# TYPE edge_token_rejects_total counter
edge_token_rejects_total{{reason="expired"}} 7
"#,
        1000 * times,
        10 * times,
        (times * 1000) << 20,
        900 * times,
        1000 * times,
        1010 * times,
        times << 20,
        4 * times,
        3 * times
    )
}

fn answers(times: u64) -> Vec<Vec<u8>> {
    let status = json!({
        "node": "edge-1", "site": "lim", "version": "0.1.0", "uptime_s": 11_520,
        "state": "serving", "verdict": "degraded",
        "reasons": [{"verdict": "degraded", "what": "disk /srv/disk1 is\u{1b} offline"}],
        "protocols": [
            {"name": "h1", "connections": 2, "requests": 0, "bytes": 0},
            {"name": "h2", "connections": 400, "requests": 0, "bytes": 0},
        ],
        "connections": 402, "requests": 0, "errors": 0, "bytes": 0,
        "hit_ratio": null, "byte_hit_ratio": null, "upstreams": [],
        "cache": {
            "objects": 5, "memory_bytes": 380 << 20, "memory_limit": 384 << 20,
            "disk_bytes": 1 << 20, "disk_limit": 1 << 30, "fills": 0,
        },
    });
    let slow = |id: u64, path: &str| {
        json!({
            "time": 1_800_000_000_250_u64, "id": format!("{id:016x}"), "protocol": "h2",
            "tls": "1.3", "client": null, "method": "GET", "host": "h", "path": path,
            "status": 200, "bytes": 1, "whole": true, "cache": "miss", "service": "film",
            "sid": null, "range": null, "ttfb_ms": 251.5, "total_ms": 260.0,
        })
    };
    let hot = |name: &str, requests: f64, bytes: f64| json!({"name": name, "requests_s": requests, "bytes_s": bytes});
    let top = json!({
        "now_ms": 1_800_000_000_000 + times * 2000,
        "hottest": [hot("h/a", 120.5, 1e6), hot("h/b\u{1b}", 3.25, 9e6)],
        "slowest": (1..=9).map(|id| slow(id, "/t/-/a")).collect::<Vec<_>>(),
    });
    [status.to_string(), metrics(times), top.to_string()].iter().map(|one| http(200, one)).collect()
}

#[test]
fn one_frame() {
    let server = Server::answering([answers(1), answers(2)].concat());
    expect![[r#"
        edge-1  lim  DEGRADED  serving for 3h 12min   08:00:04 UTC
        traffic  505/s  500 MiB/s  38 in flight   h1 5.0/s on 2, h2 500/s on 400
        hits     99.0 % of requests, 100.0 % of bytes   errors 1.0 %
        head     half within 1.0 ms, 99 % within 10 ms
        cache    RAM 380 MiB of 384 MiB (99.0 %)   disk 1.00 MiB of 1.00 GiB (0.1 %)
        tiers    hit_mem 500/s 500 MiB/s, error 5.0/s 0 B/s
        why
          disk /srv/disk1 is� offline
        disks
          /srv/disk0  online   1.00 MiB  reads 512 KiB/s  writes 0 B/s  0 failed
          /srv/disk1  offline  0 B       reads 0 B/s      writes 0 B/s  0 failed
        origins
          s3  open  2.0/s  0 B/s  2.0/s failed  0/s withheld
        refused
          connections     1.5/s  6
          token: expired  0/s    7
        hottest by bytes
               3.2/s    8.58 MiB/s  h/b�
               121/s     977 KiB/s  h/a
        slowest of the last minute
          08:00:00   252 ms  200  miss  0000000000000001  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000002  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000003  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000004  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000005  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000006  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000007  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000008  h/t/-/a
          08:00:00   252 ms  200  miss  0000000000000009  h/t/-/a
        --- exit 0
    "#]]
    .assert_eq(&server.cachectl(&["top", "--sort", "bytes"], None).shown());
    let three = ["GET /v1/status HTTP/1.1", "GET /v1/metrics HTTP/1.1", "GET /v1/top HTTP/1.1"];
    assert_eq!(server.asked(), [three, three].concat());
    let server = Server::answering([answers(1), answers(2)].concat());
    let left = server.cachectl(&["top", "--json"], None);
    let frame: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
    assert_eq!((&frame["requests_s"], &frame["over_s"]), (&505.0.into(), &2.0.into()));
    assert_eq!(frame["byte_hit_ratio"], 1.0);
    assert_eq!(frame["origins"][0]["circuit"], "open");
}

/// Reads until a text has come, and gives what came.
fn until(screen: &mut File, text: &str) -> String {
    let (mut all, mut piece) = (String::new(), [0; 4096]);
    while !all.contains(text) {
        let length = screen.read(&mut piece).expect("the terminal is there");
        all.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    all
}

#[test]
fn in_a_terminal() {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let before = tcgetattr(&slave).unwrap().local_modes;
    let server = Server::answering((1..40).flat_map(answers).collect());
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_cachectl"))
        .args(["top", "--every", "1s", "--socket"])
        .arg(server.socket())
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    let mut screen = File::from(master);
    let first = until(&mut screen, "q quit  s sort  p pause   every 1 s");
    assert!(first.contains("\u{1b}[?1049h") && first.contains("hottest by requests"), "{first}");
    assert!(!tcgetattr(&slave).unwrap().local_modes.contains(LocalModes::ECHO));
    screen.write_all(b"s").unwrap();
    until(&mut screen, "hottest by bytes");
    screen.write_all(b"p").unwrap();
    let frame = until(&mut screen, "paused");
    let last = frame.rsplit("\u{1b}[H").next().unwrap();
    let lines: Vec<_> = last.split("\r\n").collect();
    assert_eq!(lines.len(), 24, "{last}");
    let wide = |line: &&str| line.replace("\u{1b}[K", "").replace("\u{1b}[J", "").chars().count();
    assert!(lines.iter().map(wide).all(|width| width <= 80), "{last}");
    screen.write_all(b"q").unwrap();
    until(&mut screen, "\u{1b}[?25h\u{1b}[?1049l");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(tcgetattr(&slave).unwrap().local_modes, before, "as it was");
}
