//! What moves a server just now, beside what its metrics count.

use serde::{Deserialize, Serialize};

use crate::LogRecord;

/// Answer to `GET /v1/top`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// The server's clock, Unix milliseconds.
    pub now_ms: u64,
    /// What is asked for most, hottest first: at most 20.
    pub hottest: Vec<HotObject>,
    /// Of the requests of the last minute that are remembered those that took longest to their
    /// head, slowest first: at most 20.
    pub slowest: Vec<LogRecord>,
}

/// An object that is asked for often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HotObject {
    /// Host and path, without the query; the token redacted.
    pub name: String,
    /// Requests a second, over the last five to ten seconds.
    pub requests_s: f64,
    /// Body bytes a second.
    pub bytes_s: f64,
}
