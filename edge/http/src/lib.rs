//! HTTP/1.1, HTTP/2 and HTTP/3 as one request and one response.

pub mod body;
pub mod handler;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use handler::{ConnectionInfo, Handler, Protocol, Request, Response, TlsInfo};
