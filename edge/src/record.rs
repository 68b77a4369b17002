//! Last phase: what happened, once the response is off our hands: one line in the access log
//! and the counters.

use std::{
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use tokio::time::Instant;
use weir_config::edge::ClientAddress;
use weir_config_telemetry::RequestId;
use weir_edge_cache::ObjectId;
use weir_edge_fill::{Ask, Outlet};
use weir_edge_http::{ConnectionInfo, Request, Response, body::Observer};

use crate::{
    journal::{Finished, Marks, Phase, Said, cut, millis},
    load::{Passage, Place},
    metrics::{Class, Seen},
    node::Node,
    outlet,
    traces::{Behalf, Root, Trail, on_behalf},
};

/// What the cache did for a request: the `result` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    HitMem,
    HitDisk,
    Revalidated,
    Stale,
    Collapsed,
    Miss,
    /// Never looked into the cache, or the response could not be shared.
    Bypass,
    /// Answered by the edge itself: a preflight, a refusal.
    Own,
    Error,
}

impl Outcome {
    /// In the order of their discriminants.
    pub const ALL: [Self; 9] = [
        Self::HitMem,
        Self::HitDisk,
        Self::Revalidated,
        Self::Stale,
        Self::Collapsed,
        Self::Miss,
        Self::Bypass,
        Self::Own,
        Self::Error,
    ];

    /// As labels and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HitMem => "hit_mem",
            Self::HitDisk => "hit_disk",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
            Self::Collapsed => "collapsed",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Own => "own",
            Self::Error => "error",
        }
    }

    /// Whether the bytes came from the cache without waiting for an upstream's body.
    pub fn is_hit(self) -> bool {
        matches!(self, Self::HitMem | Self::HitDisk | Self::Revalidated | Self::Stale)
    }
}

/// Gathers what is known of a request while its phases run.
#[derive(Debug)]
pub struct Record {
    node: Arc<Node>,
    connection: Arc<ConnectionInfo>,
    started: Instant,
    id: RequestId,
    time: u64,
    method: Method,
    host: String,
    path: String,
    range: Option<String>,
    status: u16,
    ttfb: f64,
    marks: Marks,
    asked: Option<ObjectId>,
    root: Option<Root>,
    trail: Option<Arc<Trail>>,
    said: Option<Box<Said>>,
    written: bool,
    /// Who asks: the peer, or whom a trusted forwarder named.
    pub client: IpAddr,
    /// Its place among what its client has under way.
    pub place: Option<Place>,
    /// Its place among what holds a connection to an upstream.
    pub passage: Option<Passage>,
    pub outcome: Outcome,
    pub service: Option<Arc<str>>,
    pub sid: Option<String>,
}

/// Bytes of a path with its query, of a range and of a host that are written down: however much a
/// client says, what it did is told, in a line of less than 16 KiB.
const PATH_MAX: usize = 3000;
const RANGE_MAX: usize = 256;
const HOST_MAX: usize = 255;

/// What the log says of a request whose client left before there was an answer. No client
/// ever sees it.
pub const CLIENT_GONE: u16 = 499;

impl Record {
    pub fn begin(node: &Arc<Node>, connection: &Arc<ConnectionInfo>, request: &Request) -> Self {
        let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let mut path = weir_edge_token::redact(path).into_owned();
        cut(&mut path, PATH_MAX);
        let range = request.headers().get(http::header::RANGE);
        let mut range = range.and_then(|range| range.to_str().ok()).map(str::to_owned);
        if let Some(range) = &mut range {
            cut(range, RANGE_MAX);
        }
        Self {
            node: Arc::clone(node),
            connection: Arc::clone(connection),
            started: Instant::now(),
            id: node.journal.id(connection.worker),
            time: node.clock.unix_millis(),
            method: known(request.method()),
            host: String::new(),
            path,
            range,
            status: 0,
            ttfb: 0.0,
            marks: Marks::default(),
            asked: None,
            root: None,
            trail: None,
            // Nobody else reads it.
            said: node.access.as_ref().and_then(|access| {
                let agents = access.format().tells_agents();
                Said::of(request.uri(), request.headers(), agents)
            }),
            written: false,
            client: connection.peer.ip(),
            place: None,
            passage: None,
            outcome: Outcome::Own,
            service: None,
            sid: None,
        }
    }

    pub fn host(&mut self, host: &str) {
        host.clone_into(&mut self.host);
        cut(&mut self.host, HOST_MAX);
    }

    /// A phase has ended.
    pub fn mark(&mut self, phase: Phase) {
        self.marks.set(phase, self.started.elapsed());
    }

    /// Where it stands in its trace, where traces are told; by what its fields say where its peer
    /// may say it.
    pub fn traced(&mut self, headers: &HeaderMap, trusted: bool) {
        self.root = self.node.traces.begin(self.id, headers, trusted);
    }

