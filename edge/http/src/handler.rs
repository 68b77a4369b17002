//! What a server hands to the process above it, whatever the protocol: one request, one
//! response, and what is known of the connection.

use std::{future::Future, net::SocketAddr, sync::Arc};

use crate::body::{RequestBody, ResponseBody};

/// A validated request: the method, an absolute path with query in `uri()` (authority and
/// scheme in the URI when the client sent them, else `host` in the headers), and no
/// hop-by-hop fields.
pub type Request = http::Request<RequestBody>;
pub type Response = http::Response<ResponseBody>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    H1,
    H2,
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    pub server_name: Option<String>,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    pub resumed: bool,
}

/// What is known of a connection. Shared by all its requests.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    pub protocol: Protocol,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// None on plain HTTP.
    pub tls: Option<TlsInfo>,
    /// Index of the worker thread that owns the connection.
    pub worker: usize,
}

/// Answers requests. One value serves all workers.
pub trait Handler: Send + Sync + 'static {
    fn handle(
        &self,
        request: Request,
        connection: &Arc<ConnectionInfo>,
    ) -> impl Future<Output = Response> + Send;
}
