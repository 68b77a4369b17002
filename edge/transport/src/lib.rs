//! Sockets, TLS and the QUIC endpoint.
