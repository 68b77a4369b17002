//! One request that is over.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, header};
use tokio::time::Instant;
use weir_config_telemetry::{Cmcd, Entry, RequestId};
use weir_edge_cache::ObjectId;
use weir_edge_http::ConnectionInfo;

use super::Marks;
use crate::record::Outcome;

/// All that is known of it.
#[derive(Debug, Clone)]
pub struct Finished {
    pub id: RequestId,
    /// When it began, Unix milliseconds.
    pub time: u64,
    /// The same by the clock of the phases.
    pub started: Instant,
    pub connection: Arc<ConnectionInfo>,
    /// As far as it is told.
    pub client: Option<IpAddr>,
    pub method: http::Method,
    pub host: String,
    /// Token redacted.
    pub path: String,
    pub range: Option<String>,
    pub status: u16,
    pub bytes: u64,
    pub whole: bool,
    pub outcome: Outcome,
    pub service: Option<Arc<str>>,
    /// Session id of the token.
    pub sid: Option<String>,
    pub said: Option<Box<Said>>,
    /// Until the head was ready, in seconds.
    pub ttfb: f64,
    /// Until the body was over, in seconds.
    pub total: f64,
    pub marks: Marks,
    /// The object its upstream would be asked for; none where the cache could answer.
    pub asked: Option<ObjectId>,
}

/// What a client says of itself, where anybody writes it down.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub cmcd: Cmcd,
    /// Tokens redacted.
    pub referer: Option<String>,
    pub agent: Option<String>,
}

impl Said {
    /// Of a request; nothing where it says nothing.
    pub fn of(uri: &http::Uri, headers: &HeaderMap, agents: bool) -> Option<Box<Self>> {
        let mut said = Self::default();
        if let Some(query) = uri.query() {
            said.cmcd.of_query(query);
        }
        for (name, value) in headers {
            if name.as_str().starts_with("cmcd-")
                && let Ok(value) = value.to_str()
            {
                said.cmcd.of_field(value);
            }
        }
        if agents {
            let text = |name| {
                let text = headers.get(name)?.to_str().ok()?;
                let mut text = weir_edge_token::redact(text).into_owned();
                cut(&mut text, super::TEXT_MAX);
                Some(text)
            };
            (said.referer, said.agent) = (text(header::REFERER), text(header::USER_AGENT));
        }
        let nothing = said.cmcd.is_empty() && said.referer.is_none() && said.agent.is_none();
        (!nothing).then(|| Box::new(said))
    }
}

impl Finished {
    /// As the access log tells it.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            time: self.time,
            id: self.id,
            protocol: self.connection.protocol.as_str(),
            tls: self.connection.tls.as_ref().map(|tls| tls.version),
            client: self.client,
            method: self.method.as_str(),
            host: &self.host,
            path: &self.path,
            status: self.status,
            bytes: self.bytes,
            whole: self.whole,
            cache: self.outcome.as_str(),
            service: self.service.as_deref(),
            sid: self.sid.as_deref(),
            range: self.range.as_deref(),
            ttfb_ms: millis(self.ttfb),
            total_ms: millis(self.total),
            cmcd: self.said.as_ref().map(|said| &said.cmcd).filter(|said| !said.is_empty()),
            referer: self.said.as_ref().and_then(|said| said.referer.as_deref()),
            agent: self.said.as_ref().and_then(|said| said.agent.as_deref()),
        }
    }

    /// Whether it is remembered for longer: it failed, or its head took long.
    pub fn is_notable(&self) -> bool {
        self.status >= 500 || self.outcome == Outcome::Error || self.ttfb >= super::SLOW
    }

    /// When it was over.
    pub fn ended(&self) -> Instant {
        self.started + Duration::from_secs_f64(self.total.max(0.0))
    }

    /// The same, Unix milliseconds.
    pub fn ended_millis(&self) -> u64 {
        self.time.saturating_add((self.total * 1e3) as u64)
    }

    /// Cuts its texts, which clients chose.
    pub(super) fn shorten(&mut self, most: usize) {
        for text in [&mut self.host, &mut self.path] {
            cut(text, most);
        }
        for text in [&mut self.range, &mut self.sid].into_iter().flatten() {
            cut(text, most);
        }
    }
}

pub(crate) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
        text.shrink_to_fit();
    }
}

/// Milliseconds with three places; more is noise.
pub fn millis(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}
