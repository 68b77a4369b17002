//! HTTP/1.1, HTTP/2 and HTTP/3 as one request and one response.

pub mod body;
pub mod client;
pub mod counters;
pub mod handler;
pub mod limits;
pub mod serve;
pub mod shutdown;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use counters::{Counters, HandshakeFailure};
pub use handler::{ConnectionInfo, Handler, Protocol, Request, Response, TlsInfo};
pub use limits::Limits;
pub use serve::Server;
pub use shutdown::{Drained, Shutdown};
