//! `[limits]`: how many connections come in.

use std::{num::NonZeroU32, time::Duration};

use weir_config_units::Prefix;

/// `[limits]`. What a client is, `[clients]` says; its network is a /24 of IPv4 or a /48 of IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, of all protocols. Default 65,536.
    pub connections: NonZeroU32,
    /// Of one client. Default 512.
    pub connections_per_client: NonZeroU32,
    /// Of one network. Default 4,096.
    pub connections_per_network: NonZeroU32,
    /// New ones in a second. Default 4,000.
    pub new_connections: NonZeroU32,
    /// Of one client. Default 100.
    pub new_connections_per_client: NonZeroU32,
    /// Of one network. Default 800.
    pub new_connections_per_network: NonZeroU32,
    /// A handshake, of TLS or QUIC, has to be over. Default 10 s.
    pub handshake: Duration,
    /// QUIC handshakes under way beyond which an address has to prove itself. Default 256.
    pub quic_handshakes: NonZeroU32,
    /// Networks that count among all and nowhere else. Default: the host itself.
    pub exempt: Vec<Prefix>,
}

impl Default for Limits {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).expect("none of these is 0");
        let host = ["127.0.0.0/8", "::1"].map(|text| text.parse().expect("these are networks"));
        Self {
            connections: number(65_536),
            connections_per_client: number(512),
            connections_per_network: number(4_096),
            new_connections: number(4_000),
            new_connections_per_client: number(100),
            new_connections_per_network: number(800),
            handshake: Duration::from_secs(10),
            quic_handshakes: number(256),
            exempt: host.into(),
        }
    }
}
