//! What operators look at, asked of a running edge: the self test, the metrics, and the page with
//! what comes live to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

struct Edge {
    child: Child,
    folder: TempDir,
    http: SocketAddr,
    management: SocketAddr,
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn certificate(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut asked = CertificateParams::new(["edge.test".to_owned()]).unwrap();
    asked.not_after = rcgen::date_time_ymd(2999, 12, 31);
    fs::write(folder.join("edge.pem"), asked.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("edge.key"), key.serialize_pem()).unwrap();
}

impl Edge {
    /// With a disk, and two upstreams: one that answers, and one that nobody is.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path());
        let main = format!(
            r#"[node]
name = "e1"
workers = 1
[listen]
http = ["127.0.0.1:0"]
https = ["127.0.0.1:0"]
[admin]
socket = "admin.sock"
listen = "127.0.0.1:0"
hosts = ["ops.example"]
[[tls.certificate]]
chain = "edge.pem"
key = "edge.key"
[cache]
memory = "64 MiB"
[[cache.disk]]
path = "disk"
size = "256 MiB"
[fill]
concurrency = 8
[log]
format = "text"
[[upstream]]
id = "web"
kind = "http"
url = "http://{}"
[[upstream]]
id = "gone"
kind = "http"
url = "http://127.0.0.1:9"
[[service]]
id = "site"
preset = "proxy"
upstreams = ["web"]
"#,
            origin()
        );
        fs::write(folder.path().join("edge.toml"), main).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir-edge"))
            .arg("--config")
            .arg(folder.path().join("edge.toml"))
            .env_remove("WEIR_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut http, mut management) = (None, None);
        while http.is_none() || management.is_none() {
            let line = log.next().unwrap().unwrap();
            let address = || {
                let (_, rest) = line.split_once("address=")?;
                rest.split(' ').next()?.parse::<SocketAddr>().ok()
            };
            if line.contains("scheme=\"http\"") {
                http = address();
            } else if line.contains("health and metrics") {
                management = address();
            }
        }
        // What it says from here on is read and dropped, so that it never waits to say it.
        thread::spawn(move || log.for_each(drop));
        Self { child, folder, http: http.unwrap(), management: management.unwrap() }
    }

