//! Publishing over the network, to a server that stays and to one that goes away half-way.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    thread,
};

use super::bench::{Bench, Ran, program};

const CONFIG: &str = r#"
[listen]
http = ["127.0.0.1:0"]
[admin]
listen = "127.0.0.1:0"
[store]
path = "store"
buckets = ["films"]
region = "local"
[log]
level = "info"
format = "json"
access = "off"
[shutdown]
deadline = "5s"
[[access_key]]
id = "packager"
secret_file = "packager.secret"
allow = "write"
buckets = ["films"]
"#;

const SECRET: &str = "only-for-this-test-0123456789";

/// `weir-origin serve` over the store of a bench.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(bench: &Bench) -> Self {
        let config = bench.write("origin.toml", CONFIG.as_bytes());
        let secret = bench.write("packager.secret", SECRET.as_bytes());
        program("chmod").arg("600").arg(secret).status().expect("chmod runs");
        let keys = format!("access_key = \"packager\"\nsecret_key = \"{SECRET}\"\n");
        bench.write("s3.toml", keys.as_bytes());
        let mut command = bench.weir();
        command.args(["serve", "--config"]).arg(config);
        // One pipe for both, wherever its log goes.
        let (log, writer) = std::io::pipe().expect("a pipe");
        command.stdout(writer.try_clone().expect("a pipe")).stderr(Stdio::from(writer));
        let child = command.spawn().expect("weir-origin runs");
        drop(command);
        let mut said = String::new();
        let mut lines = BufReader::new(log);
        let address = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).expect("readable"), 0, "no server: {said}");
            let field = line.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
            if let Some(address) = field.filter(|_| line.contains("serving S3")) {
                break address.parse().expect("an address");
            }
            said.push_str(&line);
        };
        // What it says from now on must not block it.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { child, address }
    }

    fn stop(mut self) {
        let id = self.child.id().to_string();
        program("kill").args(["-TERM", &id]).status().expect("kill runs");
        self.child.wait().expect("ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes so many bytes on to the server, then resets everything and is gone.
fn frail(server: SocketAddr, bytes: i64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let left = Arc::new(AtomicI64::new(bytes));
    let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if left.load(Ordering::SeqCst) <= 0 {
                return;
            }
            let up = TcpStream::connect(server).expect("the server is there");
            open.lock()
                .expect("not poisoned")
                .extend([client.try_clone().expect("a socket"), up.try_clone().expect("a socket")]);
            let down = (up.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            let (left, open) = (Arc::clone(&left), Arc::clone(&open));
            thread::spawn(move || {
                pass(client, up, |length| left.fetch_sub(length, Ordering::SeqCst) > length);
                if left.load(Ordering::SeqCst) <= 0 {
                    for socket in open.lock().expect("not poisoned").iter() {
                        let _ = socket.shutdown(Shutdown::Both);
                    }
                    // Wakes the listener, which then ends and refuses whoever comes.
                    let _ = TcpStream::connect(address);
                }
            });
            thread::spawn(move || pass(down.0, down.1, |_| true));
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut go_on: impl FnMut(i64) -> bool) {
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        let counted = i64::try_from(length).expect("small");
        if !go_on(counted) || to.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn package(bench: &Bench, to: SocketAddr) -> Ran {
    let mut command = bench.weir();
    command.arg("package").arg(bench.path("a.mp4")).args([
        "--threads",
        "1",
        "--json",
        "--segment",
        "1s",
    ]);
    command.args(["--to", &format!("http://{to}"), "--credentials"]).arg(bench.path("s3.toml"));
    Ran::of(&command.arg("--work-dir").arg(bench.path("work")).output().expect("runs"))
}

#[test]
fn a_server_that_goes_away_half_way_and_comes_back() {
    let bench = Bench::new();
    // Noise does not compress: two megabytes in two dozen segments.
    let clip = bench.clip(
        "a.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=12,noise=alls=20:allf=t -c:v libx264 -preset ultrafast",
    );
    let size = fs::metadata(clip).expect("is there").len();
    assert!(size > 400_000, "{size}");

    let server = Server::start(&bench);
    let lost = package(&bench, frail(server.address, 700_000));
    assert_eq!(lost.code, Some(1), "{}", lost.stdout);
    let error = lost.results(1)[0]["error"].as_str().expect("an error").to_owned();
    assert!(error.contains("nothing was published"), "{error}");
    assert!(error.contains("the next run of this film uses again"), "{error}");
    bench.assert_work_is_gone();
    server.stop();
    let left: Vec<_> = bench.objects().into_iter().map(|(meta, _)| meta.key).collect();
    assert!(
        !left.is_empty() && left.iter().all(|key| key.ends_with(".m4s") || key.ends_with(".mp4"))
    );

    let server = Server::start(&bench);
    let whole = package(&bench, server.address);
    assert_eq!(whole.code, Some(0), "{}", whole.stdout);
    let result = &whole.results(1)[0];
    assert_eq!(result["status"], "published");
    assert_eq!(package(&bench, server.address).results(1)[0]["status"], "already-published");
    server.stop();
    let keys: Vec<_> = bench.objects().into_iter().map(|(meta, _)| meta.key).collect();
    assert!(left.iter().all(|key| keys.contains(key)), "the version changed");
    assert!(keys.contains(&"a/current.json".to_owned()));
    assert_eq!(result["objects"], keys.len() - 1);
    bench.assert_work_is_gone();
}

#[test]
fn a_key_that_may_not_write_is_told_before_encoding() {
    let bench = Bench::new();
    bench.clip("a.mp4", "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -c:v libx264");
    let server = Server::start(&bench);
    bench.write("s3.toml", b"access_key = \"packager\"\nsecret_key = \"wrong\"\n");
    let ran = package(&bench, server.address);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(!ran.stderr.contains("encoding"), "{}", ran.stderr);
    let error = ran.results(1)[0]["error"].as_str().expect("an error").to_owned();
    assert!(error.contains("nothing was published"), "{error}");
    server.stop();
}
