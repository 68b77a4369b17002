//! Who may come in, from the configuration to the gate.

use weir_config::edge::EdgeConfig;
use weir_edge_http::GateLimits;

/// What the gate goes by.
pub fn limits(config: &EdgeConfig) -> GateLimits {
    let (limits, clients) = (&config.limits, &config.clients);
    let count = |number: std::num::NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
    GateLimits {
        connections: count(limits.connections),
        client: (clients.prefix_v4, clients.prefix_v6),
        per_client: count(limits.connections_per_client),
        per_network: count(limits.connections_per_network),
        rate: limits.new_connections.get(),
        rate_per_client: limits.new_connections_per_client.get(),
        rate_per_network: limits.new_connections_per_network.get(),
        quic_handshakes: count(limits.quic_handshakes),
        handshake: limits.handshake,
        pace: GateLimits::default().pace,
        exempt: limits.exempt.clone(),
        forwarders: clients.trusted_forwarders.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who writes nothing gets what the server has by itself.
    #[test]
    fn the_defaults_of_the_keys_are_those_of_the_gate() {
        let text = "[node]\nname = \"e\"\n[listen]\nhttp = [\"127.0.0.1:0\"]\n\
                    [[upstream]]\nid = \"u\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9\"\n\
                    [[service]]\nid = \"s\"\npreset = \"proxy\"\nupstreams = [\"u\"]\n";
        let config = EdgeConfig::parse("edge.toml", text).expect("it is right");
        assert_eq!(limits(&config), GateLimits::default());
    }
}
