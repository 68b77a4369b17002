//! Who a client is, and what makes one where something is counted for each.

use std::net::IpAddr;

use http::HeaderMap;
use weir_config::edge::{Clients, ForwardedField};
use weir_config_units::Prefix;
use weir_edge_http::forwarded::{self, Field, Trust};

/// The rules of `[clients]`, as they hold now.
#[derive(Debug, Clone)]
pub struct Rules {
    trust: Trust,
    bits: (u8, u8),
    /// What may be fetched for a client beyond what it takes.
    pub fill_burst: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self::of(&Clients::default())
    }
}

impl Rules {
    /// As the configuration tells them.
    pub fn of(told: &Clients) -> Self {
        let field = match told.forwarded_field {
            ForwardedField::XForwardedFor => Field::XForwardedFor,
            ForwardedField::Forwarded => Field::Forwarded,
        };
        Self {
            trust: Trust { forwarders: told.trusted_forwarders.clone(), field },
            bits: (told.prefix_v4, told.prefix_v6),
            fill_burst: told.fill_burst.as_u64(),
        }
    }

    /// The address of whoever sent a request.
    pub fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        forwarded::client(peer, headers, &self.trust)
    }

    /// Whether a peer may speak for others.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trust.forwarders.iter().any(|prefix| prefix.contains(peer))
    }

    /// The client that an address belongs to.
    pub fn client(&self, address: IpAddr) -> Prefix {
        Prefix::of(address, self.bits.0, self.bits.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_configuration_says() {
        let mut told = Clients::default();
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", "for=198.51.100.1".parse().unwrap());
        headers.insert("x-forwarded-for", "198.51.100.2".parse().unwrap());
        let check = |told: &Clients, address: &str, client: &str| {
            let rules = Rules::of(told);
            let found = rules.address("10.0.0.1".parse().unwrap(), &headers);
            assert_eq!(found, address.parse::<IpAddr>().unwrap());
            assert_eq!(rules.client(found).to_string(), client);
        };
        check(&told, "10.0.0.1", "10.0.0.1/32");
        told.trusted_forwarders = vec!["10.0.0.0/8".parse().unwrap()];
        check(&told, "198.51.100.2", "198.51.100.2/32");
        let trusts = |peer: &str| Rules::of(&told).trusts(peer.parse().unwrap());
        assert!(trusts("10.1.2.3") && trusts("::ffff:10.1.2.3") && !trusts("192.0.2.1"));
        (told.forwarded_field, told.prefix_v4) = (ForwardedField::Forwarded, 24);
        check(&told, "198.51.100.1", "198.51.100.0/24");
    }
}
