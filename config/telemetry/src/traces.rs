//! Spans of requests as OpenTelemetry knows them: which trace a request belongs to, whether it is
//! told, and how it is written on the wire (OTLP over HTTP, protobuf). Pure: who makes spans of
//! what happened, queues and posts them, is the process's affair (decision 0021).

mod context;
mod otlp;
mod span;
mod wire;

pub use context::{Context, SpanId, TraceId, Tracestate, sampled};
pub use otlp::{Answered, Resource, answered, request};
pub use span::{Event, Kind, Span, Value};
