//! One HTTP/1.1 response, as RFC 9112 §6.3 delimits it.

/// Headers past this are nonsense.
const LONGEST_HEAD: usize = 16 << 10;

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// How the end of the body is told.
pub(super) enum Framing {
    Length(usize),
    Chunked,
    /// By the end of the connection.
    Close,
}

pub(super) struct Head {
    pub(super) status: u16,
    pub(super) framing: Framing,
    /// Where the body starts.
    pub(super) length: usize,
}

impl Response {
    /// Whether nothing more is to come. What is no response is complete: nothing could mend it.
    pub(super) fn is_complete(bytes: &[u8]) -> bool {
        match head(bytes) {
            Ok(None) => false,
            Err(_) => true,
            Ok(Some(head)) => match head.framing {
                Framing::Length(length) => bytes.len() - head.length >= length,
                Framing::Chunked => !matches!(chunks(&bytes[head.length..]), Ok(None)),
                Framing::Close => false,
            },
        }
    }

    /// Reads a response after which nothing came.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.is_empty() {
            return Err("the connection was closed without an answer");
        }
        let head = head(bytes)?.ok_or("its header breaks off")?;
        let rest = &bytes[head.length..];
        let body = match head.framing {
            Framing::Length(length) => rest.get(..length).ok_or("its body breaks off")?.to_vec(),
            Framing::Chunked => chunks(rest)?.ok_or("its body breaks off")?,
            Framing::Close => rest.to_vec(),
        };
        Ok(Self { status: head.status, body })
    }
}

/// The header, or nothing when it is not all there yet.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    const NOT_HTTP: &str = "it is not HTTP";
    let start = &bytes[..bytes.len().min(LONGEST_HEAD)];
    let known = b"HTTP/1.1 ";
    if !start.starts_with(&known[..start.len().min(known.len())]) {
        return Err(NOT_HTTP);
    }
    let Some(end) = start.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() < LONGEST_HEAD { Ok(None) } else { Err("its header is too long") };
    };
    let text = std::str::from_utf8(&start[..end]).map_err(|_| NOT_HTTP)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|code| code.parse().ok());
    let mut framing = Framing::Close;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(NOT_HTTP)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err("its transfer coding is unknown");
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length")
            && !matches!(framing, Framing::Chunked)
        {
            framing = Framing::Length(value.parse().map_err(|_| "its length is no number")?);
        }
    }
    Ok(Some(Head { status: status.ok_or(NOT_HTTP)?, framing, length: end + 4 }))
}

/// The body of a chunked message (RFC 9112 §7.1), or nothing when it is not all there yet.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    const BROKEN: &str = "its chunks are broken";
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| BROKEN)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| BROKEN)?;
        rest = &rest[end + 2..];
        if size == 0 {
            // The last chunk; trailers end with an empty line.
            let done = rest.starts_with(b"\r\n") || rest.windows(4).any(|w| w == b"\r\n\r\n");
            return Ok(done.then_some(body));
        }
        let Some(data) = rest.get(..size) else { return Ok(None) };
        body.extend_from_slice(data);
        match rest.get(size..size.saturating_add(2)) {
            Some(b"\r\n") => rest = &rest[size + 2..],
            Some(_) => return Err(BROKEN),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Response;

    fn check(text: &str, complete: bool, expected: Result<(u16, &str), &str>) {
        let bytes = text.as_bytes();
        assert_eq!(Response::is_complete(bytes), complete, "{text:?}");
        let found = Response::read(bytes);
        let found = found.as_ref().map(|r| (r.status, str::from_utf8(&r.body).unwrap()));
        assert_eq!(found.map_err(|why| *why), expected, "{text:?}");
    }

    #[test]
    fn responses() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", true, Ok((200, "{}")));
        check("HTTP/1.1 404 Not Found\r\n\r\n{}", false, Ok((404, "{}")));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{chunked}2\r\n{{}}\r\n0\r\n\r\n"), true, Ok((200, "{}")));
        check(
            &format!("{chunked}1;x=y\r\n{{\r\n1\r\n}}\r\n0\r\na: b\r\n\r\n"),
            true,
            Ok((200, "{}")),
        );
        check(&format!("{chunked}2\r\n{{}}\r\n"), false, Err("its body breaks off"));
        check(&format!("{chunked}zz\r\n"), true, Err("its chunks are broken"));
        check(&format!("{chunked}ffffffffffffffff\r\n{{}}"), false, Err("its body breaks off"));
        check(&format!("{chunked}2\r\n{{}}xx"), true, Err("its chunks are broken"));
        check("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", false, Err("its body breaks off"));
        check("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", true, Err("its length is no number"));
        check("HTTP/1.1 200 OK\r\ncont", false, Err("its header breaks off"));
        check("HTTP/1.1 2", false, Err("its header breaks off"));
        check("SSH-2.0-OpenSSH_9.2\r\n", true, Err("it is not HTTP"));
        check("HTTP/1.1 abc\r\n\r\n", true, Err("it is not HTTP"));
        check("", false, Err("the connection was closed without an answer"));
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(20_000));
        check(&long, true, Err("its header is too long"));
    }
}