    /// The cache alone cannot answer: the upstream is asked for this object, on its behalf.
    pub fn asks(&mut self, object: ObjectId, ask: &mut Ask) {
        self.asked = Some(object);
        if let Some(root) = &self.root {
            let (traces, began) = (&self.node.traces, (self.started, self.time));
            let new = || Trail::new(traces, root.clone(), began);
            self.trail.get_or_insert_with(new);
        }
        let behalf = Behalf { object, request: Some(self.id), trail: self.trail.clone() };
        ask.upstream = on_behalf(Arc::clone(&ask.upstream), behalf);
    }

    /// What its connection tells of what went out.
    pub fn outlet(&self) -> Option<Arc<dyn Outlet>> {
        outlet::of(&self.connection)
    }

    /// Scheme of the request's URI, as its connection says.
    pub fn scheme(&self) -> &'static str {
        if self.connection.tls.is_some() { "https" } else { "http" }
    }

    /// What the cache did, and how long it took where that was not the cache alone, for the
    /// developer tools of a browser (Server-Timing, W3C).
    pub fn timing(&self, headers: &mut HeaderMap) {
        let mut text = format!("cache;desc={}", self.outcome.as_str());
        if !matches!(self.outcome, Outcome::HitMem | Outcome::HitDisk | Outcome::Own) {
            let millis = millis(self.started.elapsed().as_secs_f64());
            text.push_str(&format!(", fill;dur={millis}"));
        }
        // By which `cachectl trace` finds it.
        text.push_str(&format!(", request;desc={}", self.id));
        let value = HeaderValue::try_from(text).expect("words and digits are a header value");
        headers.append(HeaderName::from_static("server-timing"), value);
    }

    /// Lets the response go; the record is written when its body has ended.
    pub fn attach(mut self, response: Response) -> Response {
        self.status = response.status().as_u16();
        self.ttfb = self.started.elapsed().as_secs_f64();
        let (head, body) = response.into_parts();
        Response::from_parts(head, body.observed(Box::new(self)))
    }
}

impl Observer for Record {
    fn ended(mut self: Box<Self>, bytes: u64, whole: bool) {
        self.write(bytes, whole);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.status = CLIENT_GONE;
            self.ttfb = self.started.elapsed().as_secs_f64();
            self.write(0, false);
        }
    }
}

impl Record {
    fn write(&mut self, bytes: u64, whole: bool) {
        self.written = true;
        let total = self.started.elapsed().as_secs_f64();
        self.node.metrics.request(&Seen {
            protocol: self.connection.protocol,
            class: Class::of(&self.path),
            outcome: self.outcome,
            status: self.status,
            bytes,
            whole,
            ttfb: self.ttfb,
            ttlb: total,
        });
        let finished = Finished {
            id: self.id,
            time: self.time,
            started: self.started,
            client: match self.node.journal.address() {
                ClientAddress::Truncated => Some(truncated(self.client)),
                ClientAddress::Full => Some(self.client),
                ClientAddress::None => None,
            },
            connection: Arc::clone(&self.connection),
            method: mem::take(&mut self.method),
            host: mem::take(&mut self.host),
            path: mem::take(&mut self.path),
            range: self.range.take(),
            status: self.status,
            bytes,
            whole,
            outcome: self.outcome,
            service: self.service.take(),
            sid: self.sid.take(),
            ttfb: self.ttfb,
            total,
            marks: self.marks,
            asked: self.asked,
            said: self.said.take(),
        };
        if let Some(access) = &self.node.access {
            access.entry(&finished.entry());
        }
        if let Some(root) = &self.root {
            let (traces, exchanges) = (&self.node.traces, &self.node.journal.exchanges);
            traces.finished(root, self.trail.as_ref(), &finished, exchanges);
        }
        self.node.journal.take(finished);
    }
}

/// A method as it is written down: nobody's has so many letters.
fn known(method: &Method) -> Method {
    const LETTERS_MAX: usize = 32;
    match method.as_str().get(..LETTERS_MAX) {
        Some(first) => Method::from_bytes(first.as_bytes()).unwrap_or_default(),
        None => method.clone(),
    }
}

/// A client's network, not the client: /24 and /48.
pub(crate) fn truncated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => truncated(v4.into()),
            None => {
                let [a, b, c, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Outcome, truncated};

    #[test]
    fn clients_are_truncated() {
        let check = |from: &str, to: &str| {
            assert_eq!(truncated(from.parse().unwrap()), to.parse::<IpAddr>().unwrap());
        };
        check("192.0.2.77", "192.0.2.0");
        check("2001:db8:1:2:3::4", "2001:db8:1::");
        check("::ffff:192.0.2.77", "192.0.2.0");
    }

    #[test]
    fn outcomes_are_listed_in_order() {
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }
}
