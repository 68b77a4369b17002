//! Reads one request. Lenient: what a proxy under test sends is looked at, not judged.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

/// A head and a body each end here.
const HEAD_MAX: usize = 256 << 10;
const BODY_MAX: usize = 64 << 20;

/// A request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As on the wire.
    pub method: String,
    /// Path and query as on the wire.
    pub target: String,
    /// In order, names as on the wire.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: Vec<u8>,
}

impl Request {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// The next request; `None` when the client has closed. `unread` carries what came too early.
pub(super) async fn read(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
) -> io::Result<Option<Request>> {
    let head_len = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if unread.len() > HEAD_MAX {
            return Err(io::Error::other("head too long"));
        }
        if stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&unread[..head_len]).into_owned();
    unread.drain(..head_len);
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    });
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    if request.header("transfer-encoding").is_some() {
        request.body = chunked(stream, unread).await?;
    } else if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().map_err(io::Error::other)?;
        request.body = take(stream, unread, length).await?;
    }
    Ok(Some(request))
}

async fn take(stream: &mut TcpStream, unread: &mut Vec<u8>, n: usize) -> io::Result<Vec<u8>> {
    if n > BODY_MAX {
        return Err(io::Error::other("body too long"));
    }
    while unread.len() < n {
        if stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(unread.drain(..n).collect())
}

async fn chunked(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > 1024 {
                return Err(io::Error::other("chunk size too long"));
            }
            line.extend(take(stream, unread, 1).await?);
        }
        let text = String::from_utf8_lossy(&line);
        let size = text.trim().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size > BODY_MAX || body.len() > BODY_MAX {
            return Err(io::Error::other("body too long"));
        }
        body.extend(take(stream, unread, size).await?);
        take(stream, unread, 2).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}
