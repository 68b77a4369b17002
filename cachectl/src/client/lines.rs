//! An answer of lines that come as they happen, and perhaps never end.

use std::{
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use super::{
    Client,
    download::{Begun, read},
    response::Framing,
};
use crate::failure::{Code, Failure};

/// Lines that were read and not taken yet.
const AHEAD: usize = 256;
/// No line is longer.
const LONGEST: usize = 64 << 10;

/// What comes next.
pub(crate) enum Line {
    /// One line, without its end.
    Text(String),
    /// Nothing more: the answer is whole.
    End,
    /// Nothing more, and the answer is not whole.
    Broken(Failure),
}

impl Client {
    /// The lines at `path`. Whoever drops the receiver ends the answer.
    pub(crate) fn lines(&self, path: &str) -> Result<Receiver<Line>, Failure> {
        let Begun { stream, head, rest } = self.begin(path)?;
        let body = match head.framing {
            Framing::Chunked => Unframed::chunked(),
            Framing::Length(length) => Unframed { left: length, ..Unframed::chunked() }.plain(),
            Framing::Close => return Err(self.puzzled("its end is not said")),
        };
        let broken = self.broken();
        let (send, lines) = sync_channel(AHEAD);
        thread::Builder::new().spawn(move || give(stream, rest, body, &send, broken)).map_err(
            |error| Failure::new(Code::Temporary, "cannot start a thread to listen").why(error),
        )?;
        Ok(lines)
    }

    fn broken(&self) -> Failure {
        Failure::new(Code::Temporary, format!("{} says nothing more", self.name()))
            .why("the server has ended, or hangs")
            .next("cachectl status")
    }
}

/// Ends with the answer, or when nobody takes the lines any more.
fn give(
    mut stream: UnixStream,
    mut bytes: Vec<u8>,
    mut body: Unframed,
    lines: &SyncSender<Line>,
    broken: Failure,
) {
    let mut piece = vec![0; 16 << 10];
    let mut text = Vec::new();
    loop {
        let sound = body.feed(&bytes, &mut text);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).take(end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            if lines.send(Line::Text(line)).is_err() {
                return;
            }
        }
        let last = match (sound, body.ended) {
            (false, _) => Line::Broken(broken),
            _ if text.len() > LONGEST => Line::Broken(broken),
            (true, true) => Line::End,
            (true, false) => {
                match read(&mut stream, &mut piece) {
                    Ok(length) if length > 0 => bytes = piece[..length].to_vec(),
                    _ => return drop(lines.send(Line::Broken(broken))),
                }
                continue;
            }
        };
        return drop(lines.send(last));
    }
}

/// Takes the framing off a body (RFC 9112 §7.1), piece by piece.
struct Unframed {
    /// The line of a chunk's size, as far as it came.
    line: Vec<u8>,
    /// Bytes of this chunk, or of the body, still to come.
    left: usize,
    chunks: bool,
    ended: bool,
}

impl Unframed {
    fn chunked() -> Self {
        Self { line: Vec::new(), left: 0, chunks: true, ended: false }
    }

    fn plain(self) -> Self {
        Self { chunks: false, ended: self.left == 0, ..self }
    }

    /// Adds what `bytes` carry to `out`; false where they are framed wrongly.
    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> bool {
        while !self.ended {
            let now = self.left.min(bytes.len());
            out.extend_from_slice(&bytes[..now]);
            (self.left, bytes) = (self.left - now, &bytes[now..]);
            if self.left == 0 && !self.chunks {
                self.ended = true;
            }
            if bytes.is_empty() || self.ended {
                return true;
            }
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                return self.line.len() < 1024;
            };
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            let size = line.split(';').next().unwrap_or_default().trim();
            // The end of the chunk before.
            if size.is_empty() {
                continue;
            }
            match usize::from_str_radix(size, 16) {
                Ok(0) => self.ended = true,
                Ok(size) => self.left = size,
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Unframed;

    #[test]
    fn bodies_cut_anywhere() {
        let framed = b"5\r\none\nt\r\n3;x=y\r\nwo\n\r\n0\r\n\r\n";
        for cut in 0..=framed.len() {
            let (mut body, mut out) = (Unframed::chunked(), Vec::new());
            assert!(body.feed(&framed[..cut], &mut out) && body.feed(&framed[cut..], &mut out));
            assert_eq!((out.as_slice(), body.ended), (&b"one\ntwo\n"[..], true), "{cut}");
        }
        let mut plain = Unframed { left: 3, ..Unframed::chunked() }.plain();
        let mut out = Vec::new();
        assert!(plain.feed(b"ab", &mut out) && !plain.ended && plain.feed(b"cd", &mut out));
        assert_eq!((out.as_slice(), plain.ended), (&b"abc"[..], true));
        assert!(!Unframed::chunked().feed(b"zz\r\n", &mut out));
        assert!(!Unframed::chunked().feed(&[b'1'; 2000], &mut out));
    }
}
