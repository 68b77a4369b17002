//! One QUIC endpoint for each worker on each address.

mod itself;
mod session;

use std::{io, net::UdpSocket, sync::Arc, time::Duration};

use quinn::{
    EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    congestion::CubicConfig,
    crypto::rustls::{NoInitialCipherSuite, QuicServerConfig},
};

use crate::{sockets::Steering, tls::Tls};

pub use itself::towards_itself;
pub use quinn::Endpoint;
pub use session::Handshake;

use session::Observed;

/// An endpoint that could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// AES-128-GCM is missing, which QUIC's first packets need.
    #[error("TLS is not fit for QUIC")]
    Tls(#[from] NoInitialCipherSuite),
    /// The socket or the runtime.
    #[error("cannot use the UDP socket")]
    Socket(#[from] io::Error),
}

/// Bytes that wait of one connection that is not let in yet, and of all. quinn's own bounds, 10 and
/// 100 MiB, are meant for servers that take long to decide.
const INCOMING_BYTES: u64 = 64 << 10;
const INCOMING_BYTES_ALL: u64 = 4 << 20;

/// The bounds of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuicLimits {
    /// Requests at once. 128.
    pub streams: u32,
    /// Bytes sent and not yet acknowledged, at most: more serves no client faster than
    /// 80 Mbit/s at 100 ms and costs memory and cache. 1 MiB.
    pub send_window: u64,
    /// Bytes of one request's body on the way to us. 256 KiB.
    pub stream_receive_window: u32,
    /// Bytes of all request bodies on the way to us. 1 MiB.
    pub receive_window: u32,
    /// A silent connection ends. 30 s.
    pub idle: Duration,
    /// Connections in their handshake, for each endpoint. 1,024.
    pub handshakes: usize,
}

impl Default for QuicLimits {
    fn default() -> Self {
        Self {
            streams: 128,
            send_window: 1 << 20,
            stream_receive_window: 256 * 1024,
            receive_window: 1 << 20,
            idle: Duration::from_secs(30),
            handshakes: 1024,
        }
    }
}

/// Makes the endpoint of one worker on one of its UDP sockets. Runs on the calling runtime.
pub fn endpoint(
    socket: UdpSocket,
    tls: &Tls,
    steering: Steering,
    limits: &QuicLimits,
) -> Result<Endpoint, EndpointError> {
    let mut config = EndpointConfig::new(Arc::new(tls.keys().reset_key()));
    config.cid_generator(move || Box::new(steering));
    let crypto = Observed::new(QuicServerConfig::try_from(tls.quic())?);
    let mut server = ServerConfig::new(Arc::new(crypto), Arc::new(tls.keys().token_key()));
    server.transport_config(Arc::new(transport(limits)));
    server.max_incoming(limits.handshakes);
    // What has come of connections that nobody has let in yet; each is let in or refused at once.
    server.incoming_buffer_size(INCOMING_BYTES).incoming_buffer_size_total(INCOMING_BYTES_ALL);
    server.migration(true);
    Ok(Endpoint::new(config, Some(server), socket, Arc::new(TokioRuntime))?)
}

fn transport(limits: &QuicLimits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams))
        // HTTP/3: a control stream, two for QPACK, and some to ignore (RFC 9114 §6.2).
        .max_concurrent_uni_streams(VarInt::from_u32(16))
        .send_window(limits.send_window)
        .stream_receive_window(VarInt::from_u32(limits.stream_receive_window))
        .receive_window(VarInt::from_u32(limits.receive_window))
        .max_idle_timeout(IdleTimeout::try_from(limits.idle).ok())
        // Nothing of ours uses datagrams.
        .datagram_receive_buffer_size(None)
        // Every path takes this (RFC 9000 §14.1); larger is found by probing.
        .initial_mtu(1200)
        .congestion_controller_factory(Arc::new(CubicConfig::default()));
    transport
}
