//! Sockets, TLS and the QUIC endpoint.

pub mod connect;
