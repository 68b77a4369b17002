//! One request, phase by phase.

use serde::{Deserialize, Serialize};

use crate::{Explain, LogRecord};

/// A finished request. Answer to `GET /v1/trace?id=…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// As the access log has it.
    pub record: LogRecord,
    /// In the order in which they were; those that it did not reach are left out.
    pub phases: Vec<TracePhase>,
    /// What upstreams were asked for this object meanwhile, by this request or another one.
    #[serde(default)]
    pub upstream: Vec<TraceExchange>,
}

/// A stretch of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TracePhase {
    /// `admit`, `authorize`, `lookup`, `fill`, `open`, `head`, `body`.
    pub name: String,
    /// When it began, from the beginning of the request.
    pub at_ms: f64,
    /// How long it took.
    pub took_ms: f64,
    /// What was done in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One request to an upstream. Times count from when it was asked, but for `at_ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceExchange {
    /// Its id in the configuration.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Range` field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// When it was asked, from the beginning of the client's request: negative where somebody
    /// else had asked before.
    pub at_ms: f64,
    /// The request that began it; none where the node did by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Until there was a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_ms: Option<f64>,
    /// Whether it was one that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<bool>,
    /// Until its answer's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_ms: Option<f64>,
    /// Until the first byte of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<f64>,
    /// Until its end, whole or not; none while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<f64>,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Body bytes received.
    pub bytes: u64,
    /// Why it broke off, or was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Body of `POST /v1/trace`: a request to make through the node's own listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceOrder {
    /// As a client asks for it, with its token. Host and path decide; where the name leads does
    /// not matter, the request goes to this node.
    pub url: String,
    /// `h1`, `h2` or `h3`; none is h2 with TLS, else h1.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Further fields: `Name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
}

/// Answer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceResult {
    /// What would have come, told before it was asked.
    pub explain: Explain,
    /// As a client saw it.
    pub client: TraceClient,
    /// As the server did; none where it did not come through.
    pub request: Option<Trace>,
}

/// What a client saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceClient {
    /// The address it connected to.
    pub address: String,
    /// `h1`, `h2`, `h3`
    pub protocol: String,
    /// Until the connection stood.
    pub connect_ms: Option<f64>,
    /// From then until TLS did. QUIC has both in one.
    pub tls_ms: Option<f64>,
    /// `1.2`, `1.3`
    pub tls: Option<String>,
    /// From the request to the head of its answer.
    pub head_ms: Option<f64>,
    /// From the request to the first byte of the body.
    pub first_ms: Option<f64>,
    /// From the request to its end.
    pub total_ms: Option<f64>,
    /// Of the answer.
    pub status: Option<u16>,
    /// Body bytes received.
    pub bytes: u64,
    /// Fields of the answer, in order.
    pub headers: Vec<(String, String)>,
    /// Why it did not come to its end.
    pub error: Option<String>,
}
