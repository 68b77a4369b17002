//! One plain HTTP/1.1 request to a server on this machine: enough to see that it is ready and
//! to put files into its store.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Answers of our own servers are small; more than this is not read.
const MOST: u64 = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, whole.
    pub body: Vec<u8>,
}

/// Sends `method` `target` with `headers` and `body`; `Connection: close` is added.
pub fn ask(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name == "host") {
        head.push_str(&format!("host: {to}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "PUT" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut raw = Vec::new();
    stream.take(MOST).read_to_end(&mut raw)?;
    parse(&raw, method == "HEAD")
        .ok_or_else(|| std::io::Error::other(format!("{to} did not answer with HTTP/1.1")))
}

/// RFC 9112 §6: the body is chunked, of a given length, or all that comes.
fn parse(raw: &[u8], head_only: bool) -> Option<Answer> {
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let field = |name: &str| {
        lines.clone().find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let rest = &raw[end + 4..];
    let body = if head_only {
        Vec::new()
    } else if field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        unchunk(rest)?
    } else if let Some(length) = field("content-length") {
        rest.get(..length.parse().ok()?)?.to_vec()
    } else {
        rest.to_vec()
    };
    Some(Answer { status, body })
}

/// RFC 9112 §7.1, without trailers.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let text = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(text.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(line + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |raw: &str, expected: Option<(u16, &str)>| {
            let got = parse(raw.as_bytes(), false);
            let got = got.map(|a| (a.status, String::from_utf8(a.body).expect("text")));
            assert_eq!(got, expected.map(|(s, b)| (s, b.to_owned())), "{raw:?}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", Some((200, "ok")));
        check("HTTP/1.1 503 No\r\n\r\nall of it", Some((503, "all of it")));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n",
            Some((200, "abcd")),
        );
        check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", None);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", None);
        check("SSH-2.0\r\n\r\n", None);
    }
}
