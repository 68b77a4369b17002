//! Sockets, TLS and the QUIC endpoint.
//!
//! [`sockets::bind`] gives each worker its sockets, [`tls::Tls`] shakes hands on them,
//! [`stream::TlsStream`] sends many records in one call, [`quic::endpoint`] makes an endpoint
//! whose packets find their worker, [`workers::run`] starts the threads. The process that puts
//! them together is shown in `weir-edge-http`.

pub mod connect;
pub mod quic;
pub mod sockets;
pub mod stream;
pub mod tls;
pub mod workers;
