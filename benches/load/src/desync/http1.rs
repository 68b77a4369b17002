//! The corpus over HTTP/1.1: bytes as they are sent.

use super::hidden;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Says what it is; unique.
    pub name: String,
    /// What is sent.
    pub bytes: Vec<u8>,
}

/// Names of Transfer-Encoding that one reader sees and another one does not; `{}` stands for
/// nothing here. Each is the whole of the line or lines.
const OBSCURED: [&[u8]; 24] = [
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\t: chunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"X: y\r\n Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\tchunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: \x00chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: \"chunked\"\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding\r\n: chunked\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Transfer-Encoding: chunk\r\n",
    b"Transfer-Encoding: chunked\x0b\r\n",
];

/// Content-Length as some read it; `#` is the length of the body.
const LENGTHS: [&str; 16] = [
    "Content-Length: 0\r\nContent-Length: #\r\n",
    "Content-Length: #\r\nContent-Length: 0\r\n",
    "Content-Length: #, #\r\n",
    "Content-Length: 0, #\r\n",
    "Content-Length: +#\r\n",
    "Content-Length: -#\r\n",
    "Content-Length: 0x#\r\n",
    "Content-Length: # #\r\n",
    "Content-Length : #\r\n",
    "Content-Length:\r\n #\r\n",
    "Content-Length: #\x0b\r\n",
    "Content-Length: 1844674407370955161#\r\n",
    "Content_Length: #\r\n",
    "X: y\nContent-Length: #\r\n",
    "X: y\rContent-Length: #\r\n",
    "Content-Length: \"#\"\r\n",
];

/// Chunked bodies as some read them; `{}` is the hidden request.
const CHUNKS: [&str; 14] = [
    "0x0\r\n\r\n{}",
    "0\n\n{}",
    "0\r\r{}",
    "0 \r\n\r\n{}",
    "-1\r\n\r\n{}",
    "00000000000000000\r\n\r\n{}",
    "10000000000000000\r\n\r\n{}",
    "0;a=b\nc\r\n\r\n{}",
    "0;\r\r\n\r\n{}",
    "1\r\nxX0\r\n\r\n{}",
    "1\r\nx\n0\r\n\r\n{}",
    "1;\n{}\r\n0\r\n\r\n",
    "0\r\nX: y\r\nContent-Length: 9\r\n\r\n{}",
    "0\r\nX: y\n\n{}",
];

