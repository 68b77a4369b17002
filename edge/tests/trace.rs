//! A running edge makes a request through its own listener and tells every phase of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_config_admin::TraceResult;

const BODY: &str = "what stands at the origin";

/// An origin that answers everything with one text.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        let length = BODY.len();
                        let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n";
                        let answer = format!("{head}content-length: {length}\r\n\r\n{BODY}");
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    address
}

struct Edge {
    child: Child,
    folder: TempDir,
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Edge {
    fn start(upstream: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let asked = CertificateParams::new(["edge.test".to_owned()]).unwrap();
        let pem = asked.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("edge.pem"), pem).unwrap();
        fs::write(folder.path().join("edge.key"), key.serialize_pem()).unwrap();
        let config = format!(
            "[node]\nname = \"e1\"\nworkers = 1\n\
             [listen]\nhttp = [\"127.0.0.1:0\"]\nhttps = [\"127.0.0.1:0\"]\n\
             [admin]\nsocket = \"admin.sock\"\n\
             [[tls.certificate]]\nchain = \"edge.pem\"\nkey = \"edge.key\"\n\
             [cache]\nmemory = \"128 MiB\"\n\
             [log]\nformat = \"text\"\naccess = \"access.log\"\naccess_format = \"combined\"\n\
             client_address = \"none\"\n\
             [[upstream]]\nid = \"web\"\nkind = \"http\"\nurl = \"http://{upstream}\"\n\
             [[service]]\nid = \"site\"\npreset = \"proxy\"\nupstreams = [\"web\"]\n"
        );
        fs::write(folder.path().join("edge.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir-edge"))
            .arg("--config")
            .arg(folder.path().join("edge.toml"))
            .env_remove("WEIR_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        while !log.next().unwrap().unwrap().contains("serving address=") {}
        // What it says from here on is read and dropped, so that it never waits to say it.
        thread::spawn(move || log.for_each(drop));
        Self { child, folder }
    }

    fn ask(&self, path: &str, body: &Value) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.folder.path().join("admin.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (body, length) = (body.to_string(), body.to_string().len());
        let head = format!("POST {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n");
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    #[track_caller]
    fn traced(&self, order: &Value) -> TraceResult {
        let (status, answer) = self.ask("/v1/trace", order);
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer).unwrap()
    }
}

#[test]
fn every_phase_of_a_miss_and_a_hit() {
    let edge = Edge::start(origin());
    let miss = edge.traced(&json!({"url": "https://edge.test/a", "headers": ["X-A: b"]}));
    let client = &miss.client;
    assert_eq!((client.status, client.error.as_deref()), (Some(200), None));
    assert_eq!((&*client.protocol, client.tls.as_deref()), ("h2", Some("1.3")));
    assert_eq!(client.bytes, BODY.len() as u64);
    let times = [client.head_ms, client.first_ms, client.total_ms].map(Option::unwrap);
    assert!(times.is_sorted() && client.connect_ms.is_some() && client.tls_ms.is_some());
    let request = miss.request.unwrap();
    let names: Vec<_> = request.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["admit", "authorize", "lookup", "fill", "open", "head", "body"]);
    assert_eq!((&*request.record.cache, request.record.client.as_deref()), ("miss", None));
    let [exchange] = request.upstream.try_into().unwrap();
    assert_eq!((exchange.status, exchange.reused, exchange.bytes), (Some(200), Some(false), 25));
    let steps = [exchange.connected_ms, exchange.head_ms, exchange.first_ms, exchange.ended_ms];
    assert!(steps.map(Option::unwrap).is_sorted(), "{steps:?}");
    assert!(exchange.at_ms > 0.0 && exchange.at_ms < request.record.ttfb_ms);

    let hit = edge.traced(&json!({"url": "https://edge.test/a", "protocol": "h1"}));
    assert_eq!((&*hit.client.protocol, hit.client.status), ("h1", Some(200)));
    let request = hit.request.unwrap();
    assert_eq!((&*request.record.cache, request.upstream.len()), ("hit_mem", 0));
    let quic = edge.traced(&json!({"url": "https://edge.test/a", "protocol": "h3"}));
    assert_eq!((quic.client.status, quic.client.error.as_deref()), (Some(200), None));
    let seen = &quic.request.as_ref().unwrap().record;
    assert_eq!((&*seen.protocol, &*seen.cache, seen.bytes), ("h3", "hit_mem", 25));
    assert!(quic.client.connect_ms.is_some() && quic.client.tls_ms.is_none());
    let plain = edge.traced(&json!({"url": "http://edge.test/b"}));
    let client = &plain.client;
    assert_eq!((&*client.protocol, client.tls_ms, client.status), ("h1", None, Some(200)));
    assert_ne!(plain.request.unwrap().record.id, request.record.id);

    let (status, answer) = edge.ask("/v1/logs/rotate", &json!({}));
    assert_eq!((status, &answer["rotated"]), (200, &json!(false)), "{answer}");
    let log = fs::read_to_string(edge.folder.path().join("access.log")).unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[1].starts_with("- - - [") && lines[1].contains("\"GET /a HTTP/1.1\" 200 25 "));
}

#[test]
fn what_cannot_be_traced() {
    let edge = Edge::start(origin());
    let check = |order: Value, status: u16, words: &str| {
        let (found, answer) = edge.ask("/v1/trace", &order);
        assert_eq!(found, status, "{answer}");
        assert!(answer.to_string().contains(words), "{answer}");
    };
    check(json!({"url": "/a"}), 400, "not a URL");
    check(json!({"url": "http://edge.test/", "protocol": "h2"}), 400, "with TLS only");
    check(json!({"url": "https://edge.test/", "protocol": "h4"}), 400, "over h4");
    check(json!({"url": "http://edge.test/", "protocol": "h3"}), 400, "with TLS only");
    let headers = json!(["Host: other"]);
    check(json!({"url": "http://edge.test/", "headers": headers}), 400, "host cannot be told");
    check(json!({}), 400, "url");
}
