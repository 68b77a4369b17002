//! The bytes of an HTTP/1.1 connection, held to RFC 9112 as they come in.
//!
//! hyper's parser takes a lone LF for the end of a line, drops one of two statements about a
//! body's length, and believes a list of transfer codings by its last word. Each of these is a
//! second reading of where a request ends, and whoever stands before or behind us may have the
//! other. So a [`Requests`] reads along: one meaning, or a fault.
//!
//! Pure: bytes in, verdict out, the same however the bytes are cut. Holds a few dozen bytes
//! whatever comes, and a target that is none of the usual form. What hyper would refuse is refused
//! here before, because hyper says neither why nor how often. What a field means, but for the two
//! that frame, is for `serve/request.rs`.

mod text;

use http::Uri;

use super::Fault;
use text::{Small, is_plain, is_token, line_end, number, plain, version};

/// Longest name of a field that frames a message: `transfer-encoding`.
const NAME: usize = 17;

/// More digits than the largest length has.
const VALUE: usize = 20;

/// RFC 9112 §2.2 has a server pass over an empty line before a request; old clients sent one
/// behind a body.
const BLANK_LINES: u8 = 2;

/// Digits of a chunk's size: the largest number that 64 bits hold.
const SIZE_DIGITS: u8 = 16;

/// Bytes behind the size in its line. Nobody uses extensions (RFC 9112 §7.1.1 has recipients
/// bound them).
pub const EXTENSION: u16 = 256;

/// Where in a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a request.
    Start,
    /// Behind the CR of an empty line before one.
    StartLf,
    RequestLine,
    RequestLineLf,
    /// The first byte of a line of the head, or of the trailers.
    FieldStart,
    Name,
    Value,
    ValueLf,
    /// Behind the CR of the line that ends a head or the trailers.
    EndLf,
    /// A body with a length.
    Body(u64),
    Size,
    /// White space behind a size, which only an extension may follow.
    SizeSpace,
    Extension,
    SizeLf,
    Chunk(u64),
    ChunkCr,
    ChunkLf,
}

/// The fields that say where a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    ContentLength,
    TransferEncoding,
    Other,
}

/// What a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fields of a head, or of trailers.
    pub fields: usize,
    /// Bytes of a head.
    pub bytes: usize,
}

impl Default for Limits {
    /// 100 fields, 32 KiB.
    fn default() -> Self {
        Self { fields: 100, bytes: 32 * 1024 }
    }
}

/// The requests of one connection as their bytes tell them.
#[derive(Debug)]
pub struct Requests {
    limits: Limits,
    at: At,
    blank: u8,
    /// Bytes of the head so far, and its fields.
    head: usize,
    fields: usize,
    /// Spaces of the request line, bytes behind the last of them, and its last byte: `0` is
    /// HTTP/1.0.
    spaces: u8,
    word: usize,
    last: u8,
    /// The target has come to its query.
    query: bool,
    /// A target that does not begin with a slash.
    odd: Vec<u8>,
    name: Small<NAME>,
    field: Field,
    value: Small<VALUE>,
    length: Option<u64>,
    chunked: bool,
    /// The fields are those behind a chunked body.
    trailers: bool,
    size: u64,
    digits: u8,
    extension: u16,
}

