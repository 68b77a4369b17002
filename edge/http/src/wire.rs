//! The bytes of HTTP/1.1 and HTTP/2 connections, judged before hyper reads them.
//!
//! Each connection has a reader of its own for what hyper and h2 let through, or answer with
//! another meaning than the RFCs: [`h1`] holds the framing of requests to RFC 9112, [`h2`] holds
//! frames to RFC 9113 and counts those that only cost. Both are pure; `serve/tap.rs` acts on
//! their verdicts. Public for the sake of `edge/fuzz`.

pub mod h1;
pub mod h2;
mod hpack;

use http::StatusCode;

/// Why a request is refused, and a connection mostly with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// A line that ends in CR or in LF alone.
    #[error("a line does not end in CR LF")]
    LineEnd,
    /// A control character in the request line, or a space too many.
    #[error("the request line is none")]
    RequestLine,
    /// A field's name that is none, white space before its colon above all.
    #[error("a field has no name that could be one")]
    FieldName,
    /// A line that goes on in the next one.
    #[error("a field is folded")]
    Folded,
    /// A control character in a value.
    #[error("a field's value has a control character")]
    FieldValue,
    /// No number, or stated twice.
    #[error("content-length is no number, or there are two")]
    ContentLength,
    /// Anything but `chunked`, once, in HTTP/1.1.
    #[error("transfer-encoding is not chunked")]
    TransferEncoding,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("both content-length and transfer-encoding")]
    BothLengths,
    /// A size that is none, or a chunk of another size.
    #[error("a chunk is not framed")]
    Chunk,
    /// Trailers with what only stands in a head.
    #[error("trailers with a field of a head")]
    Trailers,
    /// A frame that is larger than we take, or not as large as its type.
    #[error("a frame has a size that it cannot have")]
    FrameSize,
    /// A frame where it may not be, or that no client sends.
    #[error("a frame is out of its place")]
    FrameOrder,
    /// A setting, an increment or a padding that cannot be.
    #[error("a frame says what it cannot")]
    FrameValue,
    /// A window above 2^31-1.
    #[error("a window is larger than windows are")]
    Window,
    /// A field block that HPACK cannot read.
    #[error("a field block cannot be read")]
    Compression,
    /// A version of HTTP that is none of ours.
    #[error("the request line ends in no version of HTTP that is served here")]
    Version,
    /// A target that is no URI, or has a fragment.
    #[error("the target of the request is none")]
    Target,
    /// A target that is longer than a head may be.
    #[error("the target of the request is too long")]
    TargetTooLong,
    /// A head that is larger than we take.
    #[error("the head of the request is too large")]
    HeadTooLarge,
    /// More fields than we take.
    #[error("the request has too many fields")]
    TooManyFields,
    /// No authority, two of them, or one that is none.
    #[error("the request does not say which host it is for")]
    Host,
    /// A method, or a scheme, that is served nowhere here.
    #[error("the request is of a kind that is not served here")]
    NotServed,
    /// A body where it has no meaning.
    #[error("a GET or HEAD has a body")]
    BodyOfGet,
    /// A body that is larger than we take.
    #[error("the body of the request is too large")]
    BodyTooLarge,
}

