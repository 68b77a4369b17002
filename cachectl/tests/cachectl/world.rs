//! A world for one command, and servers that answer once.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use weir_cachectl::{Host, Judged, World, run};

/// A time to stand at: 2027-01-15T08:00:00Z.
pub(crate) const NOW: u64 = 1_800_000_000;

/// What can be read of the host.
const HOST: [(&str, &str); 3] = [
    ("/proc/sys/net/core/somaxconn", "128\n"),
    ("/proc/meminfo", "MemTotal: 8388608 kB\n"),
    ("/proc/7/limits", "Max open files 1024 1048576 files\n"),
];

/// What one command left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Left {
    /// All of it, for a snapshot.
    pub(crate) fn shown(&self) -> String {
        let stderr = match &*self.stderr {
            "" => String::new(),
            text => format!("--- stderr\n{text}"),
        };
        format!("{}{stderr}--- exit {}\n", self.stdout, self.code)
    }
}

/// Runs a command; `answer` is what a person types, nothing when nobody is there.
pub(crate) fn cachectl(args: &[&str], answer: Option<&str>) -> Left {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut asked = String::new();
    let mut random = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let mut ask = |question: &str| -> io::Result<String> {
        asked.push_str(question);
        Ok(answer.unwrap_or_default().to_owned())
    };
    // Nobody waits, and nobody presses Ctrl-C.
    let mut pause = |_| false;
    let file = |path: &str| {
        HOST.iter().find(|(known, _)| *known == path).map(|(_, text)| (*text).to_owned())
    };
    // The edge of this host, where the test has put down what it says.
    let edge = |file: &Path| {
        let said = |name: &str| std::fs::read_to_string(file.with_file_name(name)).ok();
        let sound = said("edge.sound").map(|said| Judged { sound: true, said });
        sound.or_else(|| said("edge.refused").map(|said| Judged { sound: false, said }))
    };
    let mut world = World {
        socket: None,
        now: NOW,
        random: &mut random,
        ask: if answer.is_some() { Some(&mut ask) } else { None },
        pause: &mut pause,
        host: Host { file: &file, program: &|_| None, edge: &edge },
        terminal: false,
        screen: None,
        stdout: &mut stdout,
        stderr: &mut stderr,
    };
    let all = std::iter::once("cachectl").chain(args.iter().copied());
    let code = run(all.map(Into::into), &mut world);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let stderr = text(stderr);
    let stderr = if asked.is_empty() { stderr } else { format!("{}\n{stderr}", asked.trim_end()) };
    Left { code, stdout: text(stdout), stderr }
}

/// A socket at which each of `answers` is given once, to whoever connects next.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    pub(crate) fn answering(answers: Vec<Vec<u8>>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("admin.sock")).expect("a socket");
        let thread = std::thread::spawn(move || {
            let serve = |answer: Vec<u8>| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let request = request(&mut stream);
                // The client may be satisfied before it has read everything.
                let _ = stream.write_all(&answer);
                request
            };
            answers.into_iter().map(serve).collect()
        });
        Self { folder, thread }
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::answering(vec![http(status, body)])
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Runs a command against it.
    pub(crate) fn cachectl(&self, args: &[&str], answer: Option<&str>) -> Left {
        let socket = self.socket();
        let socket = socket.to_str().expect("a plain path");
        let mut left = cachectl(&[&["--socket", socket], args].concat(), answer);
        left.stderr = left.stderr.replace(socket, "SOCKET");
        left
    }

    /// What it was asked: first lines and bodies.
    pub(crate) fn asked(self) -> Vec<String> {
        self.thread.join().expect("the server ends")
    }
}

pub(crate) fn http(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn request(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut one).expect("a request") == 1 {
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes).expect("ASCII");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("its body");
    let first = head.lines().next().unwrap_or_default();
    format!("{first} {}", String::from_utf8(body).expect("UTF-8")).trim_end().to_owned()
}
