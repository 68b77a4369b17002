//! What can go wrong between a request and the last byte of its answer.

use std::{error::Error, time::Duration};

/// Where a request hung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientPhase {
    /// Name resolution, TCP, TLS, or the wait for a free connection.
    Connect,
    /// The request is out, the answer's head is not there.
    Headers,
    /// Between two pieces of the answer's body.
    Body,
}

/// Why an exchange gave no whole answer. Cloneable: many may wait for one exchange.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// No connection came to stand.
    #[error("cannot connect to {target}: {reason}")]
    Connect {
        /// Where to.
        target: String,
        /// What the resolver, the system or TLS said.
        reason: String,
    },
    /// As many connections as allowed are busy, and none came free in time.
    #[error("all {limit} connections to {target} are busy")]
    Crowded {
        /// Where to.
        target: String,
        /// Connections allowed.
        limit: usize,
    },
    /// A deadline passed.
    #[error("nothing came for {after:?} ({phase:?})")]
    Silent {
        /// What was waited for.
        phase: ClientPhase,
        /// The deadline.
        after: Duration,
    },
    /// The connection ended before the head of an answer was there.
    #[error("the connection ended before an answer: {reason}")]
    Closed {
        /// What the connection said last.
        reason: String,
    },
    /// The body ended too early.
    #[error("the body broke off after {got} bytes: {reason}")]
    Truncated {
        /// Bytes that came.
        got: u64,
        /// Bytes declared, where they were.
        expected: Option<u64>,
        /// What the connection said last.
        reason: String,
    },
    /// More bytes came than the answer declared.
    #[error("bytes follow after the {got} of the answer")]
    Overlong {
        /// Bytes that belong to the answer.
        got: u64,
    },
    /// Two statements of the answer exclude each other.
    #[error("the answer contradicts itself: {reason}")]
    Contradiction {
        /// Which ones.
        reason: String,
    },
    /// The peer broke the rules of HTTP.
    #[error("the peer broke the protocol: {reason}")]
    Protocol {
        /// Which rule, as far as the parser says.
        reason: String,
    },
    /// The body being sent failed at its source, or had not the length it declared.
    #[error("the request's body failed: {reason}")]
    Upload {
        /// What its source said.
        reason: String,
    },
    /// The request cannot be put on the wire.
    #[error("the request is not one: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// Translates what hyper said while the answer's head was awaited.
    pub(crate) fn at_head(error: &hyper::Error) -> Self {
        let reason = chain(error);
        if error.is_parse() {
            // hyper has one name for a `content-length` that is malformed and for two that
            // differ (RFC 9112 §6.3 rule 5); both leave the length of the answer open.
            return if reason.contains("content-length") {
                Self::Contradiction { reason }
            } else {
                Self::Protocol { reason }
            };
        }
        if error.is_user() {
            return Self::Upload { reason };
        }
        match fault(error) {
            Some(Fault::Ours) => Self::Protocol { reason },
            Some(Fault::Theirs) | None => Self::Closed { reason },
        }
    }

    /// Translates what hyper said while the body was read.
    pub(crate) fn in_body(error: &hyper::Error, got: u64, expected: Option<u64>) -> Self {
        let reason = chain(error);
        match fault(error) {
            Some(Fault::Ours) => Self::Protocol { reason },
            Some(Fault::Theirs) => Self::Truncated { got, expected, reason },
            None if broken_chunk(error) => Self::Protocol { reason },
            None => Self::Truncated { got, expected, reason },
        }
    }
}

/// Who ended an HTTP/2 stream or connection.
enum Fault {
    /// We did, because of what the peer sent.
    Ours,
    /// The peer did, or the network.
    Theirs,
}

fn fault(error: &hyper::Error) -> Option<Fault> {
    sources(error)
        .find_map(|source| source.downcast_ref::<h2::Error>())
        .map(|h2| if h2.is_library() { Fault::Ours } else { Fault::Theirs })
}

/// Chunked framing that does not parse reaches us as `InvalidInput` or `InvalidData`; a
/// connection that ends in the middle has other kinds.
fn broken_chunk(error: &hyper::Error) -> bool {
    sources(error).filter_map(|source| source.downcast_ref::<std::io::Error>()).any(|io| {
        matches!(io.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData)
    })
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

/// The error with all its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for part in sources(error) {
        let part = part.to_string();
        if !text.ends_with(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
    }
    text
}
