//! The upstream port over HTTP/1.1 and HTTP/2.

use std::{fmt, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use http::{HeaderValue, Request, Uri, header};
use tokio::time::timeout;
use weir_edge_fill::upstream::{Phase, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};
use weir_edge_http::{
    BodyError,
    client::{Client, ClientError, ClientPhase, Deadlines, Upload},
};

use crate::{BaseUrl, fields};

/// Which host a parent is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Host {
    /// That of its own address.
    #[default]
    Upstream,
    /// The one the client named, where it named one: for parents that tell services apart by
    /// it. Where to connect, and whose certificate counts, stays as configured.
    Client,
}

/// A parent reached over HTTP(S).
#[derive(Clone)]
pub struct HttpUpstream {
    id: Arc<str>,
    base: BaseUrl,
    host: Host,
    client: Client,
    connect: Duration,
}

impl fmt::Debug for HttpUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpUpstream")
            .field("id", &self.id)
            .field("target", &self.base.target)
            .finish_non_exhaustive()
    }
}

impl HttpUpstream {
    /// The parent `id` at `base`. `connect` bounds how long a connection may take, within the
    /// deadline of each request.
    pub fn new(id: &str, base: BaseUrl, host: Host, client: Client, connect: Duration) -> Self {
        Self { id: id.into(), base, host, client, connect }
    }

    async fn exchange(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let deadlines = Deadlines {
            connect: self.connect.min(request.deadline),
            headers: request.deadline,
            gap: request.deadline,
        };
        // Connecting counts against the deadline. A request with a body has no such end: its
        // client decides how long it takes, and each phase is watched by itself.
        let whole = request.body.is_none().then_some(request.deadline);
        let request = self.translate(request)?;
        let sent = self.client.send(&self.base.target, request, deadlines);
        let answered = match whole {
            Some(after) => timeout(after, sent)
                .await
                .unwrap_or(Err(ClientError::Silent { phase: ClientPhase::Headers, after })),
            None => sent.await,
        };
        let response = answered.map_err(|error| fault(&self.id, error))?;
        let (mut head, body) = response.into_parts();
        fields::strip_hop_by_hop(&mut head.headers);
        let id = self.id.clone();
        Ok(UpstreamResponse {
            status: head.status,
            headers: head.headers,
            content_length: body.expected(),
            body: body.map_err(move |error| fault(&id, error)).boxed(),
        })
    }

    fn translate(&self, request: UpstreamRequest) -> Result<Request<Upload>, UpstreamError> {
        let wrong = |reason: String| UpstreamError::Refused {
            upstream: self.id.to_string(),
            reason: format!("the request cannot be sent on: {reason}"),
        };
        let UpstreamRequest { method, path_and_query, authority, headers, body, .. } = request;
        let uri: Uri = format!("{}{path_and_query}", self.base.prefix)
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        let host = match (self.host, &authority) {
            (Host::Client, Some(authority)) => authority,
            (Host::Upstream, _) | (_, None) => &self.base.authority,
        };
        let host = HeaderValue::from_str(host).map_err(|error| wrong(error.to_string()))?;
        let mut fields = headers;
        fields::for_request(&mut fields, host, body.is_some());
        let upload = match body {
            None => Upload::empty(),
            Some(body) => {
                let length = fields
                    .remove(header::CONTENT_LENGTH)
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                Upload::stream(body.map_err(|error| BodyError(error.to_string())), length)
            }
        };
        let mut request = Request::new(upload);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = fields;
        Ok(request)
    }
}

impl Upstream for HttpUpstream {
    fn id(&self) -> &str {
        &self.id
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        Box::pin(self.exchange(request))
    }
}

/// The client's word for a failure in the words of the port.
fn fault(id: &str, error: ClientError) -> UpstreamError {
    let upstream = id.to_owned();
    let text = error.to_string();
    match error {
        ClientError::Connect { reason, .. } => UpstreamError::Connect { upstream, reason },
        ClientError::Silent { phase, after } => {
            let phase = match phase {
                ClientPhase::Connect => Phase::Connect,
                ClientPhase::Headers => Phase::Headers,
                ClientPhase::Body => Phase::Body,
            };
            UpstreamError::Silent { upstream, phase, after }
        }
        ClientError::Closed { reason } => {
            UpstreamError::Truncated { upstream, got: 0, expected: None, reason }
        }
        ClientError::Truncated { got, expected, reason } => {
            UpstreamError::Truncated { upstream, got, expected, reason }
        }
        ClientError::Overlong { got } => UpstreamError::Overlong { upstream, expected: got },
        ClientError::Contradiction { reason } => UpstreamError::Contradiction { upstream, reason },
        ClientError::Protocol { reason } => UpstreamError::Protocol { upstream, reason },
        ClientError::Crowded { .. } | ClientError::Upload { .. } | ClientError::Request { .. } => {
            UpstreamError::Refused { upstream, reason: text }
        }
    }
}
