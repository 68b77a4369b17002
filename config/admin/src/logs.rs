//! Access records as they come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Records that a server keeps for whoever asks later, at most.
pub const LOG_LAST_MAX: usize = 1024;
/// Longest filter that a server takes, bytes.
pub const LOG_FILTER_MAX: usize = 1024;

/// A value that a player tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CmcdValue {
    /// Said at all means true.
    Flag(bool),
    /// Kilobits a second, milliseconds.
    Integer(u64),
    /// A rate.
    Decimal(f64),
    /// A token or a text.
    Text(String),
}

/// One record of the access log. `GET /v1/logs` answers with a line of JSON for each that the
/// filter takes, oldest first; query keys, percent-encoded: `filter`, `last` (how many of those
/// that are over already, at most [`LOG_LAST_MAX`]), and `follow=1` for those to come. An empty
/// line means that nothing came for a while; a [`LogLost`] stands where records are missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When the request began, Unix milliseconds.
    pub time: u64,
    /// 16 hexadecimal digits.
    pub id: String,
    /// `h1`, `h2`, `h3`.
    pub protocol: String,
    /// `1.2`, `1.3`; none on plain HTTP.
    pub tls: Option<String>,
    /// The client's address, as far as the access log tells it.
    pub client: Option<String>,
    /// As asked.
    pub method: String,
    /// Without port; empty where no service was found.
    pub host: String,
    /// Path and query, the token redacted.
    pub path: String,
    /// Of the answer; 499 where the client left before.
    pub status: u16,
    /// Body bytes handed to the wire.
    pub bytes: u64,
    /// Whether that was all of the body.
    pub whole: bool,
    /// What the cache did.
    pub cache: String,
    /// Id of the service.
    pub service: Option<String>,
    /// Session id of the token.
    pub sid: Option<String>,
    /// The `Range` field.
    pub range: Option<String>,
    /// Until the answer's head was ready.
    pub ttfb_ms: f64,
    /// Until its body was over.
    pub total_ms: f64,
    /// What the player said of itself, by the keys of CTA-5004.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmcd: Option<BTreeMap<String, CmcdValue>>,
}

/// Answer to `POST /v1/logs/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRotated {
    /// The file.
    pub path: String,
    /// Whether the server began a new one; else it opened the same name again.
    pub rotated: bool,
}

/// Records that are missing here, because whoever follows did not take them in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLost {
    /// How many.
    pub lost: u64,
}