/// Heads of other kinds; `@` is the path, `{}` the hidden request.
const HEADS: [(&str, &str); 20] = [
    ("bare LF", "GET @ HTTP/1.1\nHost: localhost\n\n{}\r\n\r\n"),
    ("bare CR", "GET @ HTTP/1.1\rHost: localhost\r\r{}\r\n\r\n"),
    ("CR in a value", "GET @ HTTP/1.1\r\nHost: localhost\r\nX: y\r\r{}\r\n\r\n"),
    ("NUL in a value", "GET @ HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n"),
    ("line without a colon", "GET @ HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n"),
    ("space before the first field", "GET @ HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n"),
    ("two versions", "GET @ HTTP/1.1 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("two spaces", "GET  @ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("tab for a space", "GET\t@\tHTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("version 0.9", "GET @\r\n{}\r\n\r\n"),
    (
        "version 1.0 chunked",
        "POST @ HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{}",
    ),
    ("version 1.2", "GET @ HTTP/1.2\r\nHost: localhost\r\n\r\n"),
    (
        "another host in absolute form",
        "GET http://elsewhere.test@ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ),
    ("two hosts", "GET @ HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere.test\r\n\r\n"),
    ("no host", "GET @ HTTP/1.1\r\nX: y\r\n\r\n"),
    ("CONNECT", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n{}\r\n\r\n"),
    (
        "upgrade to h2c",
        "GET @ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n{}\r\n\r\n",
    ),
    (
        "upgrade to websocket",
        "GET @ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n{}\r\n\r\n",
    ),
    (
        "length taken off by connection",
        "POST @ HTTP/1.1\r\nHost: localhost\r\nConnection: content-length\r\nContent-Length: #\r\n\r\n{}",
    ),
    (
        "coding taken off by connection",
        "POST @ HTTP/1.1\r\nHost: localhost\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n!\r\n{}\r\n0\r\n\r\n",
    ),
];

/// Every attempt; `path` makes the path of each by its number.
pub fn corpus(path: impl Fn(usize) -> String) -> Vec<Attempt> {
    let mut all = Vec::new();
    let mut add = |name: String, make: &dyn Fn(&str, &str) -> Vec<u8>| {
        let path = path(all.len());
        let id = path.rsplit('/').next().unwrap_or_default().to_owned();
        all.push(Attempt { name, bytes: make(&path, &hidden(&id)) });
    };
    for line in OBSCURED {
        let said = String::from_utf8_lossy(line).escape_debug().to_string();
        // The proxy reads by length, the origin by chunks; and the other way round.
        add(format!("CL.TE {said}"), &|path, hidden| {
            let body = format!("0\r\n\r\n{hidden}");
            post(path, &[format!("Content-Length: {}\r\n", body.len()).as_bytes(), line], &body)
        });
        add(format!("TE.CL {said}"), &|path, hidden| {
            let size = format!("{:x}\r\n", hidden.len());
            let body = format!("{size}{hidden}\r\n0\r\n\r\n");
            post(path, &[line, format!("Content-Length: {}\r\n", size.len()).as_bytes()], &body)
        });
    }
    for line in LENGTHS {
        add(format!("length {}", line.escape_debug()), &|path, hidden| {
            let line = line.replace('#', &hidden.len().to_string());
            post(path, &[line.as_bytes()], hidden)
        });
    }
    for body in CHUNKS {
        add(format!("chunk {}", body.escape_debug()), &|path, hidden| {
            post(path, &[b"Transfer-Encoding: chunked\r\n"], &body.replace("{}", hidden))
        });
    }
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        // The origin reads no body of these (CL.0).
        add(format!("CL.0 {method}"), &|path, hidden| {
            let length = hidden.len();
            format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n\
                 {hidden}"
            )
            .into_bytes()
        });
        add(format!("TE.0 {method}"), &|path, hidden| {
            let length = hidden.len();
            format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {length:x}\r\n{hidden}\r\n0\r\n\r\n"
            )
            .into_bytes()
        });
    }
    // The proxy expects no body, the origin one (0.CL); and one that waits to be told.
    add("0.CL by a folded field".into(), &|path, hidden| {
        let length = hidden.len();
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\tContent-Length: {length}\r\n\r\n{hidden}")
            .into_bytes()
    });
    for expect in ["100-continue", "100-continue, x", "x", " 100-Continue "] {
        add(format!("expect {expect}"), &|path, hidden| {
            let length = hidden.len();
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: {expect}\r\n\
                 Content-Length: {length}\r\n\r\n{hidden}"
            )
            .into_bytes()
        });
    }
    for (name, head) in HEADS {
        add(name.to_owned(), &|path, hidden| {
            let length = hidden.len();
            let head = head.replace('#', &length.to_string()).replace('!', &format!("{length:x}"));
            head.replace('@', path).replace("{}", hidden).into_bytes()
        });
    }
    all
}

fn post(path: &str, lines: &[&[u8]], body: &str) -> Vec<u8> {
    let mut bytes = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for line in lines {
        bytes.extend_from_slice(line);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn attempts_have_names_and_hide_something() {
        let all = corpus(|number| format!("/a/{number}"));
        let names: HashSet<&str> = all.iter().map(|attempt| attempt.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.len() > 100, "{}", all.len());
        let hide = all
            .iter()
            .filter(|attempt| String::from_utf8_lossy(&attempt.bytes).contains("GET /hidden/"));
        assert!(hide.count() > 90);
        let first = String::from_utf8_lossy(&all[0].bytes).into_owned();
        assert!(first.starts_with("POST /a/0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: "));
    }
}
