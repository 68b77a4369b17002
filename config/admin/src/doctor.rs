//! A self test: what was looked at, how it is, and what to do about it.

use serde::{Deserialize, Serialize};

/// How something is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing to do.
    Ok,
    /// It serves, and not as well or not as long as it could.
    Warn,
    /// Something does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which: `upstream film`, `disk cache/disk0`.
    pub name: String,
    /// How it is.
    pub finding: Finding,
    /// What was found.
    pub what: String,
    /// Why that is so, or why it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The command, or the change, that comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    /// With neither reason nor advice.
    pub fn new(name: impl Into<String>, finding: Finding, what: impl Into<String>) -> Self {
        Self { name: name.into(), finding, what: what.into(), why: None, next: None }
    }

    /// The same with a reason.
    #[must_use]
    pub fn why(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    /// The same with advice.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

/// Answer to `GET /v1/doctor`: what only the server can look at, and what it says of itself to
/// whoever looks at its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// Its process.
    pub pid: u32,
    /// `cache.memory`, bytes.
    pub memory: u64,
    /// Connections that may wait at each of its listeners.
    pub backlog: u64,
    /// Bytes it asks for as the buffer of each UDP socket, each way; 0 without HTTP/3.
    pub udp_buffer: u64,
    /// Folders of the disks.
    pub disks: Vec<String>,
    /// What it looked at.
    pub checks: Vec<Check>,
}
