//! A bound for bodies in `aws-chunked` framing. s3s gathers each chunk in memory before it
//! passes it on, and a chunk may be as large as the body. Chunks without signatures are cut
//! into small ones on the way; chunks with signatures must stay whole and have a largest size.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use weir_edge_http::BodyError;

/// Largest chunk under a signature. Clients send 64 KiB to 1 MiB.
const MAX_SIGNED: u64 = 16 << 20;
/// Longest line that begins a chunk; with a signature it has some 90 bytes.
const MAX_LINE: usize = 1024;

/// Where in the framing the next byte stands.
enum At {
    /// In the line that tells the size of a chunk.
    Line(BytesMut),
    /// So many bytes before the end of a chunk's data.
    Data(u64),
    /// So many bytes before the end of the line break behind the data.
    Break(usize),
    /// Behind the last chunk: fields, which s3s bounds.
    Fields,
}

/// Reads the framing, and writes it anew where that is needed.
struct Framing {
    at: At,
    signed: bool,
}

/// `body` with bounded chunks.
pub(super) fn bounded(
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    signed: bool,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    let framing = Framing { at: At::Line(BytesMut::new()), signed };
    let pieces = body.boxed();
    stream::unfold(Some((pieces, framing)), async |state| {
        let (mut pieces, mut framing) = state?;
        loop {
            let piece = match pieces.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some((Err(error), None)),
            };
            match framing.pass(piece) {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Some((Ok(out), Some((pieces, framing)))),
                Err(error) => return Some((Err(error), None)),
            }
        }
    })
}

impl Framing {
    fn pass(&mut self, mut piece: Bytes) -> Result<Bytes, BodyError> {
        let mut out = BytesMut::with_capacity(piece.len() + 64);
        while !piece.is_empty() {
            match &mut self.at {
                At::Line(line) => {
                    let end = piece.iter().position(|byte| *byte == b'\n');
                    line.extend_from_slice(&piece.split_to(end.map_or(piece.len(), |at| at + 1)));
                    if line.len() > MAX_LINE {
                        return Err(wrong("the line that begins a chunk is too long"));
                    }
                    if end.is_some() {
                        let line = std::mem::take(line);
                        self.begin(&line, &mut out)?;
                    }
                }
                At::Data(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                    let data = piece.split_to(here);
                    *left -= here as u64;
                    let done = *left == 0;
                    if self.signed {
                        out.extend_from_slice(&data);
                    } else {
                        out.extend_from_slice(format!("{here:x}\r\n").as_bytes());
                        out.extend_from_slice(&data);
                        out.extend_from_slice(b"\r\n");
                    }
                    if done {
                        self.at = At::Break(2);
                    }
                }
                At::Break(left) => {
                    let found = piece.split_to(piece.len().min(*left));
                    if found != b"\r\n"[2 - *left..][..found.len()] {
                        return Err(wrong("a chunk is longer than it says"));
                    }
                    *left -= found.len();
                    let done = *left == 0;
                    if self.signed {
                        out.extend_from_slice(&found);
                    }
                    if done {
                        self.at = At::Line(BytesMut::new());
                    }
                }
                At::Fields => out.extend_from_slice(&std::mem::take(&mut piece)),
            }
        }
        Ok(out.freeze())
    }

    fn begin(&mut self, line: &[u8], out: &mut BytesMut) -> Result<(), BodyError> {
        let size = line.split(|byte| b";\r".contains(byte)).next().unwrap_or_default();
        let size = std::str::from_utf8(size).ok().filter(|size| !size.starts_with('+'));
        let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(|| wrong("the size of a chunk cannot be read"))?;
        if self.signed && size > MAX_SIGNED {
            return Err(wrong("a chunk under a signature has at most 16 MiB here"));
        }
        if self.signed || size == 0 {
            out.extend_from_slice(line);
        }
        self.at = if size == 0 { At::Fields } else { At::Data(size) };
        Ok(())
    }
}

fn wrong(what: &str) -> BodyError {
    BodyError(what.to_owned())
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    /// The framing of `text` in pieces of every size.
    async fn check(text: &str, signed: bool, expected: Result<&str, &str>) {
        for size in [1, 2, 3, 7, text.len()] {
            let pieces: Vec<_> =
                text.as_bytes().chunks(size).map(|piece| Ok(piece.to_vec().into())).collect();
            let body = bounded(stream::iter(pieces), signed);
            let out: Result<Vec<Bytes>, BodyError> = body.try_collect().await;
            match (out, expected) {
                (Ok(out), Ok(expected)) => {
                    let out = String::from_utf8(out.concat()).unwrap();
                    let out = if signed { out } else { joined(&out) };
                    assert_eq!(out, expected, "pieces of {size}");
                }
                (Err(error), Err(expected)) => {
                    assert!(error.0.contains(expected), "{error} in pieces of {size}");
                }
                (out, expected) => panic!("{out:?}, not {expected:?}"),
            }
        }
    }

    /// The data of all chunks, then what follows them.
    fn joined(mut text: &str) -> String {
        let mut data = String::new();
        loop {
            let (size, rest) = text.split_once("\r\n").unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                return data + "|" + rest;
            }
            data += &rest[..size];
            text = rest[size..].strip_prefix("\r\n").unwrap();
        }
    }

    #[tokio::test]
    async fn chunks_are_bounded() {
        let fields = "x-amz-checksum-crc32:NhCmhg==\r\n\r\n";
        let plain = format!("5\r\nhello\r\n1\r\n!\r\n0\r\n{fields}");
        check(&plain, false, Ok(&format!("hello!|{fields}"))).await;
        let huge = "ffffffff\r\nhello";
        let cut = bounded(stream::iter([Ok(huge.into())]), false);
        let out: Vec<Bytes> = cut.try_collect().await.unwrap();
        assert_eq!(out.concat(), b"5\r\nhello\r\n", "nothing is gathered");

        let signed = "5;chunk-signature=abc\r\nhello\r\n0;chunk-signature=def\r\n\r\n";
        check(signed, true, Ok(signed)).await;
        check("1000001;chunk-signature=abc\r\nhello", true, Err("16 MiB")).await;
        check("5\r\nhello!\r\n0\r\n", false, Err("longer than it says")).await;
        check("xyz\r\nhello", false, Err("cannot be read")).await;
        check("-5\r\nhello", false, Err("cannot be read")).await;
        check("+5\r\nhello", false, Err("cannot be read")).await;
        check(&"0".repeat(2000), false, Err("too long")).await;
    }
}
