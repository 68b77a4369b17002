//! A body that is longer than any answer: handed on as it comes.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    sync::mpsc,
    thread,
    time::Duration,
};

use weir_config_admin::ErrorBody;

use super::{
    Client, LIMIT, request,
    response::{self, Framing, Head},
};
use crate::failure::{Code, Failure};

/// A server that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// No refusal is longer.
const REFUSAL_MAX: u64 = 64 << 10;

/// An answer whose body is still to come.
pub(super) struct Begun {
    pub(super) stream: UnixStream,
    pub(super) head: Head,
    /// What of the body came with the head.
    pub(super) rest: Vec<u8>,
}

/// How a body ended.
pub(crate) enum Ended {
    /// With its last byte.
    Whole(u64),
    /// After so many bytes of what was announced.
    Short(u64, u64),
    /// Whoever took it wants no more.
    Enough,
}

impl Client {
    /// Hands the body at `path` to `take`.
    pub(crate) fn download(
        &self,
        path: &str,
        take: &mut dyn Write,
        name: &str,
    ) -> Result<Ended, Failure> {
        let Begun { mut stream, head, rest: mut first } = self.begin(path)?;
        let puzzled = |why: &str| self.puzzled(why);
        let mut piece = vec![0; 256 << 10];
        let Framing::Length(length) = head.framing else {
            return Err(puzzled("its length is not said"));
        };
        let length = length as u64;
        first.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        let mut done = 0;
        let mut rest: &[u8] = &first;
        loop {
            if let Err(error) = take.write_all(rest) {
                return match error.kind() {
                    ErrorKind::BrokenPipe => Ok(Ended::Enough),
                    _ => Err(Failure::new(Code::Failed, format!("cannot write {name}")).why(error)),
                };
            }
            done += rest.len() as u64;
            if done >= length {
                break;
            }
            let most = usize::try_from(length - done).unwrap_or(usize::MAX).min(piece.len());
            match read(&mut stream, &mut piece[..most]) {
                Ok(0) | Err(_) => return Ok(Ended::Short(done, length)),
                Ok(length) => rest = &piece[..length],
            }
        }
        let written = take.flush();
        written.map_err(|error| {
            Failure::new(Code::Failed, format!("cannot write {name}")).why(error)
        })?;
        Ok(Ended::Whole(done))
    }

    /// Asks, and gives what begins with status 200; any other is a refusal.
    pub(super) fn begin(&self, path: &str) -> Result<Begun, Failure> {
        let mut stream = self.connect()?;
        let asked = request("GET", path, None);
        stream.write_all(&asked).map_err(|error| self.failed(&error))?;
        let (mut bytes, mut piece) = (Vec::new(), vec![0; 16 << 10]);
        let head = loop {
            if let Some(head) = response::head(&bytes).map_err(|why| self.puzzled(why))? {
                break head;
            }
            match read(&mut stream, &mut piece).map_err(|error| self.failed(&error))? {
                0 => return Err(self.puzzled("its header breaks off")),
                length => bytes.extend_from_slice(&piece[..length]),
            }
        };
        if head.status != 200 {
            // An error of a read is a reason that breaks off.
            let _ = stream.take(REFUSAL_MAX).read_to_end(&mut bytes);
            let body = bytes.get(head.length..).unwrap_or_default();
            return Err(match serde_json::from_slice::<ErrorBody>(body) {
                Ok(body) => Failure::answered(head.status, body),
                Err(_) => self.puzzled("it refuses without a reason"),
            });
        }
        let rest = bytes.split_off(head.length);
        Ok(Begun { stream, head, rest })
    }

    /// Connecting to a socket whose queue is full blocks without end, so that a thread does it.
    fn connect(&self) -> Result<UnixStream, Failure> {
        let (done, connected) = mpsc::channel();
        let socket = self.socket.clone();
        let connect = move || {
            // Nobody listens any more when the time is up.
            let _ = done.send(UnixStream::connect(socket));
        };
        thread::Builder::new().spawn(connect).map_err(|error| {
            Failure::new(Code::Temporary, "cannot start a thread to ask the server").why(error)
        })?;
        let stream = match connected.recv_timeout(LIMIT) {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.failed(&error)),
            Err(_) => return Err(self.silent(LIMIT)),
        };
        let limits = stream
            .set_read_timeout(Some(SILENCE))
            .and_then(|()| stream.set_write_timeout(Some(LIMIT)));
        limits.map_err(|error| self.failed(&error))?;
        Ok(stream)
    }
}

pub(super) fn read(stream: &mut UnixStream, piece: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
