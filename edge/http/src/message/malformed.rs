//! What a client of HTTP/3 can do wrong and what it can do too often, as two lists: codes for the
//! client, labels for the metrics.

/// Why a message, a stream or a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// A pseudo-header field twice.
    #[error("a pseudo-header field is repeated")]
    PseudoRepeated,
    /// A pseudo-header field after a field, or in trailers.
    #[error("a pseudo-header field is out of its place")]
    PseudoMisplaced,
    /// `:status`, or one that nobody has defined.
    #[error("a pseudo-header field is none of a request")]
    PseudoUnknown,
    /// `:method`, `:scheme` or `:path` is missing, or CONNECT has one too many.
    #[error("the pseudo-header fields are not those of a request")]
    PseudoMissing,
    /// A field's name that is none, or has upper case; a value with a line break.
    #[error("a field is not well-formed")]
    Field,
    /// `Connection`, `Transfer-Encoding` and their like.
    #[error("a field belongs to a connection of HTTP/1.1")]
    ConnectionField,
    /// No number, two numbers, or another number than the body's.
    #[error("content-length contradicts itself or the body")]
    ContentLength,
    /// A frame that would have to be held in memory and is larger than we do that for.
    #[error("a frame is too large")]
    TooLarge,
    /// A frame where it may not be.
    #[error("a frame is out of its place")]
    FrameUnexpected,
    /// The stream ends within a frame.
    #[error("the stream ends within a frame")]
    FrameCut,
    /// A frame holds less or more than its fields.
    #[error("a frame is longer or shorter than what it holds")]
    FrameLength,
    /// The control stream begins with something else than SETTINGS.
    #[error("the control stream does not begin with SETTINGS")]
    MissingSettings,
    /// A setting twice, or one of HTTP/2.
    #[error("the settings contradict themselves or are those of HTTP/2")]
    Settings,
    /// A push ID that cannot be, or one that grows where it may only shrink, or the reverse.
    #[error("an identifier cannot be")]
    Id,
    /// A field section that QPACK cannot read without a dynamic table, which we do not offer.
    #[error("a field section cannot be read")]
    Qpack,
    /// An instruction that would fill a dynamic table of no bytes.
    #[error("an instruction for a dynamic table that is not there")]
    EncoderStream,
    /// An instruction that answers what we never sent.
    #[error("an instruction that acknowledges what was not sent")]
    DecoderStream,
    /// A push stream, which only servers open.
    #[error("a client opened a push stream")]
    PushStream,
    /// A second control stream, or a second one of QPACK's.
    #[error("a stream of which there is one was opened again")]
    StreamTwice,
    /// The control stream or one of QPACK's is over.
    #[error("a stream was closed that lives as long as the connection")]
    CriticalClosed,
    /// Found above this: a value, a target, the length of a body that somebody read.
    #[error("a request contradicts itself")]
    Request,
}

impl Malformed {
    /// Every reason, for whoever names the metrics.
    pub const ALL: [Self; 21] = [
        Self::PseudoRepeated,
        Self::PseudoMisplaced,
        Self::PseudoUnknown,
        Self::PseudoMissing,
        Self::Field,
        Self::ConnectionField,
        Self::ContentLength,
        Self::TooLarge,
        Self::FrameUnexpected,
        Self::FrameCut,
        Self::FrameLength,
        Self::MissingSettings,
        Self::Settings,
        Self::Id,
        Self::Qpack,
        Self::EncoderStream,
        Self::DecoderStream,
        Self::PushStream,
        Self::StreamTwice,
        Self::CriticalClosed,
        Self::Request,
    ];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PseudoRepeated => "pseudo_repeated",
            Self::PseudoMisplaced => "pseudo_misplaced",
            Self::PseudoUnknown => "pseudo_unknown",
            Self::PseudoMissing => "pseudo_missing",
            Self::Field => "field",
            Self::ConnectionField => "connection_field",
            Self::ContentLength => "content_length",
            Self::TooLarge => "too_large",
            Self::FrameUnexpected => "frame_unexpected",
            Self::FrameCut => "frame_cut",
            Self::FrameLength => "frame_length",
            Self::MissingSettings => "missing_settings",
            Self::Settings => "settings",
            Self::Id => "id",
            Self::Qpack => "qpack",
            Self::EncoderStream => "encoder_stream",
            Self::DecoderStream => "decoder_stream",
            Self::PushStream => "push_stream",
            Self::StreamTwice => "stream_twice",
            Self::CriticalClosed => "critical_closed",
            Self::Request => "request",
        }
    }

    /// The code to tell the client (RFC 9114 §8.1, RFC 9204 §6).
    pub fn code(self) -> u64 {
        match self {
            Self::PushStream | Self::StreamTwice => 0x103,
            Self::CriticalClosed => 0x104,
            Self::FrameUnexpected => 0x105,
            Self::FrameCut | Self::FrameLength => 0x106,
            Self::TooLarge => 0x107,
            Self::Id => 0x108,
            Self::Settings => 0x109,
            Self::MissingSettings => 0x10a,
            Self::Qpack => 0x200,
            Self::EncoderStream => 0x201,
            Self::DecoderStream => 0x202,
            Self::PseudoRepeated
            | Self::PseudoMisplaced
            | Self::PseudoUnknown
            | Self::PseudoMissing
            | Self::Field
            | Self::ConnectionField
            | Self::ContentLength
            | Self::Request => 0x10e,
        }
    }

    /// An error of the whole connection and not of one stream. What is wrong with a stream of one
    /// direction always is.
    pub fn is_of_the_connection(self) -> bool {
        // A request's frame that is too large costs that request.
        self.code() != 0x10e && self != Self::TooLarge
    }
}

/// What is allowed, and too much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Excess {
    /// Requests that are asked and taken back (RFC 9114 §10.5; CVE-2023-44487 is HTTP/2's).
    #[error("too many requests were taken back")]
    Resets,
    /// Requests that each are refused as malformed.
    #[error("too many requests were malformed")]
    Malformed,
    /// GOAWAY, MAX_PUSH_ID, PRIORITY_UPDATE and unknown frames on the control stream.
    #[error("too many frames on the control stream")]
    Control,
    /// Instructions of QPACK.
    #[error("too many instructions of QPACK")]
    Instructions,
    /// Frames of a request that mean nothing: unknown ones, and DATA without data.
    #[error("too many frames that mean nothing")]
    Frames,
    /// Streams of types that nobody knows.
    #[error("too many streams that mean nothing")]
    Streams,
    /// Frames of QUIC: PING, PATH_CHALLENGE, windows that move by nothing, and their like.
    #[error("too many frames of the transport")]
    Transport,
}

impl Excess {
    /// Every kind, for whoever names the metrics.
    pub const ALL: [Self; 7] = [
        Self::Resets,
        Self::Malformed,
        Self::Control,
        Self::Instructions,
        Self::Frames,
        Self::Streams,
        Self::Transport,
    ];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::Malformed => "malformed",
            Self::Control => "control",
            Self::Instructions => "instructions",
            Self::Frames => "frames",
            Self::Streams => "streams",
            Self::Transport => "transport",
        }
    }
}
