//! HTTP/1.1 and HTTP/2 with as little work as can be, so that a client on one core can ask a server
//! on another one for all it has: every byte is compared with what it ought to be, and nothing is
//! copied or decoded that need not be. It leaves to others: anything but a GET that is answered
//! 200 with a length.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::{Mutex as Turn, oneshot},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    attack::{hpack, wire},
    connection::{Protocol, Server},
};

type Stream = TlsStream<TcpStream>;

/// Read at once: two records of TLS.
const READ: usize = 33 << 10;
/// No head of an answer is longer.
const HEAD: usize = 16 << 10;
/// Received before the server is told that it may send as much again.
const GRANT: u32 = 4 << 20;

/// What one request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// 0 where none came, or none that is understood here.
    pub status: u16,
    /// When the first body byte came.
    pub first_byte: Option<Instant>,
    /// Whether all of the body came and was right.
    pub right: bool,
}

impl Got {
    const NOTHING: Self = Self { status: 0, first_byte: None, right: false };
}

async fn connect(server: &Server, protocol: Protocol) -> io::Result<Stream> {
    let config = server.tls.as_ref().ok_or_else(|| io::Error::other("it needs TLS"))?;
    let name = ServerName::try_from(server.name.clone()).map_err(io::Error::other)?;
    let tcp = TcpStream::connect(server.address).await?;
    tcp.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
    if stream.get_ref().1.alpn_protocol() != Some(protocol.alpn()) {
        return Err(io::Error::other(format!("the server does not negotiate {protocol}")));
    }
    Ok(stream)
}

/// A connection with one request at a time.
#[derive(Debug)]
pub struct Light1 {
    stream: Stream,
    buffer: Vec<u8>,
    authority: String,
    /// Whether another request may be sent.
    pub open: bool,
}

impl Light1 {
    /// Connects.
    pub async fn open(server: &Server) -> io::Result<Self> {
        let stream = connect(server, Protocol::H1).await?;
        let authority = server.authority();
        Ok(Self { stream, buffer: vec![0; READ], authority, open: true })
    }

