//! The program itself: killed while it writes, and asked to stop.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use bytes::Bytes;
use futures::future::join_all;
use weir_origin_store::StoreError;

use super::bench::{WRITER, configure, content, get, put, store};

/// A running `weir-origin serve`, ended with the test.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(root: &Path) -> Self {
        let file = configure(root, "127.0.0.1:0", "127.0.0.1:0");
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir-origin"))
            .args(["serve", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = mpsc::channel();
        // Reads on to the end, so that the server never waits for its log.
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if line["message"] == "serving S3" {
                    let address = line["address"].as_str().and_then(|text| text.parse().ok());
                    found.send(address).ok();
                }
            }
        });
        let address = address.recv().unwrap().expect("the log names an address");
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Kill -9 in the middle of many writes, again and again: every object that was acknowledged
/// is there, and everything that is there is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_lost_nothing_it_acknowledged() {
    const WRITERS: u64 = 8;
    let root = tempfile::tempdir().unwrap();
    // What each key may hold: the last acknowledged write, or the one that was under way.
    let mut allowed: Vec<Vec<Option<u64>>> = vec![vec![None]; WRITERS as usize];
    let object = |seed: u64| content(seed, 200_000 + (seed as usize * 7919) % 400_000);
    let mut seed = 0;
    for round in 0..4 {
        let mut server = Server::start(root.path());
        let client = store(server.address, "writer", WRITER);
        for (writer, allowed) in allowed.iter().enumerate() {
            let found: Option<Bytes> = match get(&client, "films", &format!("k/{writer}")).await {
                Ok(found) => Some(found),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => panic!("round {round}, {writer}: {error}"),
            };
            let sound = allowed.iter().any(|seed| seed.map(object) == found);
            assert!(sound, "round {round}, {writer}: {:?} bytes", found.map(|found| found.len()));
        }
        // Writers write one after another; the kill comes after some were acknowledged.
        let (acknowledged, mut seen) = tokio::sync::mpsc::channel(64);
        let writing = allowed.iter_mut().enumerate().map(|(writer, allowed)| {
            let (client, acknowledged) = (client.clone(), acknowledged.clone());
            let first = seed + writer as u64 * 1000;
            async move {
                for next in first.. {
                    allowed.push(Some(next));
                    if put(&client, &format!("k/{writer}"), &object(next)).await.is_err() {
                        return;
                    }
                    allowed.clear();
                    allowed.push(Some(next));
                    acknowledged.send(()).await.ok();
                }
            }
        });
        let kill = async {
            for _ in 0..10 + round * 7 {
                seen.recv().await;
            }
            server.child.kill().unwrap();
            // Nobody waits for room in the channel any more.
            while seen.recv().await.is_some() {}
        };
        let writing = join_all(writing);
        drop(acknowledged);
        tokio::join!(writing, kill);
        server.child.wait().unwrap();
        seed += WRITERS * 1000;
    }
    let server = Server::start(root.path());
    let temporary = root.path().join("store/temporary");
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0);
    drop(server);
}

#[test]
fn a_server_that_is_told_to_stop_ends_well() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::start(root.path());
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn mistakes_of_the_configuration_are_told_and_nothing_is_begun() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("origin.toml");
    let text = "[listen]\nhttp = [\"nonsense\"]\n[store]\npath = \"store\"\nbucket = \"x\"\n\
                [[access_key]]\nid = \"a\"\nsecret_file = \"missing.secret\"\n";
    std::fs::write(&file, text).unwrap();
    for more in [None, Some("--check")] {
        let output = Command::new(env!("CARGO_BIN_EXE_weir-origin"))
            .args(["serve", "--config"])
            .arg(&file)
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        for part in ["listen.http", "store.bucket", "missing.secret", "origin.toml:2"] {
            assert!(told.contains(part), "{part}\n{told}");
        }
    }
    assert!(!root.path().join("store").exists());
}

#[test]
fn a_sound_configuration_passes_its_check_and_nothing_is_begun() {
    let root = tempfile::tempdir().unwrap();
    let file = configure(root.path(), "127.0.0.1:0", "127.0.0.1:0");
    let output = Command::new(env!("CARGO_BIN_EXE_weir-origin"))
        .args(["serve", "--check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!root.path().join("store").exists());
    std::fs::write(root.path().join("writer.secret"), "short").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_weir-origin"))
        .args(["serve", "--check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("`access_key[0].secret_file` names a file that holds no"), "{told}");
    assert!(!told.contains("short"), "{told}");
}
