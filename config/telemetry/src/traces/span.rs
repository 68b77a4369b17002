//! One thing that took time.

use std::borrow::Cow;

use super::context::{SpanId, TraceId, Tracestate};

/// On which side of a wire it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On none.
    Internal,
    /// Somebody asked.
    Server,
    /// Somebody was asked.
    Client,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text of somebody.
    Text(String),
    /// One of ours.
    Word(&'static str),
    /// A number.
    Number(i64),
    /// All fields of one name.
    Texts(Vec<String>),
}

/// A moment inside a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Unix nanoseconds.
    pub time: u64,
    /// What it is.
    pub name: &'static str,
}

/// A span that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// What it is a part of; none at the root.
    pub parent: Option<SpanId>,
    /// Whether that came over the wire.
    pub remote: bool,
    /// Whether the trace was told from its begin; false where a failure alone made it.
    pub sampled: bool,
    /// Of vendors.
    pub state: Option<Tracestate>,
    /// One of few.
    pub name: Cow<'static, str>,
    /// On which side of a wire.
    pub kind: Kind,
    /// Unix nanoseconds.
    pub start: u64,
    /// Unix nanoseconds, not before the start.
    pub end: u64,
    /// Names are unique.
    pub attributes: Vec<(&'static str, Value)>,
    /// In order.
    pub events: Vec<Event>,
    /// Spans of others that it waited for.
    pub links: Vec<(TraceId, SpanId)>,
    /// Whether it failed.
    pub failed: bool,
}
