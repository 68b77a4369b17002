//! The bounds of a server. Every one has a default that suits an edge.

use std::time::Duration;

use crate::pace::Pace;

/// What a server allows its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one listener (or QUIC endpoint) alive at once; the next ones are closed
    /// as they come. 16,384.
    pub connections: usize,
    /// The TLS handshake must be over. 10 s.
    pub handshake: Duration,
    /// From a request's first byte to the end of its headers (HTTP/1.1). 10 s.
    pub head: Duration,
    /// A connection without a request is closed after this. 75 s.
    pub idle: Duration,
    /// The same while the gate is shut, since there is too much to do. 15 s, which is longer than
    /// players wait between two segments.
    pub idle_shut: Duration,
    /// A client that takes no byte of what we have for it, or sends no byte of what it
    /// announced, is cut after this. 30 s.
    pub stall: Duration,
    /// A client that takes or sends less than this, while it is waited for, is cut. 500 bytes a
    /// second, over 60 s.
    pub pace: Pace,
    /// Header fields of a request (HTTP/1.1). 100.
    pub header_fields: usize,
    /// Bytes of a request's header section. 32 KiB.
    pub header_bytes: usize,
    /// Bytes of a request's body; it is streamed, so this costs no memory. 5 GiB, the largest
    /// single upload of S3.
    pub body_bytes: u64,
    /// Requests at once on one HTTP/2 or HTTP/3 connection. 128.
    pub streams: u32,
    /// Response bytes buffered for one HTTP/2 stream. 256 KiB.
    pub stream_send_buffer: usize,
    /// HTTP/2 ping when nothing was heard for this long; without an answer in the same time
    /// the connection is closed. 20 s.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            idle_shut: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            pace: Pace::default(),
            header_fields: 100,
            header_bytes: 32 * 1024,
            body_bytes: 5 << 30,
            streams: 128,
            stream_send_buffer: 256 * 1024,
            ping: Duration::from_secs(20),
        }
    }
}
