//! Writes an answer, and lets it go wrong as the script says.

use std::{fmt::Write as _, io, ops::Range};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, Instant, sleep, sleep_until, timeout},
};

use super::{
    act::{Act, BadHead, BadRange, Fault, Pace},
    answer::{Answer, Source},
    request::Request,
};

/// Bytes in a write when nothing paces it.
const PIECE: usize = 128 << 10;
/// Pieces of a body that is spread over a time.
const PACED_PIECES: u64 = 64;
/// A silent origin gives up too, in the end.
const SILENCE: Duration = Duration::from_secs(120);
/// Chunks in a chunked body.
const CHUNK: usize = 16 << 10;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
}

/// Sends one response. `wrote` hears of every piece of body that the kernel took.
pub(super) async fn send(
    stream: &mut TcpStream,
    request: &Request,
    mut answer: Answer,
    act: &Act,
    wrote: impl Fn(usize),
) -> io::Result<After> {
    sleep_if(act.wait).await;
    match act.fault {
        Some(Fault::SilentBeforeHead) => return silent(stream).await,
        Some(Fault::CloseBeforeHead) => return Ok(After::Close),
        Some(Fault::ContentRange(bad)) => spoil_range(&mut answer, bad),
        Some(Fault::Lie) => {
            if let Source::Content(content) = &mut answer.body {
                content.object ^= 1;
            }
        }
        _ => {}
    }
    let has_body = request.method != "HEAD" && !matches!(answer.status, 204 | 304);
    // A whole without a declared length is as long as it is: nothing it sends is surplus.
    let boundless = matches!(act.fault, Some(Fault::Long { .. })) && answer.status != 206;
    let chunked = act.chunked && has_body && !boundless;
    let head = head(&answer, act, chunked);
    match act.fault {
        Some(Fault::SilentInHead) => {
            stream.write_all(&head[..head.len() / 2]).await?;
            return silent(stream).await;
        }
        Some(Fault::Head(BadHead::Endless)) => return endless(stream).await,
        Some(Fault::Head(BadHead::Informational)) => return informational(stream).await,
        _ => {}
    }
    stream.write_all(&head).await?;
    if !has_body {
        return Ok(After::KeepAlive);
    }
    let out = Out { stream, chunked, wrote: &wrote };
    body(out, &answer, act).await
}

/// Where the body goes: plain, or in chunks (RFC 9112 §7.1).
struct Out<'a, W> {
    stream: &'a mut TcpStream,
    chunked: bool,
    wrote: &'a W,
}

impl<W: Fn(usize)> Out<'_, W> {
    async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.chunked {
            for chunk in piece.chunks(CHUNK) {
                self.stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                self.stream.write_all(chunk).await?;
                self.stream.write_all(b"\r\n").await?;
            }
        } else {
            self.stream.write_all(piece).await?;
        }
        (self.wrote)(piece.len());
        Ok(())
    }

    /// Sends `range` of the body at the pace of the script.
    async fn send(
        &mut self,
        source: &Source,
        range: Range<u64>,
        pace: Option<Pace>,
    ) -> io::Result<()> {
        let begun = Instant::now();
        let length = range.end - range.start;
        let piece = match pace {
            None => PIECE as u64,
            Some(Pace::Over(_)) => length.div_ceil(PACED_PIECES).max(1),
            Some(Pace::Drip { piece, .. }) => piece.max(1) as u64,
        };
        let mut at = range.start;
        while at < range.end {
            let next = (at + piece).min(range.end);
            self.write(&source.bytes(at..next)).await?;
            at = next;
            match pace {
                // The last piece leaves when the time is over.
                Some(Pace::Over(time)) if at < range.end => {
                    let left = (range.end - at).div_ceil(piece);
                    let gaps = length.div_ceil(piece).saturating_sub(1).max(1);
                    let share = (gaps + 1 - left) as f64 / gaps as f64;
                    sleep_until(begun + time.mul_f64(share)).await;
                }
                Some(Pace::Drip { gap, .. }) if at < range.end => sleep(gap).await,
                _ => {}
            }
        }
        Ok(())
    }
}

async fn body<W: Fn(usize)>(mut out: Out<'_, W>, answer: &Answer, act: &Act) -> io::Result<After> {
    let range = answer.range.clone();
    let cut = |after: u64| range.start..range.start.saturating_add(after).min(range.end);
    match act.fault {
        Some(Fault::Reset { after }) => {
            out.send(&answer.body, cut(after), act.pace).await?;
            // The client shall have what was sent before the reset overtakes it.
            sleep(Duration::from_millis(5)).await;
            out.stream.set_zero_linger()?;
            return Ok(After::Close);
        }
        Some(Fault::Short { after }) => {
            out.send(&answer.body, cut(after), act.pace).await?;
            out.stream.shutdown().await?;
            return Ok(After::Close);
        }
        Some(Fault::SilentInBody { after }) => {
            out.send(&answer.body, cut(after), act.pace).await?;
            return silent(out.stream).await;
        }
        Some(Fault::Understated { by }) if answer.status == 206 => {
            let end = range.end.saturating_sub(by).max(range.start);
            out.send(&answer.body, range.start..end, act.pace).await?;
        }
        Some(Fault::Head(BadHead::ChunkSize)) => {
            out.stream.write_all(b"zz\r\n").await?;
            out.stream.write_all(&answer.body.bytes(cut(64))).await?;
            return Ok(After::Close);
        }
        Some(Fault::Head(BadHead::ChunkEnd)) => {
            let piece = answer.body.bytes(cut(64));
            out.stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            out.stream.write_all(&piece).await?;
            out.stream.write_all(b"XX\r\n0\r\n\r\n").await?;
            return Ok(After::Close);
        }
        _ => out.send(&answer.body, range.clone(), act.pace).await?,
    }
    if let Some(Fault::Long { extra, forged }) = act.fault {
        out.write(&surplus(answer, extra, forged)).await?;
    }
    if out.chunked {
        out.stream.write_all(b"0\r\n\r\n").await?;
    }
    let tidy = matches!(act.fault, None | Some(Fault::Lie | Fault::Long { .. }));
    Ok(if tidy { After::KeepAlive } else { After::Close })
}

