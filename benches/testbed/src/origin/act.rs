//! What the origin does with one request.

use std::time::Duration;

/// How one response goes. The default is to answer well and at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Act {
    /// Waits before the response's head.
    pub wait: Duration,
    /// Sends the body slowly.
    pub pace: Option<Pace>,
    /// Serves this version instead of the published one.
    pub version: Option<u64>,
    /// Answers a range request with the whole, status 200.
    pub ignore_range: bool,
    /// Does as if the request had no condition (If-Match, If-Range and the others).
    pub ignore_conditions: bool,
    /// Leaves ETag and Last-Modified out.
    pub no_validators: bool,
    /// Sends the body chunked, without a Content-Length.
    pub chunked: bool,
    /// Answers with this status and a short text.
    pub status: Option<u16>,
    /// More fields.
    pub headers: Vec<(String, String)>,
    /// How it goes wrong.
    pub fault: Option<Fault>,
}

/// How fast a body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All of it evenly over this time, in 64 pieces.
    Over(Duration),
    /// Pieces of this many bytes, with a gap between two.
    Drip {
        /// Bytes in a piece, at least 1.
        piece: usize,
        /// Time between two.
        gap: Duration,
    },
}

/// Byte counts are of the response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Resets the connection (RST) after so many bytes.
    Reset {
        /// Body bytes before it.
        after: u64,
    },
    /// Closes the connection cleanly after so many bytes; a length was declared.
    Short {
        /// Body bytes before it.
        after: u64,
    },
    /// Sends more than was declared. With `chunked`, a part sends more than its Content-Range
    /// says; a whole is not sent chunked then, as it would declare nothing.
    Long {
        /// Surplus bytes.
        extra: u64,
        /// The surplus looks like a whole response with foreign bytes.
        forged: bool,
    },
    /// Declares fewer bytes than Content-Range says, and sends those. A response without a
    /// range is answered well: a server that understates a whole is believed by everybody.
    Understated {
        /// Bytes that it leaves out.
        by: u64,
    },
    /// Says nothing, and keeps the connection open until the client gives up.
    SilentBeforeHead,
    /// Stops in the middle of the head.
    SilentInHead,
    /// Stops after so many body bytes, and keeps the connection open.
    SilentInBody {
        /// Body bytes before it.
        after: u64,
    },
    /// Closes the connection without an answer.
    CloseBeforeHead,
    /// A head that is no HTTP.
    Head(BadHead),
    /// A Content-Range that does not say what was asked.
    ContentRange(BadRange),
    /// Right headers over another object's bytes. No cache can tell; controls use it.
    Lie,
}

/// Heads that break RFC 9112.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHead {
    /// No version, no code.
    StatusLine,
    /// Two different Content-Length fields (RFC 9112 §6.3).
    TwoLengths,
    /// Content-Length and Transfer-Encoding together (RFC 9112 §6.1).
    LengthAndChunked,
    /// A Content-Length that is no number.
    LengthGarbage,
    /// A negative Content-Length.
    LengthNegative,
    /// A line without a colon.
    NoColon,
    /// A field value with a NUL.
    Nul,
    /// Random bytes instead of a head.
    Noise,
    /// A head that goes on for a megabyte.
    Endless,
    /// A chunk size that is no number.
    ChunkSize,
    /// A chunk that is not followed by CRLF where it should end.
    ChunkEnd,
    /// Informational responses without end.
    Informational,
}

impl BadHead {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::StatusLine,
        Self::TwoLengths,
        Self::LengthAndChunked,
        Self::LengthGarbage,
        Self::LengthNegative,
        Self::NoColon,
        Self::Nul,
        Self::Noise,
        Self::Endless,
        Self::ChunkSize,
        Self::ChunkEnd,
        Self::Informational,
    ];
}

/// Content-Range fields that contradict the request or the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRange {
    /// Names another place than the body has.
    Shifted,
    /// Names another total.
    Total,
    /// Is missing from a 206.
    Missing,
    /// Ends before it begins.
    Backwards,
    /// Another unit.
    Unit,
    /// Serves a place that was not asked, and says so honestly.
    Elsewhere,
}

impl BadRange {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Shifted, Self::Total, Self::Missing, Self::Backwards, Self::Unit, Self::Elsewhere];
}

impl Act {
    /// Answers well.
    pub fn well() -> Self {
        Self::default()
    }

    /// Goes wrong.
    pub fn fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// Answers with a status and a short text.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// Waits before the head, then sends the body evenly over a time.
    pub fn paced(wait: Duration, over: Duration) -> Self {
        Self { wait, pace: Some(Pace::Over(over)), ..Self::default() }
    }

    /// Serves another version.
    pub fn version(version: u64) -> Self {
        Self { version: Some(version), ..Self::default() }
    }

    /// Waits before the head.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Sends the body chunked.
    #[must_use]
    pub fn chunked(self) -> Self {
        Self { chunked: true, ..self }
    }

    /// Sends the body slowly.
    #[must_use]
    pub fn pace(self, pace: Pace) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
