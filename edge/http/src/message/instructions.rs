//! What a client may say on its two QPACK streams (RFC 9204 §4.3 and §4.4) to a server that offers
//! no dynamic table and uses none. h3 0.0.8 opens its own two and never reads the client's.

use super::Malformed;

/// One of the two streams, behind its type.
#[derive(Debug)]
pub struct Instructions {
    stream: Stream,
    seen: u64,
    verdict: Option<Malformed>,
}

#[derive(Debug)]
enum Stream {
    Encoder,
    Decoder {
        /// Bits of the number that is being read, where one is.
        within: Option<u32>,
    },
}

impl Instructions {
    /// Those of the stream on which a client would fill our table.
    pub fn encoder() -> Self {
        Self::of(Stream::Encoder)
    }

    /// Those of the stream on which a client answers for the table that we would fill.
    pub fn decoder() -> Self {
        Self::of(Stream::Decoder { within: None })
    }

    fn of(stream: Stream) -> Self {
        Self { stream, seen: 0, verdict: None }
    }

    /// Instructions that have begun.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    /// The first thing that is wrong in the stream, and the same at every call after it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if let Some(verdict) = self.verdict {
            return Err(verdict);
        }
        let seen = bytes.iter().try_for_each(|byte| self.next(*byte));
        self.verdict = seen.err();
        seen
    }

    fn next(&mut self, byte: u8) -> Result<(), Malformed> {
        match &mut self.stream {
            // RFC 9204 §4.3.1: a capacity of 0, which is what we offer, in its only spelling. More
            // than that, an entry and the copy of one are errors (§3.2.2, §3.2.3).
            Stream::Encoder if byte == 0x20 => self.seen += 1,
            Stream::Encoder => return Err(Malformed::EncoderStream),
            Stream::Decoder { within: within @ Some(_) } => {
                // A stream's number has 62 bits.
                let shift = within.take().unwrap_or_default() + 7;
                if byte & 0x80 != 0 {
                    if shift > 62 {
                        return Err(Malformed::DecoderStream);
                    }
                    *within = Some(shift);
                }
            }
            // §4.4.2: of a request that the client gave up. The other two (§4.4.1, §4.4.3)
            // acknowledge entries, and we have sent none.
            Stream::Decoder { within } if byte & 0xc0 == 0x40 => {
                self.seen += 1;
                if byte & 0x3f == 0x3f {
                    *within = Some(0);
                }
            }
            Stream::Decoder { .. } => return Err(Malformed::DecoderStream),
        }
        Ok(())
    }
}