    /// Head and body of an answer of the admin socket.
    fn admin(&self, path: &str) -> (String, String) {
        let mut stream = UnixStream::connect(self.folder.path().join("admin.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        whole(&mut stream, path)
    }

    /// The same of the management address.
    fn page(&self, path: &str) -> (String, String) {
        whole(&mut connect(self.management), path)
    }
}

/// Answers everything with a word that may be kept.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in lines.map_while(Result::ok) {
                    if line.is_empty() {
                        let answer = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\
                                      content-length: 4\r\n\r\nword";
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    address
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn whole(stream: &mut (impl Read + Write), path: &str) -> (String, String) {
    let ask = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_self_test_names_what_is_well_and_what_is_not() {
    let edge = Edge::start();
    let (head, body) = edge.admin("/v1/doctor");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let found: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(found["pid"], edge.child.id());
    assert_eq!(found["memory"], 64 << 20);
    let checks = found["checks"].as_array().unwrap();
    let check = |name: &str, finding: &str, what: &str| {
        let one = checks.iter().find(|check| check["name"].as_str().unwrap().starts_with(name));
        let one = one.unwrap_or_else(|| panic!("nothing is said of {name}: {body}"));
        assert_eq!(one["finding"], finding, "{one}");
        assert!(one["what"].as_str().unwrap().contains(what), "{one}");
    };
    check("clock", "ok", "runs evenly");
    check("upstream web", "ok", "");
    check("upstream gone", "fail", "cannot be reached");
    check("certificate", "ok", "its key fits");
    check("admin socket", "ok", "mode 600");
    check("disk", "ok", "no errors");
    check("cache", "ok", "a canary came back from RAM and disk");
    check("state file", "ok", "");
    // Whatever is not well says what to do.
    for check in checks.iter().filter(|check| check["finding"] != "ok") {
        assert!(check["next"].as_str().is_some_and(|next| !next.is_empty()), "{check}");
    }
    let (head, _) = edge.admin("/v1/doctor/none");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

/// A page of a stranger's site whose name was made to point here (DNS rebinding).
#[test]
fn only_names_of_its_own_are_answered() {
    let edge = Edge::start();
    let check = |path: &str, host: &str, status: &str| {
        let mut stream = connect(edge.management);
        let ask = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {host}: {line}");
    };
    for path in ["/metrics", "/"] {
        for host in ["127.0.0.1:9900", "[::1]:9900", "localhost", "e1", "E1.isp.example:9900"] {
            check(path, host, "200");
        }
        check(path, "ops.example", "200");
        check(path, "evil.example", "421");
        check(path, "127.0.0.1.evil.example:9900", "421");
    }
    check("/events", "evil.example", "421");
    check("/other", "evil.example", "421");
    // Balancers call it as they like, and learn one word.
    check("/healthz", "evil.example", "200");
    check("/readyz", "evil.example", "200");
}

/// One series' value.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[test]
fn metrics_are_the_same_on_both_ways_and_count() {
    let edge = Edge::start();
    for _ in 0..3 {
        let (head, body) = whole(&mut connect(edge.http), "/a");
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "word", "{head}");
    }
    let ((head, socket), (_, listen)) = (edge.admin("/v1/metrics"), edge.page("/metrics"));
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    for text in [&socket, &listen] {
        let hit =
            "edge_requests_total{class=\"other\",code=\"2xx\",proto=\"h1\",result=\"hit_mem\"}";
        assert_eq!(value(text, hit), 2.0);
        let asked = "edge_origin_requests_total{code=\"2xx\",origin=\"web\"}";
        assert_eq!(value(text, asked), 1.0);
        assert_eq!(value(text, "edge_origin_circuit{origin=\"gone\"}"), 0.0);
        assert_eq!(value(text, "edge_memory_budget_bytes"), f64::from(64 << 20));
        assert!(
            value(text, "edge_certificate_not_after_seconds{certificate=\"edge.test\"}") > 3e10
        );
        assert!(value(text, "edge_clock_seconds") >= value(text, "edge_start_time_seconds"));
        assert_eq!(value(text, "edge_verdict"), 0.0);
    }
    // No series of the one is missing in the other, or there twice.
    let names = |text: &str| {
        let series = text.lines().filter(|line| !line.starts_with('#'));
        series.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    let mut once = names(&listen);
    assert_eq!(names(&socket), once);
    once.dedup();
    assert_eq!(once.len(), names(&listen).len());
}

/// A page's line to the server.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(to: SocketAddr, field: &str) -> (String, Self) {
        let mut stream = connect(to);
        let ask = format!("GET /events HTTP/1.1\r\nhost: localhost\r\n{field}\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        (head, Self(lines))
    }

    /// The next event; sizes of chunks are passed by.
    fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the line ended");
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.trim_end().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn the_page_is_followed_to_the_end() {
    let mut edge = Edge::start();
    let (head, body) = edge.page("/");
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; style-src 'sha256-"));
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    assert!(body.starts_with("<!doctype html>") && body.trim_end().ends_with("</html>"));

    let (head, mut events) = Events::open(edge.management, "");
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    let (name, begin) = events.next();
    assert_eq!((name.as_str(), &begin["status"]["node"]), ("begin", &Value::from("e1")));
    assert_eq!(begin["figures"].as_array().unwrap().len(), 8);
    assert_eq!(begin["status"]["upstreams"][1]["circuit"], "closed");
    assert_eq!(begin["status"]["certificates"][0]["names"][0], "edge.test");
    assert_eq!(begin["disks"][0]["state"], "online");
    let (name, first) = events.next();
    let (_, second) = events.next();
    assert_eq!(name, "tick");
    assert!(second["time_ms"].as_u64() > first["time_ms"].as_u64());
    assert_eq!(second["followers"], 1);
    assert!(second["now"]["memory"].as_f64().unwrap() > 0.0);
    // The same figures, over a minute.
    let (_, status) = edge.admin("/v1/status");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert!(status["overview"]["resident_bytes"].as_u64().unwrap() > 1 << 20);

    let pid = edge.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    while events.next().0 != "end" {}
    assert!(edge.child.wait().unwrap().success());
}

#[test]
fn followers_are_bounded_and_of_this_site() {
    let edge = Edge::start();
    let (head, _) = Events::open(edge.management, "sec-fetch-site: cross-site\r\n");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let mut open: Vec<_> = (0..32)
        .map(|_| {
            let (head, mut events) =
                Events::open(edge.management, "sec-fetch-site: same-origin\r\n");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_eq!(events.next().0, "begin");
            events
        })
        .collect();
    let (head, _) = Events::open(edge.management, "");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.to_lowercase().contains("retry-after: 10"), "{head}");
    let (_, metrics) = edge.page("/metrics");
    assert_eq!(value(&metrics, "edge_page_followers"), 32.0);
    // One that leaves makes room, when the server writes to it the next time.
    drop(open.pop());
    for _ in 0..10 {
        assert_eq!(open[0].next().0, "tick");
        if Events::open(edge.management, "").0.starts_with("HTTP/1.1 200 ") {
            return;
        }
    }
    panic!("the seat was not given back");
}
