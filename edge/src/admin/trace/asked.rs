//! A request through the node's own listener, as a client of this host would make it: what the
//! client sees, and what the server did meanwhile.
//!
//! The two are brought together by the address of the client's end, which nobody else has. The
//! request carries nothing that another one could not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use tokio::time::{Instant, sleep, timeout};
use weir_config_admin::{TraceClient, TraceOrder, TraceResult};
use weir_edge_http::{
    RequestBody,
    client::{Client, ClientLimits, Deadlines, Target, Upload, ask_over_quic},
};
use weir_edge_transport::{
    connect::Itself,
    quic::{Endpoint, towards_itself},
};

use super::{super::explain, Failure, told};
use crate::{admin::doctor::near, journal::millis, node::Node};

/// For all of it: somebody waits.
const LIMIT: Duration = Duration::from_secs(20);
/// Until the server has written down what it did: it does so when it lets go of the body.
const RECORD: Duration = Duration::from_millis(500);
/// Fields that an order adds.
const HEADERS_MAX: usize = 64;

pub(in crate::admin) async fn ask(
    node: &Arc<Node>,
    body: RequestBody,
) -> Result<TraceResult, Failure> {
    let body = super::super::cache::body(body).await?;
    let bad = |what: &str| Failure::new(StatusCode::BAD_REQUEST, what);
    let order: TraceOrder = serde_json::from_slice(&body)
        .map_err(|error| bad("the body is no request to trace").why(error.to_string()))?;
    let explained = explain::explain(node, &explained(&order))?;
    let plan = Plan::of(node, &order)?;
    let begun = Instant::now();
    let client = match timeout(LIMIT, plan.run()).await {
        Ok(done) => done,
        Err(_) => {
            let error = Some(format!("it did not end within {} s", LIMIT.as_secs()));
            TraceClient { error, ..plan.client() }
        }
    };
    let request = match plan.local() {
        Some(local) => recorded(node, local, begun).await,
        None => None,
    };
    Ok(TraceResult { explain: explained, client, request })
}