impl Default for Requests {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Requests {
    /// A connection from its first byte.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: At::Start,
            blank: 0,
            head: 0,
            fields: 0,
            spaces: 0,
            word: 0,
            last: 0,
            query: false,
            odd: Vec::new(),
            name: Small::default(),
            field: Field::Other,
            value: Small::default(),
            length: None,
            chunked: false,
            trailers: false,
            size: 0,
            digits: 0,
            extension: 0,
        }
    }

    /// What comes now is a body, or its trailers: its request is somebody's already.
    pub fn in_body(&self) -> bool {
        self.trailers
            || matches!(
                self.at,
                At::Body(_)
                    | At::Size
                    | At::SizeSpace
                    | At::Extension
                    | At::SizeLf
                    | At::Chunk(_)
                    | At::ChunkCr
                    | At::ChunkLf
            )
    }

    /// Looks at the next bytes of the connection.
    ///
    /// # Errors
    /// The first fault, and how many of `bytes` come before the one that makes it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let step = match self.at {
                // What may be stepped over, is.
                At::Body(left) => {
                    let step = left.min(rest.len() as u64);
                    self.at = if left == step { At::Start } else { At::Body(left - step) };
                    step as usize
                }
                At::Chunk(left) => {
                    let step = left.min(rest.len() as u64);
                    self.at = if left == step { At::ChunkCr } else { At::Chunk(left - step) };
                    step as usize
                }
                At::Value if self.field == Field::Other => match self.plain(rest) {
                    0 => self.byte(rest[0]).map(|()| 1).map_err(|fault| (at, fault))?,
                    run => {
                        self.head += run;
                        run
                    }
                },
                _ => self.byte(rest[0]).map(|()| 1).map_err(|fault| (at, fault))?,
            };
            if self.head > self.limits.bytes {
                return Err((at, self.too_large()));
            }
            at += step;
        }
        Ok(())
    }

    /// How many bytes from the front may stand in a value, of those that the head has room for.
    fn plain(&self, bytes: &[u8]) -> usize {
        plain(bytes).min(self.limits.bytes.saturating_sub(self.head))
    }

    fn too_large(&self) -> Fault {
        if self.at == At::RequestLine { Fault::TargetTooLong } else { Fault::HeadTooLarge }
    }

    fn byte(&mut self, byte: u8) -> Result<(), Fault> {
        self.head += 1;
        self.at = match self.at {
            At::Start => match byte {
                b'\r' if self.blank < BLANK_LINES => At::StartLf,
                b'\r' | b'\n' => return Err(Fault::LineEnd),
                _ => {
                    self.begin();
                    self.request_line(byte)?
                }
            },
            At::StartLf => {
                self.blank += 1;
                line_end(byte, At::Start)?
            }
            At::RequestLine => self.request_line(byte)?,
            At::RequestLineLf => line_end(byte, At::FieldStart)?,
            At::FieldStart => match byte {
                b'\r' => At::EndLf,
                b'\n' => return Err(Fault::LineEnd),
                // RFC 9112 §5.2, and §2.2 for white space before the first field.
                b' ' | b'\t' => return Err(Fault::Folded),
                _ if self.fields == self.limits.fields => return Err(Fault::TooManyFields),
                _ => {
                    self.fields += 1;
                    self.name.clear();
                    self.name_byte(byte)?
                }
            },
            At::Name => self.name_byte(byte)?,
            At::Value => self.value_byte(byte)?,
            At::ValueLf => line_end(byte, At::FieldStart)?,
            At::EndLf => {
                line_end(byte, At::Start)?;
                self.head_ends()?
            }
            At::Size => self.size_byte(byte)?,
            At::SizeSpace => match byte {
                b' ' | b'\t' | b';' => self.extension(byte)?,
                _ => return Err(Fault::Chunk),
            },
            At::Extension => match byte {
                b'\r' => At::SizeLf,
                b'\t' | b' '..=b'~' | 0x80.. => self.extension(byte)?,
                b'\n' => return Err(Fault::LineEnd),
                _ => return Err(Fault::Chunk),
            },
            At::SizeLf => match line_end(byte, self.size)? {
                0 => {
                    (self.trailers, self.head, self.fields) = (true, 0, 0);
                    At::FieldStart
                }
                size => At::Chunk(size),
            },
            // RFC 9112 §7.1: exactly as long as it said.
            At::ChunkCr if byte == b'\r' => At::ChunkLf,
            At::ChunkLf if byte == b'\n' => self.chunk_begins(),
            At::ChunkCr | At::ChunkLf => return Err(Fault::Chunk),
            At::Body(_) | At::Chunk(_) => self.at,
        };
        Ok(())
    }

    fn begin(&mut self) {
        *self = Self { head: 1, ..Self::new(self.limits) };
    }

    fn request_line(&mut self, byte: u8) -> Result<At, Fault> {
        match byte {
            b'\n' => return Err(Fault::LineEnd),
            b'\r' if self.spaces < 2 => return Err(Fault::RequestLine),
            b'\r' if self.word < text::VERSION => return Err(Fault::Version),
            b'\r' => return Ok(At::RequestLineLf),
            // RFC 9112 §3: two single spaces; the others that §3 would let us read as one are
            // how two readers come to see two targets.
            b' ' if self.spaces == 2 || self.word == 0 => return Err(Fault::RequestLine),
            b' ' => {
                if !self.odd.is_empty() && Uri::try_from(self.odd.as_slice()).is_err() {
                    return Err(Fault::Target);
                }
                (self.spaces, self.word) = (self.spaces + 1, 0);
                return Ok(At::RequestLine);
            }
            0..b' ' | 0x7f => return Err(Fault::RequestLine),
            _ => match self.spaces {
                0 if !is_token(byte) => return Err(Fault::RequestLine),
                0 => {}
                1 => self.target(byte)?,
                _ if !version(self.word, byte) => return Err(Fault::Version),
                _ => self.last = byte,
            },
        }
        self.word += 1;
        Ok(At::RequestLine)
    }

    /// What `http::Uri` takes for a path and a query. It would cut a fragment off, which has no
    /// place in a target (RFC 9112 §3.2).
    fn target(&mut self, byte: u8) -> Result<(), Fault> {
        if byte == b'#' {
            return Err(Fault::Target);
        }
        if self.word == 0 && byte != b'/' || !self.odd.is_empty() {
            self.odd.push(byte);
            return Ok(());
        }
        self.query |= byte == b'?';
        let wrong = match byte {
            b'<' | b'>' => true,
            b'`' => !self.query,
            b'"' => self.query,
            _ => false,
        };
        if wrong { Err(Fault::Target) } else { Ok(()) }
    }

    fn name_byte(&mut self, byte: u8) -> Result<At, Fault> {
        match byte {
            b':' if self.name.is_empty() => Err(Fault::FieldName),
            b':' => {
                self.field = match self.name.get() {
                    Some(b"content-length") => Field::ContentLength,
                    Some(b"transfer-encoding") => Field::TransferEncoding,
                    _ => Field::Other,
                };
                self.value.clear();
                Ok(At::Value)
            }
            b'\r' | b'\n' => Err(Fault::LineEnd),
            // RFC 9112 §5.1: white space before the colon gets 400.
            _ if is_token(byte) => {
                self.name.push(byte.to_ascii_lowercase());
                Ok(At::Name)
            }
            _ => Err(Fault::FieldName),
        }
    }

    fn value_byte(&mut self, byte: u8) -> Result<At, Fault> {
        match byte {
            b'\r' => {
                self.field_ends()?;
                return Ok(At::ValueLf);
            }
            b'\n' => return Err(Fault::LineEnd),
            _ if !is_plain(byte) => return Err(Fault::FieldValue),
            // Around a value, white space is none of it (RFC 9112 §5.1).
            b' ' | b'\t' if self.value.is_empty() => {}
            _ if self.field != Field::Other => self.value.push(byte.to_ascii_lowercase()),
            _ => {}
        }
        Ok(At::Value)
    }

    /// What the two fields may say, once each and nothing to interpret.
    fn field_ends(&mut self) -> Result<(), Fault> {
        if self.field == Field::Other {
            return Ok(());
        }
        // RFC 9112 §7.1.2, RFC 9110 §6.5.1: none of trailers.
        if self.trailers {
            return Err(Fault::Trailers);
        }
        let value = self.value.get().map(<[u8]>::trim_ascii_end);
        match self.field {
            Field::ContentLength => {
                let length = value.and_then(number).ok_or(Fault::ContentLength)?;
                // RFC 9112 §6.3 lets equal ones pass; none of our clients sends two.
                if self.length.replace(length).is_some() {
                    return Err(Fault::ContentLength);
                }
            }
            // RFC 9112 §6.1: `chunked` is applied once and last, and we know no other coding.
            Field::TransferEncoding => {
                if value != Some(b"chunked") || self.chunked || self.last == b'0' {
                    return Err(Fault::TransferEncoding);
                }
                self.chunked = true;
            }
            Field::Other => {}
        }
        // RFC 9112 §6.1: "ought to be handled as an error".
        if self.chunked && self.length.is_some() { Err(Fault::BothLengths) } else { Ok(()) }
    }

    fn head_ends(&mut self) -> Result<At, Fault> {
        if self.trailers {
            self.begin();
            return Ok(At::Start);
        }
        self.blank = 0;
        Ok(match self.length {
            _ if self.chunked => self.chunk_begins(),
            None | Some(0) => At::Start,
            Some(length) => At::Body(length),
        })
    }

    fn chunk_begins(&mut self) -> At {
        // It has a bound of its own.
        self.head = 0;
        (self.size, self.digits, self.extension) = (0, 0, 0);
        At::Size
    }

    fn size_byte(&mut self, byte: u8) -> Result<At, Fault> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if self.digits == 0 => return Err(Fault::Chunk),
            b'\r' => return Ok(At::SizeLf),
            b'\n' => return Err(Fault::LineEnd),
            b' ' | b'\t' | b';' => return self.extension(byte),
            _ => return Err(Fault::Chunk),
        };
        if self.digits == SIZE_DIGITS {
            return Err(Fault::Chunk);
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(digit);
        Ok(At::Size)
    }

    fn extension(&mut self, byte: u8) -> Result<At, Fault> {
        self.extension += 1;
        if self.extension > EXTENSION {
            return Err(Fault::Chunk);
        }
        let space = matches!(byte, b' ' | b'\t') && self.at != At::Extension;
        Ok(if space { At::SizeSpace } else { At::Extension })
    }
}

#[cfg(test)]
mod tests;
