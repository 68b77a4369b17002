//! Sockets, TLS and the QUIC endpoint.

pub mod connect;
pub mod quic;
pub mod sockets;
pub mod stream;
pub mod tls;
pub mod workers;
