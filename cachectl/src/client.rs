//! Asks the admin socket: HTTP/1.1 by hand, one request a connection, everything bounded.

mod download;
mod lines;
mod response;

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use weir_config_admin::ErrorBody;

use crate::failure::{Code, Failure};
pub(crate) use download::Ended;
pub(crate) use lines::Line;
use response::Response;

/// Until the whole answer is there.
const LIMIT: Duration = Duration::from_secs(2);
/// The same for a step of something long, which takes a second and may wait for another's.
const STEP_LIMIT: Duration = Duration::from_secs(30);
/// No answer is longer.
const LONGEST: u64 = 4 << 20;

/// A server's admin socket.
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask("GET", path, None, LIMIT)
    }

    /// What is text.
    pub(crate) fn text(&self, path: &str) -> Result<String, Failure> {
        let body = self.body("GET", path, None, LIMIT)?;
        String::from_utf8(body).map_err(|_| self.puzzled("it is no UTF-8"))
    }

    /// For what looks at much.
    pub(crate) fn get_slowly<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask("GET", path, None, STEP_LIMIT)
    }

    /// A step of something long.
    pub(crate) fn post_slowly<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).expect("our own types become JSON");
        self.ask("POST", path, Some(body), STEP_LIMIT)
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).expect("our own types become JSON");
        self.ask("POST", path, Some(body), LIMIT)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<T, Failure> {
        let body = self.body(method, path, body, limit)?;
        serde_json::from_slice(&body)
            .map_err(|error| self.puzzled(format!("its JSON is not understood: {error}")))
    }

    fn body(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let bytes = self.exchange(request(method, path, body), limit)?;
        let response = Response::read(&bytes).map_err(|why| self.puzzled(why))?;
        if response.status >= 400 {
            return Err(match serde_json::from_slice::<ErrorBody>(&response.body) {
                Ok(body) => Failure::answered(response.status, body),
                // RFC 9110 §15.5.15, RFC 6585 §5
                Err(_) if matches!(response.status, 414 | 431) => {
                    Failure::new(Code::Usage, "the request is too long for the server")
                        .why(format!("it answered with status {}", response.status))
                        .next("a shorter URL, or fewer and shorter headers")
                }
                Err(_) => self.puzzled(format!("status {} without a reason", response.status)),
            });
        }
        if response.status != 200 {
            return Err(self.puzzled(format!("status {}", response.status)));
        }
        Ok(response.body)
    }

    fn puzzled(&self, why: impl std::fmt::Display) -> Failure {
        Failure::new(Code::Failed, format!("{} gave an answer of another kind", self.name()))
            .why(why)
            .next("is it the admin socket of a Weir server? compare: cachectl version")
    }

    fn name(&self) -> String {
        self.socket.display().to_string()
    }

    /// Connecting to a socket whose queue is full blocks without end, so that a thread does it.
    fn exchange(&self, request: Vec<u8>, limit: Duration) -> Result<Vec<u8>, Failure> {
        let (done, answer) = mpsc::channel();
        let socket = self.socket.clone();
        let exchange = move || {
            // Nobody listens any more when the time is up.
            let _ = done.send(exchange(&socket, &request, limit));
        };
        thread::Builder::new().spawn(exchange).map_err(|error| {
            Failure::new(Code::Temporary, "cannot start a thread to ask the server").why(error)
        })?;
        match answer.recv_timeout(limit) {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(self.silent(limit)),
        }
    }

    fn silent(&self, limit: Duration) -> Failure {
        let seconds = limit.as_secs();
        let what = format!("{} did not answer within {seconds} s", self.name());
        Failure::new(Code::Temporary, what)
            .why("somebody listens there, but is stopped, stuck or overloaded")
            .next("look at the server's log, then try again")
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        let name = self.name();
        match error.kind() {
            ErrorKind::NotFound => {
                Failure::new(Code::Failed, format!("there is no admin socket at {name}"))
                    .why("no server runs here, or its `admin.socket` is another one")
                    .next("start the server, or give the path: cachectl --socket PATH …")
            }
            // Linux says the same of a file that is no socket.
            ErrorKind::ConnectionRefused if !is_socket(&self.socket) => {
                Failure::new(Code::Failed, format!("{name} is no socket"))
                    .next("give the path of the server's `admin.socket`: cachectl --socket PATH …")
            }
            ErrorKind::ConnectionRefused => {
                Failure::new(Code::Failed, format!("nobody listens at {name}"))
                    .why("the server that made this socket has ended")
                    .next("start the server; its log says why it ended")
            }
            ErrorKind::PermissionDenied => {
                Failure::new(Code::Refused, format!("this user may not use {name}"))
                    .why("only the server's own user and root may")
                    .next("run cachectl as that user")
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.silent(LIMIT),
            ErrorKind::FileTooLarge => {
                Failure::new(Code::Failed, format!("{name} gave more than 4 MiB"))
                    .next("is it the admin socket of a Weir server?")
            }
            _ => Failure::new(Code::Failed, format!("cannot talk to {name}")).why(error),
        }
    }
}

fn request(method: &str, path: &str, body: Option<Vec<u8>>) -> Vec<u8> {
    // RFC 9112 §3.2: a host is required; over a Unix socket it means nothing.
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
         connection: close\r\n"
    );
    if let Some(body) = &body {
        head.push_str("content-type: application/json\r\n");
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(body.into_iter().flatten());
    bytes
}

/// A value of a query, percent-encoded (RFC 3986 §2.1).
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    let code = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(code).collect()
}

fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.file_type().is_socket())
}

fn exchange(socket: &Path, request: &[u8], limit: Duration) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    // Ends when the answer is complete, not only when the server closes.
    while !Response::is_complete(&bytes) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A server that closes with data of ours unread resets what it sent before.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > LONGEST {
            return Err(ErrorKind::FileTooLarge.into());
        }
    }
    Ok(bytes)
}