/// What the server wrote down of the request that came from `local`.
async fn recorded(
    node: &Node,
    local: SocketAddr,
    begun: Instant,
) -> Option<weir_config_admin::Trace> {
    let until = Instant::now() + RECORD;
    loop {
        let found = node.journal.find(|one| one.connection.peer == local && one.started >= begun);
        match found {
            Some(found) => return Some(told(&node.journal, &found)),
            None if Instant::now() >= until => return None,
            None => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// As `cache explain` is asked for it.
fn explained(order: &TraceOrder) -> String {
    let code = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let headers: String =
        order.headers.iter().map(|one| format!("&header={}", code(one))).collect();
    format!("url={}{headers}", code(&order.url))
}

/// Everything that is settled before the first packet.
struct Plan {
    itself: Itself,
    /// Where HTTP/3 is asked for.
    quic: Option<Endpoint>,
    address: SocketAddr,
    target: Target,
    request: Request<()>,
}

impl Plan {
    fn of(node: &Node, order: &TraceOrder) -> Result<Self, Failure> {
        let bad = |what: String| Failure::new(StatusCode::BAD_REQUEST, what);
        let shown = weir_edge_token::redact(&order.url).into_owned();
        let uri: Uri = order.url.parse().map_err(|_| bad(format!("not a URL: {shown}")))?;
        let Some(host) = uri.host() else { return Err(bad(format!("not a URL: {shown}"))) };
        let tls = uri.scheme_str() == Some("https");
        let reloader = node.config.get().ok_or_else(|| {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node has only just started")
        })?;
        let address = address(node, &uri, tls)?;
        let protocols: &[&str] = match (order.protocol.as_deref(), tls) {
            (None, true) | (Some("h2"), true) => &["h2"],
            (None | Some("h1"), false) | (Some("h1"), true) => &["http/1.1"],
            (Some("h2"), false) => {
                return Err(bad(
                    "HTTP/2 is spoken with TLS only: begin the URL with https://".into()
                ));
            }
            (Some("h3"), true) => &["h3"],
            (Some("h3"), false) => {
                return Err(bad(
                    "HTTP/3 is spoken with TLS only: begin the URL with https://".into()
                ));
            }
            (Some(other), _) => {
                return Err(bad(format!("a request is not traced over {other}"))
                    .why("protocols are h1, h2 and h3"));
            }
        };
        let config = match (tls, reloader.tls()) {
            (false, _) => None,
            (true, Some(tls)) => Some(tls.towards_itself(protocols).map_err(|error| {
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "no TLS client can be made")
                    .why(error.to_string())
            })?),
            (true, None) => {
                let what = "the node was started without TLS";
                return Err(Failure::new(StatusCode::CONFLICT, what));
            }
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut request = Request::new(());
        *request.method_mut() = Method::GET;
        *request.headers_mut() = headers(order)?;
        *request.uri_mut() = uri;
        let target = Target { tls, host, port: address.port() };
        let (quic, config) = match config {
            Some(config) if protocols == ["h3"] => {
                let endpoint = towards_itself(address.ip(), config).map_err(|error| {
                    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "no QUIC client can be made")
                        .why(error.to_string())
                })?;
                (Some(endpoint), None)
            }
            config => (None, config),
        };
        Ok(Self { itself: Itself::new(address, config), quic, address, target, request })
    }

    /// The client's end, as far as it is known.
    fn local(&self) -> Option<SocketAddr> {
        match &self.quic {
            Some(endpoint) => endpoint.local_addr().ok(),
            None => self.itself.steps().map(|steps| steps.local),
        }
    }

    fn client(&self) -> TraceClient {
        let mut told = TraceClient { address: self.address.to_string(), ..TraceClient::default() };
        if let Some(steps) = self.itself.steps() {
            told.connect_ms = Some(millis(steps.connect.as_secs_f64()));
            told.tls_ms = steps.tls.map(|tls| millis(tls.as_secs_f64()));
            told.tls = steps.version.map(str::to_owned);
        }
        told
    }

    async fn run(&self) -> TraceClient {
        match &self.quic {
            Some(endpoint) => self.over_quic(endpoint).await,
            None => self.over_tcp().await,
        }
    }

    async fn over_quic(&self, endpoint: &Endpoint) -> TraceClient {
        let mut told = TraceClient { protocol: "h3".into(), ..self.client() };
        let request = self.request.clone();
        let asked = ask_over_quic(endpoint, self.address, &self.target.host, request).await;
        let mut answer = match asked {
            Ok(answer) => answer,
            Err(error) => return TraceClient { error: Some(error.to_string()), ..told },
        };
        let begun = Instant::now();
        let head = answer.head;
        let since = || Some(millis((head + begun.elapsed()).as_secs_f64()));
        told.connect_ms = Some(millis(answer.connect.as_secs_f64()));
        told.tls = Some("1.3".into());
        told.head_ms = Some(millis(answer.head.as_secs_f64()));
        told.status = Some(answer.response.status().as_u16());
        told.headers = shown(answer.response.headers());
        loop {
            match answer.piece().await {
                Ok(Some(bytes)) => {
                    told.first_ms = told.first_ms.or_else(since);
                    told.bytes += bytes as u64;
                }
                Ok(None) => break,
                Err(error) => {
                    told.error = Some(error.to_string());
                    break;
                }
            }
        }
        told.total_ms = since();
        told
    }

    async fn over_tcp(&self) -> TraceClient {
        let client = Client::new(self.itself.clone(), ClientLimits::default());
        let (head, ()) = self.request.clone().into_parts();
        let request = Request::from_parts(head, Upload::empty());
        let begun = Instant::now();
        let sent = client.send(&self.target, request, Deadlines::all(LIMIT)).await;
        let ready = begun.elapsed();
        let mut told = self.client();
        let (response, connected) = match (sent, self.itself.steps()) {
            (Ok(response), Some(steps)) => {
                (response, steps.connect + steps.tls.unwrap_or_default())
            }
            (Err(error), _) => {
                told.error = Some(error.to_string());
                return told;
            }
            (Ok(_), None) => return told,
        };
        let since = |at: Duration| Some(millis(at.saturating_sub(connected).as_secs_f64()));
        told.protocol =
            if response.version() == http::Version::HTTP_2 { "h2" } else { "h1" }.into();
        told.head_ms = since(ready);
        told.status = Some(response.status().as_u16());
        told.headers = shown(response.headers());
        let mut body = response.into_body();
        loop {
            match body.next().await {
                Some(Ok(piece)) => {
                    told.first_ms = told.first_ms.or_else(|| since(begun.elapsed()));
                    told.bytes += piece.len() as u64;
                }
                None => break,
                Some(Err(error)) => {
                    told.error = Some(error.to_string());
                    break;
                }
            }
        }
        told.total_ms = since(begun.elapsed());
        told
    }
}

/// Fields of an answer. Whoever asks gets cookies; operators need not read them.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let field = |(name, value): (&HeaderName, &HeaderValue)| match *name {
        header::SET_COOKIE => (name.to_string(), "(not shown)".to_owned()),
        _ => (name.to_string(), text(value)),
    };
    headers.iter().map(field).collect()
}

/// The listener that takes the URL's port, else the first that speaks its scheme.
fn address(node: &Node, uri: &Uri, tls: bool) -> Result<SocketAddr, Failure> {
    let all = node.listening.get().map_or(&[][..], Vec::as_slice);
    let mut all = all.iter().filter(|(_, secure)| *secure == tls).map(|(address, _)| *address);
    let named = all.clone().find(|address| Some(address.port()) == uri.port_u16());
    named.or_else(|| all.next()).map(near).ok_or_else(|| {
        let scheme = if tls { "https" } else { "http" };
        Failure::new(StatusCode::CONFLICT, format!("the node has no {scheme} listener to ask"))
            .why(format!("listen.{scheme} is empty"))
            .next("cachectl config show listen")
    })
}

fn headers(order: &TraceOrder) -> Result<HeaderMap, Failure> {
    let bad = |what: &str| Failure::new(StatusCode::BAD_REQUEST, what);
    if order.headers.len() > HEADERS_MAX {
        return Err(bad(&format!("more than {HEADERS_MAX} headers")));
    }
    let mut headers = HeaderMap::new();
    for text in &order.headers {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let name = HeaderName::try_from(name.trim()).ok();
        let value = HeaderValue::try_from(value.trim()).ok();
        let (Some(name), Some(value)) = (name, value) else {
            return Err(bad("a header that is none: write `Name: value`"));
        };
        if matches!(name, header::HOST | header::CONTENT_LENGTH | header::TRANSFER_ENCODING) {
            return Err(bad(&format!(
                "{name} cannot be told: the URL says it, and there is no body"
            )));
        }
        headers.append(name, value);
    }
    Ok(headers)
}
