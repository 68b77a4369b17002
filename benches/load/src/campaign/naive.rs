//! A caching proxy as one should not be: the control that shows what the campaign would find.
//!
//! It believes every length and every validator it is told or not told, joins the rest of a
//! broken body from whatever answers, and keeps what it got. It has no deadline of its own.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Further requests for the rest of a broken body.
const RESUMES: usize = 2;
/// No test object is larger.
const BODY_MAX: usize = 64 << 20;

/// A running naive proxy. Stops when dropped.
#[derive(Debug)]
pub struct Naive {
    address: SocketAddr,
    task: JoinHandle<()>,
}

type Cache = Arc<Mutex<HashMap<String, Arc<Vec<u8>>>>>;

impl Naive {
    /// Starts in front of `origin`.
    pub async fn start(origin: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let cache = Cache::default();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, origin, Arc::clone(&cache)));
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens, for plain HTTP/1.1.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Naive {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, origin: SocketAddr, cache: Cache) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((first, fields)) = head(&mut stream).await? {
        let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
        let known = cache.lock().get(&path).cloned();
        let body = match known {
            Some(body) => body,
            None => {
                let body = Arc::new(fetch(origin, &path).await);
                if !body.is_empty() {
                    cache.lock().insert(path, Arc::clone(&body));
                }
                body
            }
        };
        let part = fields.iter().find(|(name, _)| name == "range").and_then(|(_, field)| {
            let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let (status, range) = match part {
            _ if body.is_empty() => ("502 Bad Gateway".to_owned(), 0..0),
            Some((first, last)) => {
                let end = (last + 1).min(body.len());
                let range = first.min(end)..end;
                (format!("206 Partial Content\r\ncontent-range: bytes {first}-{last}/*"), range)
            }
            None => ("200 OK".to_owned(), 0..body.len()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", range.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body[range]).await?;
    }
    Ok(())
}

/// The object as far as anybody sends it.
async fn fetch(origin: SocketAddr, path: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..=RESUMES {
        match attempt(origin, path, &mut body).await {
            Ok(()) => break,
            Err(_) if body.is_empty() => {}
            // The rest is asked for without asking whether it is the rest of the same.
            Err(_) => {}
        }
    }
    body
}

async fn attempt(origin: SocketAddr, path: &str, body: &mut Vec<u8>) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(origin).await?);
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: origin\r\nconnection: close\r\n");
    if !body.is_empty() {
        request.push_str(&format!("range: bytes={}-\r\n", body.len()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (first, fields) = head(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if !first.contains(" 200 ") && !first.contains(" 206 ") {
        return Err(io::Error::other("refused"));
    }
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, v)| &**v);
    if field("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if size == 0 {
                return Ok(());
            }
            take(&mut stream, size, body).await?;
            stream.read_line(&mut line).await?;
        }
    }
    match field("content-length").and_then(|text| text.parse().ok()) {
        Some(length) => take(&mut stream, length, body).await,
        None => stream.take(BODY_MAX as u64).read_to_end(body).await.map(drop),
    }
}

async fn take(stream: &mut BufReader<TcpStream>, n: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let before = body.len();
    let wanted = n.min(BODY_MAX) as u64;
    stream.take(wanted).read_to_end(body).await?;
    if body.len() - before < n { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// First line and fields (names in lower case); none at the connection's end.
pub(crate) async fn head(
    stream: &mut BufReader<TcpStream>,
) -> io::Result<Option<(String, Vec<(String, String)>)>> {
    let mut first = String::new();
    let mut limited = stream.take(1 << 20);
    if limited.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        if limited.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None if line.trim_end().is_empty() => return Ok(Some((first, fields))),
            None => {}
        }
    }
}
