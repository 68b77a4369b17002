//! The bytes of an HTTP/1.1 connection, held to RFC 9112 as they come in.
//!
//! hyper's parser takes a lone LF for the end of a line, drops one of two statements about a
//! body's length, and believes a list of transfer codings by its last word. Each of these is a
//! second reading of where a request ends, and whoever stands before or behind us may have the
//! other. So a [`Requests`] reads along: one meaning, or a fault.
//!
//! Pure: bytes in, verdict out, the same however the bytes are cut. Holds a few dozen bytes
//! whatever comes. Sizes of heads and targets are hyper's to bound; what a field means, but for
//! the two that frame, is for `serve/request.rs`.

use super::Fault;

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

/// The requests of one connection as their bytes tell them.
#[derive(Debug)]
pub struct Requests {
    at: At,
    blank: u8,
    /// Spaces of the request line, and its last byte: `0` is HTTP/1.0.
    spaces: u8,
    last: u8,
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
        Self {
            at: At::Start,
            blank: 0,
            spaces: 0,
            last: 0,
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
}

impl Requests {
    /// Looks at the next bytes of the connection.
    ///
    /// # Errors
    /// The first fault, and how many of `bytes` come before the one that makes it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.at {
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
                At::Value if self.field == Field::Other => match plain(rest) {
                    0 => self.byte(rest[0]).map(|()| 1).map_err(|fault| (at, fault))?,
                    run => run,
                },
                _ => self.byte(rest[0]).map(|()| 1).map_err(|fault| (at, fault))?,
            };
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), Fault> {
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
                _ => {
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
                    self.trailers = true;
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
        *self = Self::default();
    }

    fn request_line(&mut self, byte: u8) -> Result<At, Fault> {
        match byte {
            b'\r' => return Ok(At::RequestLineLf),
            b'\n' => return Err(Fault::LineEnd),
            // RFC 9112 §3: two single spaces; the others that §3 would let us read as one are
            // how two readers come to see two targets.
            b' ' if self.spaces == 2 => return Err(Fault::RequestLine),
            b' ' => self.spaces += 1,
            0..b' ' | 0x7f => return Err(Fault::RequestLine),
            _ => {}
        }
        self.last = byte;
        Ok(At::RequestLine)
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

/// RFC 9112 §2.2: a CR is followed by LF, or the message means two things.
fn line_end<T>(byte: u8, next: T) -> Result<T, Fault> {
    if byte == b'\n' { Ok(next) } else { Err(Fault::LineEnd) }
}

/// How many bytes from the front may stand in a value.
fn plain(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_plain(*byte)).unwrap_or(bytes.len())
}

/// RFC 9110 §5.5, with what is obsolete and harmless in it.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    crate::message::length(digits)
}

/// The front of a name or a value, as far as anybody asks.
#[derive(Debug)]
struct Small<const N: usize> {
    bytes: [u8; N],
    /// One more than fits where there was more.
    length: usize,
}

impl<const N: usize> Default for Small<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Small<N> {
    fn clear(&mut self) {
        self.length = 0;
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length = (self.length + 1).min(N + 1);
    }

    /// None where it was longer.
    fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }
}

#[cfg(test)]
mod tests;
