//! What failed, where, why, and which command to try next.

use std::fmt;

use serde_json::{Value, json};
use weir_config_admin::ErrorBody;

use crate::print::harmless;

/// Exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The command cannot be understood.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// Only some answered.
    Partial = 4,
    /// A check found a problem.
    Unhealthy = 5,
    /// By policy or for lack of rights.
    Refused = 6,
    /// With the state that is there.
    Conflict = 7,
    /// Try again later (EX_TEMPFAIL).
    Temporary = 75,
    /// Ended by Ctrl-C before its end.
    Interrupted = 130,
}

/// A command that did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What failed, and where.
    pub what: String,
    /// Why.
    pub why: Option<String>,
    /// What to try next.
    pub next: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: None, next: None }
    }

    pub(crate) fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// What a server answered with this HTTP status.
    pub(crate) fn answered(status: u16, body: ErrorBody) -> Self {
        let code = match status {
            400 | 405 | 413 | 415 | 422 => Code::Usage,
            401 | 403 => Code::Refused,
            404 => Code::NotFound,
            409 => Code::Conflict,
            429 | 503 => Code::Temporary,
            _ => Code::Failed,
        };
        Self { code, what: body.error, why: body.why, next: body.next }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "error": self.what, "why": self.why, "next": self.next, "code": self.code as u8 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| harmless(text).replace('\n', "\\n");
        writeln!(out, "error: {}", line(&self.what))?;
        if let Some(why) = &self.why {
            // It may be a report of several lines.
            writeln!(out, "  why:  {}", harmless(why))?;
        }
        if let Some(next) = &self.next {
            writeln!(out, "  next: {}", line(next))?;
        }
        Ok(())
    }
}