impl Fault {
    /// Every one, for whoever names the metrics.
    pub const ALL: [Self; 24] = [
        Self::LineEnd,
        Self::RequestLine,
        Self::FieldName,
        Self::Folded,
        Self::FieldValue,
        Self::ContentLength,
        Self::TransferEncoding,
        Self::BothLengths,
        Self::Chunk,
        Self::Trailers,
        Self::FrameSize,
        Self::FrameOrder,
        Self::FrameValue,
        Self::Window,
        Self::Compression,
        Self::Version,
        Self::Target,
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::TooManyFields,
        Self::Host,
        Self::NotServed,
        Self::BodyOfGet,
        Self::BodyTooLarge,
    ];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LineEnd => "line_end",
            Self::RequestLine => "request_line",
            Self::FieldName => "field_name",
            Self::Folded => "folded",
            Self::FieldValue => "field_value",
            Self::ContentLength => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::BothLengths => "both_lengths",
            Self::Chunk => "chunk",
            Self::Trailers => "trailers",
            Self::FrameSize => "frame_size",
            Self::FrameOrder => "frame_order",
            Self::FrameValue => "frame_value",
            Self::Window => "window",
            Self::Compression => "compression",
            Self::Version => "version",
            Self::Target => "target",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::Host => "host",
            Self::NotServed => "not_served",
            Self::BodyOfGet => "body_of_get",
            Self::BodyTooLarge => "body_too_large",
        }
    }

    /// How it is answered where there is somebody to answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// What whoever sent it may do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::LineEnd => "end every line of a head with CR LF and nothing else (RFC 9112 §2.2)",
            Self::RequestLine => {
                "send a method, a space, a target, a space and a version (RFC 9112 §3)"
            }
            Self::FieldName => "put the colon right behind a name of letters, digits and hyphens",
            Self::Folded => "write each field into one line (RFC 9112 §5.2)",
            Self::FieldValue => "leave control characters out of values (RFC 9110 §5.5)",
            Self::ContentLength => "send one Content-Length of digits (RFC 9112 §6.3)",
            Self::TransferEncoding => {
                "send `Transfer-Encoding: chunked` once, in HTTP/1.1, or a Content-Length"
            }
            Self::BothLengths => "send one of the two (RFC 9112 §6.1)",
            Self::Chunk => "frame chunks as RFC 9112 §7.1 says, or send a Content-Length",
            Self::Trailers => "leave what frames or routes a message to its head",
            Self::FrameSize | Self::FrameOrder | Self::FrameValue | Self::Window => {
                "see RFC 9113 §6; this is a mistake of the client's HTTP/2"
            }
            Self::Compression => "see RFC 7541; this is a mistake of the client's HPACK",
            Self::Version => "send HTTP/1.1, or speak HTTP/2 or 3 as TLS and Alt-Svc offer it",
            Self::Target => {
                "send a path that begins with a slash, percent-encoded, without a fragment"
            }
            Self::TargetTooLong => "shorten the path or the query",
            Self::HeadTooLarge => "send fewer or shorter fields; cookies are the usual reason",
            Self::TooManyFields => "send fewer fields; cookies are the usual reason",
            Self::Host => "send one Host, or :authority, with a name and at most a port",
            Self::NotServed => "use another method, and the scheme of the connection",
            Self::BodyOfGet => "send it without a body, which would change nothing, or use POST",
            Self::BodyTooLarge => "send less at once",
        }
    }

    /// What HTTP/2 calls it (RFC 9113 §7). A malformed message would be an error of its stream
    /// alone; §5.4.1 lets us part with the connection.
    pub fn code(self) -> u32 {
        match self {
            Self::Window => 0x3,
            Self::FrameSize => 0x6,
            Self::Compression => 0x9,
            _ => 0x1,
        }
    }
}

/// Frames of HTTP/2 that are each allowed and cost us more than whoever sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flood {
    /// Requests that are asked and taken back (CVE-2023-44487).
    Reset,
    /// A field block in many frames (CVE-2024-27316), or of a size that nobody takes.
    Continuation,
    /// SETTINGS, each of which is acknowledged (CVE-2019-9515).
    Settings,
    /// PING, each of which is answered (CVE-2019-9512).
    Ping,
    /// PRIORITY and PRIORITY_UPDATE, which nobody here heeds (CVE-2019-9513).
    Priority,
    /// WINDOW_UPDATE without anything that was read (CVE-2019-9511 and its like).
    WindowUpdate,
    /// DATA without data (CVE-2019-9518).
    EmptyData,
    /// DATA of a few bytes each.
    SmallData,
    /// Frames of types that are none of HTTP/2.
    Unknown,
    /// What h2 counts itself: streams it had to reset (CVE-2025-8671), field blocks that unfold
    /// beyond any bound, data frames that nobody reads.
    Engine,
}

impl Flood {
    /// Every one, for whoever names the metrics.
    pub const ALL: [Self; 10] = [
        Self::Reset,
        Self::Continuation,
        Self::Settings,
        Self::Ping,
        Self::Priority,
        Self::WindowUpdate,
        Self::EmptyData,
        Self::SmallData,
        Self::Unknown,
        Self::Engine,
    ];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Continuation => "continuation",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::Priority => "priority",
            Self::WindowUpdate => "window_update",
            Self::EmptyData => "empty_data",
            Self::SmallData => "small_data",
            Self::Unknown => "unknown",
            Self::Engine => "engine",
        }
    }
}

/// Why an HTTP/2 connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It broke a rule.
    Fault(Fault),
    /// It kept the rules and went too far.
    Flood(Flood),
}

impl Verdict {
    /// For GOAWAY (RFC 9113 §7); 0xb is ENHANCE_YOUR_CALM.
    pub fn code(self) -> u32 {
        match self {
            Self::Fault(fault) => fault.code(),
            Self::Flood(_) => 0xb,
        }
    }
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Flood> for Verdict {
    fn from(flood: Flood) -> Self {
        Self::Flood(flood)
    }
}
