//! What happened, as spans. Names and attributes are those of OpenTelemetry's semantic conventions
//! for HTTP spans (stable since 1.23); what is ours alone begins with `weir.`. Pure.
//!
//! Never told: tokens, queries (anybody's secret may stand there), and more of a client's address
//! than the access log tells.

use std::{borrow::Cow, time::Duration};

use http::Method;
use tokio::time::Instant;
use weir_config_telemetry::traces::{Event, Kind, Span, SpanId, TraceId, Value};
use weir_edge_http::Protocol;

use super::Root;
use crate::{
    journal::{Exchange, Finished, cut, phases},
    record::CLIENT_GONE,
};

/// Parts of a request with these numbers are its phases.
pub(super) const PHASES: u64 = 16;
/// Texts of clients are cut to that.
const TEXT_MAX: usize = 512;
/// Phases that are told, and how; the others take no time worth it.
const TOLD: [(&str, &str); 5] = [
    ("lookup", "cache lookup"),
    ("fill", "fill"),
    ("open", "open"),
    ("body", "deliver"),
    ("left", "client left"),
];

type Attributes = Vec<(&'static str, Value)>;

/// Where an upstream is, as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What stands before a path that is asked: scheme, authority and prefix.
    pub(crate) base: String,
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// A request that is over: its own span first, then those of its phases.
pub(super) fn request(
    finished: &Finished,
    root: &Root,
    links: Vec<(TraceId, SpanId)>,
) -> Vec<Span> {
    let start = finished.time.saturating_mul(1_000_000);
    let at = |seconds: f64| start.saturating_add((seconds.max(0.0) * 1e9) as u64);
    let gone = finished.status == CLIENT_GONE;
    let mut events = Vec::new();
    if !gone {
        events.push(Event { time: at(finished.ttfb), name: "head" });
    }
    let (name, mut attributes) = method(&finished.method);
    attributes.extend(of_request(finished));
    let error = match finished.status {
        CLIENT_GONE => Some(Value::Word("client_gone")),
        500.. => Some(Value::Text(finished.status.to_string())),
        _ if !finished.whole => Some(Value::Word("cut")),
        _ => None,
    };
    let failed = error.is_some();
    attributes.extend(error.map(|error| ("error.type", error)));
    let own = Span {
        trace: root.trace,
        id: root.span,
        parent: root.parent,
        remote: root.parent.is_some(),
        sampled: root.sampled,
        state: root.state.clone(),
        name,
        kind: Kind::Server,
        start,
        end: at(finished.total),
        attributes,
        events,
        links,
        failed,
    };
    let parts = phases(finished).into_iter().filter_map(|phase| {
        let number = TOLD.iter().position(|(name, _)| *name == phase.name)?;
        let (begun, ended) = (phase.at_ms / 1e3, (phase.at_ms + phase.took_ms) / 1e3);
        let note = phase.note.map(|note| ("weir.note", Value::Text(note)));
        Some(Span {
            id: root.part(number as u64),
            parent: Some(root.span),
            remote: false,
            name: TOLD[number].1.into(),
            kind: Kind::Internal,
            // Phases are told in whole microseconds.
            start: at(begun).min(own.end),
            end: at(ended.max(begun)).min(own.end),
            attributes: note.into_iter().collect(),
            events: Vec::new(),
            links: Vec::new(),
            failed: false,
            ..own.clone()
        })
    });
    let parts: Vec<Span> = parts.collect();
    std::iter::once(own).chain(parts).collect()
}

fn of_request(finished: &Finished) -> Attributes {
    let connection = &finished.connection;
    let path = finished.path.split('?').next().unwrap_or_default();
    let text = |text: &str| Value::Text(shortened(text));
    let mut told = vec![
        ("url.path", text(path)),
        ("url.scheme", Value::Word(if connection.tls.is_some() { "https" } else { "http" })),
        (
            "network.protocol.version",
            Value::Word(match connection.protocol {
                Protocol::H1 => "1.1",
                Protocol::H2 => "2",
                Protocol::H3 => "3",
            }),
        ),
        ("server.port", Value::Number(connection.local.port().into())),
        ("http.response.body.size", number(finished.bytes)),
        ("weir.request.id", Value::Text(finished.id.to_string())),
        ("weir.cache", Value::Word(finished.outcome.as_str())),
    ];
    if !finished.host.is_empty() {
        told.push(("server.address", text(&finished.host)));
    }
    if let Some(client) = finished.client {
        told.push(("client.address", Value::Text(client.to_string())));
    }
    if finished.status != CLIENT_GONE {
        told.push(("http.response.status_code", Value::Number(finished.status.into())));
    }
    if let Some(tls) = &connection.tls {
        told.push(("tls.protocol.version", Value::Word(tls.version)));
    }
    if let Some(range) = &finished.range {
        told.push(("http.request.header.range", Value::Texts(vec![shortened(range)])));
    }
    if let Some(service) = &finished.service {
        told.push(("weir.service", text(service)));
    }
    told
}

/// An exchange with an upstream that is over, of a request that began then (by the clock of its
/// phases, and in Unix milliseconds).
pub(crate) fn exchange(
    exchange: &Exchange,
    root: &Root,
    (began, millis): (Instant, u64),
) -> Option<Span> {
    let steps = exchange.steps();
    let id = steps.span?;
    let since = exchange.started.saturating_duration_since(began);
    let start = millis.saturating_mul(1_000_000).saturating_add(nanos(since));
    let at = |after: Duration| start.saturating_add(nanos(after));
    let (name, mut attributes) = method(&exchange.method);
    let path = exchange.path.split('?').next().unwrap_or_default();
    let peer = &exchange.peer;
    attributes.extend([
        ("url.full", Value::Text(format!("{}{path}", peer.base))),
        ("server.address", Value::Text(peer.address.clone())),
        ("server.port", Value::Number(peer.port.into())),
        ("http.response.body.size", number(steps.bytes)),
        ("weir.upstream", Value::Text(exchange.upstream.clone())),
    ]);
    if let Some(range) = &exchange.range {
        attributes.push(("http.request.header.range", Value::Texts(vec![shortened(range)])));
    }
    if let Some(status) = steps.status {
        attributes.push(("http.response.status_code", Value::Number(status.into())));
    }
    let error = match (steps.error, steps.status) {
        (Some(error), _) => Some(Value::Word(error)),
        (None, Some(status @ 400..)) => Some(Value::Text(status.to_string())),
        // Another upstream was faster, or nobody waits for it any more.
        (None, None) => Some(Value::Word("cancelled")),
        _ => None,
    };
    let failed = error.is_some();
    attributes.extend(error.map(|error| ("error.type", error)));
    let event = |name, after: Option<Duration>| Some(Event { time: at(after?), name });
    let events = [
        event(if steps.reused { "connection reused" } else { "connected" }, steps.connected),
        event("head", steps.head),
        event("first byte", steps.first),
    ];
    Some(Span {
        trace: root.trace,
        id,
        parent: Some(root.span),
        remote: false,
        sampled: root.sampled,
        state: root.state.clone(),
        name,
        kind: Kind::Client,
        start,
        end: at(steps.ended?),
        attributes,
        events: events.into_iter().flatten().collect(),
        links: Vec::new(),
        failed,
    })
}

/// A span's name, and what it says of its method: one of few, whatever a client sends.
fn method(method: &Method) -> (Cow<'static, str>, Attributes) {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    match KNOWN.into_iter().find(|known| *known == method.as_str()) {
        Some(known) => (known.into(), vec![("http.request.method", Value::Word(known))]),
        None => (
            "HTTP".into(),
            vec![
                ("http.request.method", Value::Word("_OTHER")),
                ("http.request.method_original", Value::Text(method.to_string())),
            ],
        ),
    }
}

fn shortened(text: &str) -> String {
    let mut text = text.to_owned();
    cut(&mut text, TEXT_MAX);
    text
}

fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
