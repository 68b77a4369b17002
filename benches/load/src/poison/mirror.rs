//! The gullible origin: what it is asked is in its answer, and its answers may be kept.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::EVIL;
use crate::campaign::naive::head;

/// Fields for which it says that its answer varies with them, as RFC 9110 §12.5.5 wants; of
/// cookies only where there are some.
const VARY: &str = "accept, accept-encoding, accept-language, origin, referer, user-agent";
/// Heads beyond this are refused, and such a refusal says nothing of whether it may be kept.
const LONGEST: usize = 8 << 10;

/// A running mirror. Stops when dropped.
#[derive(Debug)]
pub struct Mirror {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Mirror {
    /// Starts on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while all.try_join_next().is_some() {}
                all.spawn(converse(stream));
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a good client gets.
pub fn clean(target: &str) -> String {
    format!("GET {target}")
}

async fn converse(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((first, fields)) = head(&mut stream).await? {
        let field = |name: &str| {
            let found = fields.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let mut body = Vec::new();
        if let Some(length) = field("content-length").and_then(|text| text.parse::<u64>().ok()) {
            (&mut stream).take(length.min(1 << 20)).read_to_end(&mut body).await?;
        }
        let (status, more, text) = answer(&first, &fields, &body);
        let length = text.len();
        let text = if first.starts_with("HEAD ") { "" } else { text.as_str() };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{more}\r\n{text}");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Status, fields and text.
fn answer(first: &str, fields: &[(String, String)], body: &[u8]) -> (&'static str, String, String) {
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    // Some refuse for characters that they take for commands.
    if size > LONGEST || fields.iter().any(|(_, value)| value.contains('\\')) {
        return ("400 Bad Request", String::new(), "too long".into());
    }
    let mut words = first.trim_end().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut text = format!("{method} {target}");
    // Whatever an attacker said, it is repeated.
    for (name, value) in fields {
        if value.to_ascii_lowercase().contains(EVIL) {
            text.push_str(&format!("\n{name}: {value}"));
        }
    }
    if body.windows(EVIL.len()).any(|at| at == EVIL.as_bytes()) {
        text.push_str(&format!("\n{}", String::from_utf8_lossy(body)));
    }
    let cookies = fields.iter().any(|(name, _)| name == "cookie");
    let vary = format!("{VARY}{}", if cookies { ", cookie" } else { "" });
    ("200 OK", format!("cache-control: max-age=60\r\netag: \"{size}\"\r\nvary: {vary}\r\n"), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_repeats_what_is_evil_and_nothing_else() {
        let fields = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let good = answer("GET /a HTTP/1.1\r\n", &fields(&[("host", "x")]), b"");
        assert_eq!(good.2, clean("/a"));
        let bad = answer("GET /a HTTP/1.1\r\n", &fields(&[("x-host", "Evil")]), b"");
        assert!(bad.2.contains("x-host: Evil"));
        assert!(answer("POST /a HTTP/1.1", &[], b"a=evil").2.contains("a=evil"));
        let long = fields(&[("x", &"o".repeat(9000))]);
        assert_eq!(answer("GET /a HTTP/1.1", &long, b"").0, "400 Bad Request");
    }
}
