//! Origins that write down every request they take out of what a proxy sends them: a strict one,
//! and lenient ones that read as an attacker would like. Each answers with the target it read.

use std::{io, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Another request in place of a field's value.
const REST: &str = "X-Rest: GET ";
/// Heads and bodies end here.
const MOST: usize = 1 << 20;

/// How an origin reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// As RFC 9112 says; whatever may be read in two ways is written down as such.
    Strict,
    /// Lenient about lines and names; chunks go before lengths.
    Chunks,
    /// Lenient; lengths go before chunks.
    Lengths,
    /// Lenient; only POST and PUT have bodies.
    Bodiless,
}

impl Habit {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Strict, Self::Chunks, Self::Lengths, Self::Bodiless];

    /// As paths and reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Chunks => "chunks",
            Self::Lengths => "lengths",
            Self::Bodiless => "bodiless",
        }
    }
}

/// A running origin. Stops when dropped.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Starts on a free loopback port.
    pub async fn start(habit: Habit) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while all.try_join_next().is_some() {}
                all.spawn(converse(stream, habit, Arc::clone(&kept)));
            }
        });
        Ok(Self { address, heard, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The targets of all requests so far, in order, `?` with a reason for what it could not or
    /// should not have read, and `!` where it took one request for a part of another; the list
    /// begins anew.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(mut stream: TcpStream, habit: Habit, heard: Arc<Mutex<Vec<String>>>) {
    let mut unread = Vec::new();
    loop {
        let head = match head(&mut stream, &mut unread, habit).await {
            Ok(Some(head)) => head,
            _ => return,
        };
        let (target, method, framing) = match read(&head, habit) {
            Ok(read) => read,
            Err(why) => {
                heard.lock().push(format!("? {why}: {}", String::from_utf8_lossy(&head)));
                let refused = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
                drop(stream.write_all(refused).await);
                return;
            }
        };
        // What came behind a hidden request was read as a field of it.
        if head.windows(REST.len()).any(|at| at == REST.as_bytes()) {
            let head = String::from_utf8_lossy(&head).into_owned();
            heard.lock().push(format!("! {target} took in another request: {head}"));
        }
        heard.lock().push(target.clone());
        if body(&mut stream, &mut unread, framing, habit).await.is_err() {
            return;
        }
        let length = target.len();
        let text = if method == "HEAD" { "" } else { &target };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ncache-control: no-store\r\n\r\n{text}"
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Nothing,
    Length(usize),
    Chunks,
}

/// The bytes of the next head, without its empty line.
async fn head(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    habit: Habit,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        // RFC 9112 §2.2: an empty line before a request is passed over.
        while unread.starts_with(b"\r\n") {
            unread.drain(..2);
        }
        let end = |mark: &[u8]| {
            unread.windows(mark.len()).position(|at| at == mark).map(|at| (at, mark.len()))
        };
        let mut found = end(b"\r\n\r\n");
        if habit != Habit::Strict {
            found = [end(b"\n\n"), end(b"\n\r\n"), found].into_iter().flatten().min();
        }
        if let Some((at, mark)) = found {
            let head = unread[..at].to_vec();
            unread.drain(..at + mark);
            return Ok(Some(head));
        }
        if unread.len() > MOST || stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
}

/// Target, method and what follows.
fn read(head: &[u8], habit: Habit) -> Result<(String, String, Framing), &'static str> {
    let strict = habit == Habit::Strict;
    let text = String::from_utf8_lossy(head).into_owned();
    if strict {
        let bare = text.replace("\r\n", "");
        if bare.contains(['\r', '\n', '\0']) {
            return Err("a bare CR, LF or NUL");
        }
    }
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let first = lines.next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    let (method, target) = match words[..] {
        [method, target, "HTTP/1.1"] => (method, target),
        [method, target, ..] if !strict => (method, target),
        _ => return Err("no request line"),
    };
    let (mut chunked, mut codings, mut lengths) = (false, 0, Vec::new());
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            if strict {
                return Err("a line without a colon");
            }
            continue;
        };
        if strict && (name.is_empty() || name.contains(|c: char| c.is_whitespace())) {
            return Err("a name with a space, or a folded line");
        }
        let name = name.trim().to_ascii_lowercase();
        let value = value.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        match name.as_str() {
            "transfer-encoding" => {
                codings += 1;
                let value = value.to_ascii_lowercase();
                if strict && value != "chunked" {
                    return Err("a coding other than chunked");
                }
                chunked |= value.contains("chunked");
            }
            "content-length" => lengths.push(value.to_owned()),
            _ => {}
        }
    }
    if strict && (codings + lengths.len() > 1) {
        return Err("more than one Content-Length or Transfer-Encoding");
    }
    let length = match lengths.first() {
        None => None,
        Some(value) => {
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            match digits.parse::<usize>() {
                Ok(length) if length <= MOST && (!strict || digits == *value) => Some(length),
                _ if strict => return Err("a length that is none"),
                _ => None,
            }
        }
    };
    let bodiless = habit == Habit::Bodiless && !matches!(method, "POST" | "PUT");
    let framing = match (chunked, length) {
        _ if bodiless => Framing::Nothing,
        (true, None) => Framing::Chunks,
        (true, Some(_)) if habit == Habit::Chunks => Framing::Chunks,
        (_, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Nothing,
    };
    Ok((target.to_owned(), method.to_owned(), framing))
}

async fn body(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    framing: Framing,
    habit: Habit,
) -> io::Result<()> {
    match framing {
        Framing::Nothing => Ok(()),
        Framing::Length(length) => take(stream, unread, length).await.map(drop),
        Framing::Chunks => loop {
            let line = line(stream, unread).await?;
            let digits: String = line.chars().take_while(char::is_ascii_hexdigit).collect();
            let size = usize::from_str_radix(&digits, 16).unwrap_or(0);
            if size == 0 {
                // Trailers, to the empty line.
                while !self::line(stream, unread).await?.is_empty() {}
                return Ok(());
            }
            take(stream, unread, size.min(MOST)).await?;
            let end = self::line(stream, unread).await?;
            if habit == Habit::Strict && !end.is_empty() {
                return Err(io::Error::other("a chunk without its end"));
            }
        },
    }
}

async fn line(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(at) = unread.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&unread[..at]).trim_end_matches('\r').to_owned();
            unread.drain(..=at);
            return Ok(line);
        }
        if unread.len() > MOST || stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn take(stream: &mut TcpStream, unread: &mut Vec<u8>, count: usize) -> io::Result<Vec<u8>> {
    while unread.len() < count {
        if stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(unread.drain(..count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits() {
        let check = |habit, head: &str, expected: Result<Framing, &str>| {
            let got = read(head.as_bytes(), habit).map(|(_, _, framing)| framing);
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{head}"),
                (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
                (got, expected) => panic!("{head}: {got:?}, not {expected:?}"),
            }
        };
        let both = "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked";
        check(Habit::Strict, both, Err("more than one"));
        check(Habit::Chunks, both, Ok(Framing::Chunks));
        check(Habit::Lengths, both, Ok(Framing::Length(5)));
        check(Habit::Strict, "GET / HTTP/1.1\r\nX: y\nZ: a", Err("bare"));
        check(Habit::Lengths, "GET / HTTP/1.1\nContent-Length : 7", Ok(Framing::Length(7)));
        check(Habit::Bodiless, "GET / HTTP/1.1\r\nContent-Length: 7", Ok(Framing::Nothing));
        check(Habit::Strict, "GET / HTTP/1.1\r\nContent-Length: 7", Ok(Framing::Length(7)));
    }
}