    /// Asks for `path`, which ought to hold `expected`.
    pub async fn get(&mut self, path: &str, expected: &[u8]) -> io::Result<Got> {
        // Whatever ends this early leaves bytes that are nobody's.
        self.open = false;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.authority);
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let mut held = 0;
        let (status, length, closes, body_at) = loop {
            let read = self.stream.read(&mut self.buffer[held..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            held += read;
            if let Some(head) = head(&self.buffer[..held]) {
                break head;
            }
            if held > HEAD {
                return Err(io::Error::other("a head without end"));
            }
        };
        let mut got = Got { status, ..Got::NOTHING };
        let mut right = status == 200 && length == expected.len();
        let mut at = 0;
        let mut piece = body_at..held;
        loop {
            let bytes = &self.buffer[piece.clone()];
            if !bytes.is_empty() {
                got.first_byte.get_or_insert_with(Instant::now);
            }
            right &= expected.get(at..at + bytes.len()) == Some(bytes);
            at += bytes.len();
            if at >= length {
                break;
            }
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            piece = 0..read;
        }
        got.right = right && at == length;
        self.open = !closes && at == length;
        Ok(got)
    }
}

/// Status, length, whether the connection ends, and where the body begins, of a whole head.
fn head(bytes: &[u8]) -> Option<(u16, usize, bool, usize)> {
    let end = bytes.windows(4).position(|at| at == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let status = text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    let (mut length, mut closes) = (0, false);
    for line in text.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Some((status, length, closes, end + 4))
}

/// A connection whose requests share it.
#[derive(Debug, Clone)]
pub struct Light2 {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Turn<(WriteHalf<Stream>, u32)>,
    streams: Arc<Mutex<HashMap<u32, Waiting>>>,
    ended: Arc<AtomicBool>,
    authority: String,
    reader: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A request whose answer is not whole.
#[derive(Debug)]
struct Waiting {
    expected: Bytes,
    at: usize,
    got: Got,
    right: bool,
    done: oneshot::Sender<Got>,
}

impl Light2 {
    /// Connects.
    pub async fn open(server: &Server) -> io::Result<Self> {
        let (reader, mut writer) = tokio::io::split(connect(server, Protocol::H2).await?);
        // No table on either side: a status is always the byte it begins with, or spelt out.
        let begin = wire::preface(&[(1, 0), (2, 0), (4, 0x7fff_ffff)], 0x3fff_ffff);
        writer.write_all(&begin).await?;
        writer.flush().await?;
        let streams = Arc::<Mutex<HashMap<u32, Waiting>>>::default();
        let ended = Arc::<AtomicBool>::default();
        let inner = Arc::new_cyclic(|weak: &std::sync::Weak<Inner>| {
            let (weak, streams, ended) = (weak.clone(), Arc::clone(&streams), Arc::clone(&ended));
            let all = Arc::clone(&streams);
            let told = Arc::clone(&ended);
            let reader = tokio::spawn(async move {
                // Whoever waits learns of the end by the sender that is gone.
                drop(read(reader, &weak, &all, &told).await);
                told.store(true, Ordering::Relaxed);
                all.lock().clear();
            });
            let authority = server.authority();
            Inner { writer: Turn::new((writer, 1)), streams, ended, authority, reader }
        });
        Ok(Self { inner })
    }

    /// Whether another request may be sent.
    pub fn is_open(&self) -> bool {
        !self.inner.ended.load(Ordering::Relaxed)
    }

    /// Asks for `path`, which ought to hold `expected`.
    pub async fn get(&self, path: &str, expected: &Bytes) -> io::Result<Got> {
        let section = hpack::request("GET", &self.inner.authority, path);
        let (done, answer) = oneshot::channel();
        let waiting =
            Waiting { expected: expected.clone(), at: 0, got: Got::NOTHING, right: true, done };
        let mut out = Vec::with_capacity(section.len() + 9);
        let mut writer = self.inner.writer.lock().await;
        let stream = writer.1;
        writer.1 += 2;
        wire::section(&mut out, stream, true, &section);
        self.inner.streams.lock().insert(stream, waiting);
        let written = async {
            writer.0.write_all(&out).await?;
            writer.0.flush().await
        };
        written.await.inspect_err(|_| self.inner.ended.store(true, Ordering::Relaxed))?;
        drop(writer);
        answer.await.map_err(|_| io::ErrorKind::ConnectionReset.into())
    }
}

/// Takes frames until the connection ends, or the server wants no more of it and nobody waits.
async fn read(
    mut reader: ReadHalf<Stream>,
    inner: &std::sync::Weak<Inner>,
    streams: &Mutex<HashMap<u32, Waiting>>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(2 * READ);
    let mut granted = 0_u32;
    loop {
        let mut at = 0;
        while let Some((kind, flags, stream, payload)) = whole(&bytes[at..]) {
            at += 9 + payload.len();
            let mut answer = Vec::new();
            match kind {
                wire::HEADERS | wire::DATA | wire::RST_STREAM => {
                    take(&mut streams.lock(), kind, flags, stream, payload);
                }
                wire::SETTINGS if flags & 1 == 0 => {
                    wire::frame(&mut answer, wire::SETTINGS, 1, 0, &[]);
                }
                wire::PING if flags & 1 == 0 => {
                    wire::frame(&mut answer, wire::PING, 1, 0, payload);
                }
                wire::GOAWAY => ended.store(true, Ordering::Relaxed),
                _ => {}
            }
            if kind == wire::DATA {
                granted += payload.len() as u32;
                if granted > GRANT {
                    wire::frame(&mut answer, wire::WINDOW_UPDATE, 0, 0, &granted.to_be_bytes());
                    granted = 0;
                }
            }
            if !answer.is_empty()
                && let Some(inner) = inner.upgrade()
            {
                let mut writer = inner.writer.lock().await;
                writer.0.write_all(&answer).await?;
                writer.0.flush().await?;
            }
        }
        bytes.drain(..at);
        if reader.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}

/// The first frame, where all of it is there: type, flags, stream, payload.
fn whole(bytes: &[u8]) -> Option<(u8, u8, u32, &[u8])> {
    let head: &[u8; 9] = bytes.get(..9)?.try_into().ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    Some((head[3], head[4], stream, bytes.get(9..9 + length)?))
}

/// A frame of a stream. Nothing is padded or has a priority here.
fn take(streams: &mut HashMap<u32, Waiting>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let Some(waiting) = streams.get_mut(&stream) else { return };
    match kind {
        wire::HEADERS => waiting.got.status = hpack::status(payload).unwrap_or(0),
        wire::DATA => {
            if !payload.is_empty() {
                waiting.got.first_byte.get_or_insert_with(Instant::now);
            }
            let place = waiting.at..waiting.at + payload.len();
            waiting.right &= waiting.expected.get(place.clone()) == Some(payload);
            waiting.at = place.end;
        }
        _ => waiting.right = false,
    }
    if flags & wire::END_STREAM == 0 && kind != wire::RST_STREAM {
        return;
    }
    if let Some(waiting) = streams.remove(&stream) {
        let right = waiting.right && waiting.at == waiting.expected.len();
        let got = Got { right: right && waiting.got.status == 200, ..waiting.got };
        // Who waited may have had enough.
        drop(waiting.done.send(got));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let check = |text: &str, expected| assert_eq!(head(text.as_bytes()), expected, "{text}");
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Some((200, 5, false, 38)));
        check("HTTP/1.1 503 No\r\nconnection: close\r\n\r\n", Some((503, 0, true, 38)));
        check("HTTP/1.1 200 OK\r\n", None);
    }

    #[tokio::test]
    async fn frames_become_answers() {
        let mut streams = HashMap::new();
        let (done, answer) = oneshot::channel();
        let expected = Bytes::from_static(b"body");
        let waiting = Waiting { expected, at: 0, got: Got::NOTHING, right: true, done };
        streams.insert(1, waiting);
        take(&mut streams, wire::HEADERS, wire::END_HEADERS, 1, &[0x88]);
        take(&mut streams, wire::DATA, 0, 1, b"bo");
        take(&mut streams, wire::DATA, wire::END_STREAM, 1, b"dy");
        let got = answer.await.expect("it is whole");
        assert!(got.right && got.status == 200 && got.first_byte.is_some());
        assert!(streams.is_empty());
        let mut bytes = Vec::new();
        wire::frame(&mut bytes, wire::PING, 0, 0, b"12345678");
        assert_eq!(whole(&bytes), Some((wire::PING, 0, 0, &b"12345678"[..])));
        assert_eq!(whole(&bytes[..12]), None);
    }
}