/// Bytes past the end: the object's own wrapped around, or a response that was never asked.
fn surplus(answer: &Answer, extra: u64, forged: bool) -> Bytes {
    let foreign = match &answer.body {
        Source::Content(content) => {
            let mut other = *content;
            other.object ^= 2;
            other.bytes(0..extra)
        }
        Source::Literal(_) => Bytes::from(vec![b'x'; usize::try_from(extra).unwrap_or(0)]),
    };
    if !forged {
        return foreign;
    }
    let out = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", foreign.len());
    [out.as_bytes(), &foreign].concat().into()
}

fn spoil_range(answer: &mut Answer, bad: BadRange) {
    if answer.status != 206 {
        return;
    }
    let Range { start, end } = answer.range;
    let size = answer.size;
    let field = match bad {
        BadRange::Shifted => Some(format!("bytes {}-{}/{size}", start + 1, end)),
        BadRange::Total => Some(format!("bytes {start}-{}/{}", end - 1, size + 1000)),
        BadRange::Missing => None,
        BadRange::Backwards => Some(format!("bytes {end}-{start}/{size}")),
        BadRange::Unit => Some(format!("cells {start}-{}/{size}", end - 1)),
        BadRange::Elsewhere => {
            let length = end - start;
            let start = if start > 0 { start - 1 } else { 1.min(size) };
            let end = (start + length).min(size);
            answer.range = start..end;
            Some(format!("bytes {start}-{}/{size}", end.saturating_sub(1)))
        }
    };
    answer.headers.retain(|(name, _)| name != "content-range");
    if let Some(field) = field {
        answer.headers.push(("content-range".into(), field));
    }
}

/// The head on the wire, with what is wrong about it.
fn head(answer: &Answer, act: &Act, chunked: bool) -> Vec<u8> {
    let length = answer.range.end - answer.range.start;
    let length = match act.fault {
        Some(Fault::Understated { by }) if answer.status == 206 => length.saturating_sub(by),
        _ => length,
    };
    let bad = match act.fault {
        Some(Fault::Head(bad)) => Some(bad),
        _ => None,
    };
    if bad == Some(BadHead::Noise) {
        return answer.body.bytes(0..512).iter().map(|byte| byte | 0x80).collect();
    }
    let mut head = match bad {
        Some(BadHead::StatusLine) => "HTTP/one OK\r\n".to_owned(),
        _ => format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status)),
    };
    let mut field = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    };
    for (name, value) in &answer.headers {
        field(name, value);
    }
    let by_chunks = chunked || matches!(bad, Some(BadHead::ChunkSize | BadHead::ChunkEnd));
    match bad {
        Some(BadHead::TwoLengths) => {
            field("content-length", &length.to_string());
            field("content-length", &(length / 2).to_string());
        }
        Some(BadHead::LengthAndChunked) => {
            field("content-length", &length.to_string());
            field("transfer-encoding", "chunked");
        }
        Some(BadHead::LengthGarbage) => field("content-length", "12abc"),
        Some(BadHead::LengthNegative) => field("content-length", "-1"),
        Some(BadHead::Nul) => field("x-nul", "a\0b"),
        _ => {}
    }
    match bad {
        Some(
            BadHead::TwoLengths
            | BadHead::LengthAndChunked
            | BadHead::LengthGarbage
            | BadHead::LengthNegative,
        ) => {}
        _ if by_chunks => field("transfer-encoding", "chunked"),
        _ if answer.status != 304 => field("content-length", &length.to_string()),
        _ => {}
    }
    if bad == Some(BadHead::NoColon) {
        head.push_str("this line has no colon\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        503 => "Service Unavailable",
        _ => "Said So",
    }
}

/// Keeps the connection open and says nothing until the client has had enough.
async fn silent(stream: &mut TcpStream) -> io::Result<After> {
    let mut sink = [0; 1024];
    let gone = async { while !matches!(stream.read(&mut sink).await, Ok(0) | Err(_)) {} };
    // Either way there is nothing more to say.
    let _ = timeout(SILENCE, gone).await;
    Ok(After::Close)
}

async fn endless(stream: &mut TcpStream) -> io::Result<After> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    let line = format!("x-more: {}\r\n", "m".repeat(1000));
    for _ in 0..1024 {
        stream.write_all(line.as_bytes()).await?;
    }
    Ok(After::Close)
}

async fn informational(stream: &mut TcpStream) -> io::Result<After> {
    for _ in 0..10_000 {
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await?;
    }
    silent(stream).await
}

async fn sleep_if(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
