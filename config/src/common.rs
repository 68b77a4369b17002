//! What every process is told alike.

mod decode;

use std::{path::PathBuf, time::Duration};

pub(crate) use decode::{
    Address, address, addresses, days, duration, log, log_with, no_clash, shutdown,
};

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Only what needs a hand.
    Error,
    /// And what may need one.
    Warn,
    /// And the life of the process.
    Info,
    /// And each decision.
    Debug,
    /// And everything else.
    Trace,
}

impl Level {
    /// As it is written in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Default info.
    pub level: Level,
    /// Default json.
    pub format: LogFormat,
    /// A line a request, by default of JSON. Default, and `"off"`: none.
    pub access: Option<PathBuf>,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// Running responses may end until then. Default 30 s, at most 1 d.
    pub deadline: Duration,
}
