//! What a server hands to the process above it, whatever the protocol: one request, one
//! response, and what is known of the connection.

use std::{future::Future, net::SocketAddr, sync::Arc};

use crate::{
    body::{RequestBody, ResponseBody},
    outgoing::Outgoing,
};

/// A validated request: scheme, authority, absolute path and query in `uri()`, whatever form
/// the client used (an HTTP/1.0 request without a host has only path and query), and no
/// hop-by-hop fields. A `host` header stays as the client sent it and agrees with the URI.
pub type Request = http::Request<RequestBody>;

/// What the handler answers. A body after HEAD, 204 and 304 is dropped; `content-length` is
/// set where the body knows it, and a body that breaks it is an error.
pub type Response = http::Response<ResponseBody>;

/// The HTTP version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    H1,
    /// HTTP/2.
    H2,
    /// HTTP/3.
    H3,
}

impl Protocol {
    /// As labels and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }
}

/// What the TLS handshake settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The name the client asked for (SNI).
    pub server_name: Option<String>,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// A ticket of ours spared the client the certificate.
    pub resumed: bool,
    /// The client's certificate, DER, where the server knows its clients and this one has shown
    /// one. Only over TCP.
    pub certificate: Option<Arc<[u8]>>,
}

/// What is known of a connection. Shared by all its requests.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Which HTTP it speaks.
    pub protocol: Protocol,
    /// The client's address.
    pub peer: SocketAddr,
    /// The address it reached.
    pub local: SocketAddr,
    /// None on plain HTTP.
    pub tls: Option<TlsInfo>,
    /// Index of the worker thread that owns the connection.
    pub worker: usize,
    /// How much of what was written has not come to the client.
    pub outgoing: Arc<Outgoing>,
}

/// Answers requests. One value serves all workers.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropped when the client gives up before the answer is there.
    fn handle(
        &self,
        request: Request,
        connection: &Arc<ConnectionInfo>,
    ) -> impl Future<Output = Response> + Send;
}
