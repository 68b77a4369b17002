//! A client for plain HTTP/1.1 that says how a response ended: whole, cut, or reset.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// A head, a chunk line and a body each end here.
const HEAD_MAX: usize = 256 << 10;
const BODY_MAX: usize = 256 << 20;

/// Asks a server. Keeps no connections: each request has its own.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    address: SocketAddr,
    /// A response that is not whole by then is [`Ended::TimedOut`].
    pub deadline: Duration,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As declared.
    Whole,
    /// The connection closed before the declared end.
    Cut,
    /// The connection was reset.
    Reset,
    /// The deadline passed.
    TimedOut,
    /// What came was no HTTP.
    Garbage,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// 0 where no head came.
    pub status: u16,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// As much as came, decoded.
    pub body: Vec<u8>,
    /// How it ended.
    pub ended: Ended,
    /// From sending the request to the first body byte.
    pub first_body_byte: Option<Duration>,
}

impl Reply {
    /// The first field of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields.find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

impl Client {
    /// Asks the server at `address`, with ten seconds for each response.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, deadline: Duration::from_secs(10) }
    }

    /// GET with more fields; `host` is `localhost` unless they name one.
    pub async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask("GET", target, headers, b"").await
    }

    /// Any method, with a body.
    pub async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        let host = [("host", "localhost")];
        let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        for (name, value) in headers.iter().chain(if named { &[][..] } else { &host }) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        self.raw(&request, method == "HEAD").await
    }

    /// Sends these bytes and reads one response. `no_body` for what answers a HEAD.
    pub async fn raw(&self, request: &[u8], no_body: bool) -> Reply {
        let mut reply = Reply {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            ended: Ended::TimedOut,
            first_body_byte: None,
        };
        let reading = exchange(self.address, request, no_body, &mut reply);
        match timeout(self.deadline, reading).await {
            Ok(Ok(ended)) => reply.ended = ended,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                reply.ended = Ended::Reset;
            }
            Ok(Err(_)) => reply.ended = Ended::Cut,
            Err(_) => reply.ended = Ended::TimedOut,
        }
        reply
    }
}

async fn exchange(
    address: SocketAddr,
    request: &[u8],
    no_body: bool,
    reply: &mut Reply,
) -> io::Result<Ended> {
    let mut stream = TcpStream::connect(address).await?;
    let begun = Instant::now();
    stream.write_all(request).await?;
    let mut unread = Vec::new();
    loop {
        let Some(head) = line(&mut stream, &mut unread, b"\r\n\r\n").await? else {
            return Ok(if unread.is_empty() { Ended::Cut } else { Ended::Garbage });
        };
        if !parse(&head, reply) {
            return Ok(Ended::Garbage);
        }
        if reply.status >= 200 {
            break;
        }
    }
    if no_body || matches!(reply.status, 204 | 304) {
        return Ok(Ended::Whole);
    }
    let is_chunked = reply.header("transfer-encoding") == Some("chunked");
    let length = reply.header("content-length").and_then(|text| text.parse::<usize>().ok());
    if is_chunked {
        return chunked(&mut stream, &mut unread, begun, reply).await;
    }
    loop {
        let room = length.unwrap_or(BODY_MAX) - reply.body.len();
        let take = unread.len().min(room);
        if take > 0 {
            reply.first_body_byte.get_or_insert_with(|| begun.elapsed());
            reply.body.extend(unread.drain(..take));
        }
        if length == Some(reply.body.len()) {
            return Ok(Ended::Whole);
        }
        if stream.read_buf(&mut unread).await? == 0 {
            // Without a length the connection's end is the body's (RFC 9112 §6.3).
            return Ok(if length.is_none() { Ended::Whole } else { Ended::Cut });
        }
    }
}

async fn chunked(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    begun: Instant,
    reply: &mut Reply,
) -> io::Result<Ended> {
    loop {
        let Some(size) = line(stream, unread, b"\r\n").await? else { return Ok(Ended::Cut) };
        let size = size.trim_end().split(';').next().unwrap_or_default().trim().to_owned();
        let Ok(size) = usize::from_str_radix(&size, 16) else { return Ok(Ended::Garbage) };
        if size == 0 {
            let end = line(stream, unread, b"\r\n").await?;
            return Ok(if end.is_some() { Ended::Whole } else { Ended::Cut });
        }
        let mut left = size;
        while left > 0 {
            if unread.is_empty() && stream.read_buf(unread).await? == 0 {
                return Ok(Ended::Cut);
            }
            let take = unread.len().min(left);
            reply.first_body_byte.get_or_insert_with(|| begun.elapsed());
            reply.body.extend(unread.drain(..take));
            left -= take;
        }
        match line(stream, unread, b"\r\n").await?.as_deref() {
            Some("\r\n") => {}
            Some(_) => return Ok(Ended::Garbage),
            None => return Ok(Ended::Cut),
        }
    }
}

/// Reads up to and with `end`; `None` when the connection closes before.
async fn line(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    end: &[u8],
) -> io::Result<Option<String>> {
    loop {
        if let Some(at) = unread.windows(end.len()).position(|window| window == end) {
            let line: Vec<u8> = unread.drain(..at + end.len()).collect();
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        if unread.len() > HEAD_MAX || stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(head: &str, reply: &mut Reply) -> bool {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let version = words.next().unwrap_or_default();
    let Some(status) = words.next().and_then(|code| code.parse().ok()) else { return false };
    reply.status = status;
    reply.headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    version.starts_with("HTTP/1.")
}
