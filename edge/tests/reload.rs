//! A running edge is told anew: what open connections see of it, what waits for a restart, what
//! is refused as a whole, and the way back.

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
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

/// An origin that answers everything with one word.
fn origin(word: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let mut stream = stream;
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n" {
                        let length = word.len();
                        let head = "HTTP/1.1 200 OK\r\ncache-control: no-store\r\n";
                        let answer = format!("{head}content-length: {length}\r\n\r\n{word}");
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

struct Edge {
    child: Child,
    folder: TempDir,
    http: SocketAddr,
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn certificate(folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let asked = CertificateParams::new(["edge.test".to_owned()]).unwrap();
    fs::write(folder.join(format!("{name}.pem")), asked.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

impl Edge {
    fn start(upstream: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), "edge");
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        let main = r#"[node]
name = "e1"
workers = 1
[listen]
http = ["127.0.0.1:0"]
https = ["127.0.0.1:0"]
[admin]
socket = "admin.sock"
[[tls.certificate]]
chain = "edge.pem"
key = "edge.key"
[cache]
memory = "64 MiB"
[fill]
concurrency = 8
[log]
format = "text"
[[service]]
id = "site"
preset = "proxy"
upstreams = ["web"]
"#;
        fs::write(folder.path().join("edge.toml"), main).unwrap();
        let site =
            format!("[[upstream]]\nid = \"web\"\nkind = \"http\"\nurl = \"http://{upstream}\"\n");
        fs::write(folder.path().join("conf.d/10-site.toml"), site).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir-edge"))
            .arg("--config")
            .arg(folder.path().join("edge.toml"))
            .env_remove("WEIR_LOG")
            .env("WEIR_EDGE__FILL__RESUMES", "5")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let http = loop {
            let line = log.next().unwrap().unwrap();
            if line.contains("serving address=") && line.contains("scheme=\"http\"") {
                let (_, rest) = line.split_once("address=").unwrap();
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
        };
        // What it says from here on is read and dropped, so that it never waits to say it.
        thread::spawn(move || log.for_each(drop));
        Self { child, folder, http }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn hang_up(&self) {
        let done = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(done.unwrap().success());
    }

    /// How many reloads ended so.
    fn reloads(&self, outcome: &str) -> u64 {
        let (_, _, text) = self.said("GET", "/v1/metrics", &Value::Null);
        let series = format!("edge_config_reloads_total{{outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.map_or(0, |number| number.parse().unwrap())
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, body) = self.said(method, path, body);
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Status, head and body.
    fn said(&self, method: &str, path: &str, body: &Value) -> (u16, String, String) {
        let mut stream = UnixStream::connect(self.folder.path().join("admin.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n");
        stream
            .write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    fn reload(&self) -> Value {
        let (status, result) = self.ask("POST", "/v1/config/reload", &json!({}));
        assert_eq!(status, 200, "{result}");
        result
    }
}

/// One connection that stays open.
struct Client(BufReader<TcpStream>);

impl Client {
    fn open(edge: &Edge) -> Self {
        let stream = TcpStream::connect(edge.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Head and body.
    fn get(&mut self, path: &str) -> (String, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: edge.test\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }
}

fn keys(changes: &Value) -> Vec<&str> {
    changes.as_array().unwrap().iter().map(|change| change["key"].as_str().unwrap()).collect()
}

#[test]
fn an_open_connection_sees_the_new_configuration() {
    let (one, two) = (origin("one"), origin("two"));
    let edge = Edge::start(one);
    let mut client = Client::open(&edge);
    assert_eq!(client.get("/a").1, "one");
    edge.write(
        "conf.d/20-more.toml",
        &format!(
            "[cache]\nmemory = \"80 MiB\"\n[[upstream]]\nid = \"web\"\nurl = \"http://{two}\"\n\
             [[service]]\nid = \"site\"\n[service.response_headers]\nset = {{ \"x-said\" = \"1\" }}\n\
             [log]\nlevel = \"debug\"\n"
        ),
    );
    let dry = edge.ask("POST", "/v1/config/reload", &json!({ "dry_run": true })).1;
    assert_eq!(dry["outcome"], "applied");
    assert_eq!(client.get("/a").1, "one", "a dry run changes nothing");
    let result = edge.reload();
    assert_eq!((&result["outcome"], &result["revision"]), (&json!("applied"), &json!(2)));
    assert_eq!(
        keys(&result["applied"]),
        ["log.level", "upstream[web].url", "service[site].response_headers.set.x-said"]
    );
    assert_eq!(keys(&result["restart"]), ["cache.memory"]);
    assert_eq!(result["certificates"], 1);
    let (head, body) = client.get("/a");
    assert_eq!(body, "two");
    assert!(head.to_ascii_lowercase().contains("x-said: 1"), "{head}");
    // What waits goes on waiting, and what runs is told with who said it.
    let (_, report) = edge.ask("GET", "/v1/config", &Value::Null);
    let entry = |key: &str| {
        let entries = report["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["key"] == key).unwrap().clone()
    };
    assert_eq!(entry("cache.memory")["value"], "\"64 MiB\"");
    assert_eq!(entry("fill.resumes")["origin"], "$WEIR_EDGE__FILL__RESUMES");
    assert_eq!(report["summary"]["restart"], json!(["cache.memory"]));
    assert_eq!(edge.reload()["outcome"], "unchanged");
    let (_, status) = edge.ask("GET", "/v1/status", &Value::Null);
    assert_eq!(status["config"]["revision"], 2);
}

#[test]
fn what_is_wrong_changes_nothing() {
    let (one, two) = (origin("one"), origin("two"));
    let edge = Edge::start(one);
    let mut client = Client::open(&edge);
    edge.write(
        "conf.d/20-more.toml",
        &format!("[[upstream]]\nid = \"web\"\nurl = \"http://{two}\"\n[fill]\ntiemout = \"2s\"\n"),
    );
    let result = edge.reload();
    assert_eq!((&result["outcome"], &result["revision"]), (&json!("refused"), &json!(1)));
    let said = result["refused"].as_str().unwrap();
    assert!(said.contains("unknown key `fill.tiemout`"), "{said}");
    assert!(said.contains("conf.d/20-more.toml:5:1"), "{said}");
    assert_eq!(client.get("/a").1, "one");
    let (_, status) = edge.ask("GET", "/v1/status", &Value::Null);
    assert_eq!(status["verdict"], "degraded");
    assert!(status["reasons"][0]["what"].as_str().unwrap().contains("reload was refused"));
    // A certificate whose key is another one: nothing of the rest is taken either.
    edge.write(
        "conf.d/20-more.toml",
        &format!("[[upstream]]\nid = \"web\"\nurl = \"http://{two}\"\n"),
    );
    let good = fs::read(edge.folder.path().join("edge.key")).unwrap();
    certificate(edge.folder.path(), "other");
    fs::copy(edge.folder.path().join("other.key"), edge.folder.path().join("edge.key")).unwrap();
    assert_eq!(edge.reload()["outcome"], "refused");
    assert_eq!(client.get("/a").1, "one");
    fs::write(edge.folder.path().join("edge.key"), good).unwrap();
    let result = edge.reload();
    assert_eq!((&result["outcome"], &result["new_certificates"]), (&json!("applied"), &json!(0)));
    assert_eq!(client.get("/a").1, "two");
    let (_, status) = edge.ask("GET", "/v1/status", &Value::Null);
    assert_eq!(status["verdict"], "ok");
}

#[test]
fn there_is_a_way_back() {
    let (one, two) = (origin("one"), origin("two"));
    let edge = Edge::start(one);
    let mut client = Client::open(&edge);
    edge.write(
        "conf.d/20-more.toml",
        &format!("[[upstream]]\nid = \"web\"\nurl = \"http://{two}\"\n"),
    );
    assert_eq!(edge.reload()["revision"], 2);
    assert_eq!(client.get("/a").1, "two");
    let back = edge.ask("POST", "/v1/config/rollback", &json!({ "revision": 1 })).1;
    assert_eq!((&back["outcome"], &back["revision"]), (&json!("applied"), &json!(3)));
    assert_eq!(client.get("/a").1, "one");
    let (status, _) = edge.ask("POST", "/v1/config/rollback", &json!({ "revision": 99 }));
    assert_eq!(status, 404);
    let (_, history) = edge.ask("GET", "/v1/config/history", &Value::Null);
    let causes: Vec<_> =
        history["revisions"].as_array().unwrap().iter().map(|kept| &kept["cause"]).collect();
    assert_eq!(causes, ["rollback to 1", "cachectl", "start"]);
    // A signal, of logrotate for one, does not give that up; a certificate is taken all the same.
    let stands = |revision: u64, rolled_back: bool| {
        let summary = edge.ask("GET", "/v1/config", &Value::Null).1["summary"].clone();
        let expected = (json!(revision), json!(rolled_back));
        assert_eq!((summary["revision"].clone(), summary["rolled_back"].clone()), expected);
    };
    certificate(edge.folder.path(), "edge");
    let before = edge.reloads("applied");
    edge.hang_up();
    while edge.reloads("applied") == before {
        thread::yield_now();
    }
    stands(3, true);
    assert_eq!(client.get("/a").1, "one");
    // Files that say something else than what was gone back from are meant.
    edge.write(
        "conf.d/20-more.toml",
        &format!("[log]\nlevel = \"debug\"\n[[upstream]]\nid = \"web\"\nurl = \"http://{two}\"\n"),
    );
    edge.hang_up();
    while edge.ask("GET", "/v1/config", &Value::Null).1["summary"]["revision"] != 4 {
        thread::yield_now();
    }
    stands(4, false);
    assert_eq!(client.get("/a").1, "two");
    // And so is an operator's order, whatever they say.
    edge.ask("POST", "/v1/config/rollback", &json!({ "revision": 1 }));
    assert_eq!(client.get("/a").1, "one");
    assert_eq!(edge.reload()["outcome"], "applied");
    stands(6, false);
    assert_eq!(client.get("/a").1, "two");
}

#[test]
fn a_new_certificate_is_counted_once() {
    let edge = Edge::start(origin("one"));
    certificate(edge.folder.path(), "edge");
    let result = edge.reload();
    assert_eq!((&result["outcome"], &result["new_certificates"]), (&json!("applied"), &json!(1)));
    let result = edge.reload();
    assert_eq!((&result["outcome"], &result["new_certificates"]), (&json!("unchanged"), &json!(0)));
}

/// The files that name them say the same as before.
#[test]
fn a_secret_that_changed_is_said_and_not_shown() {
    let edge = Edge::start(origin("one"));
    let credentials = |secret: &str| format!("access_key = \"edge\"\nsecret_key = \"{secret}\"\n");
    edge.write("s3.toml", &credentials("hunter1-0123456789"));
    let file = edge.folder.path().join("s3.toml");
    edge.write(
        "conf.d/20-more.toml",
        &format!(
            "[[upstream]]\nid = \"store\"\nkind = \"s3\"\nendpoint = \"http://127.0.0.1:9\"\n\
             bucket = \"vod\"\ncredentials = {{ file = {file:?} }}\n"
        ),
    );
    let result = edge.reload();
    assert_eq!(result["outcome"], "applied", "{result}");
    assert_eq!(edge.reload()["outcome"], "unchanged");
    edge.write("s3.toml", &credentials("hunter2-0123456789"));
    let result = edge.reload();
    assert_eq!(result["outcome"], "applied", "{result}");
    assert_eq!(keys(&result["applied"]), ["upstream[store].credentials"]);
    assert!(!result.to_string().contains("hunter"), "{result}");
    assert_eq!(edge.reload()["outcome"], "unchanged");
}
