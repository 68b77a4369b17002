//! `[clients]`: who a client is, and what one may cost.

use weir_config_units::{ByteSize, Prefix};

/// Where trusted forwarders say for whom they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedField {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// `[clients]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// Whose word on the hops before them is believed. Default: nobody's.
    pub trusted_forwarders: Vec<Prefix>,
    /// Where they say it. Default `X-Forwarded-For`.
    pub forwarded_field: ForwardedField,
    /// Bits of an IPv4 address that make a client, 8 to 32. Default 32.
    pub prefix_v4: u8,
    /// The same of an IPv6 address, 16 to 128. Default 56.
    pub prefix_v6: u8,
    /// Bytes that may be fetched for a client beyond what it takes. Default 8 MiB.
    pub fill_burst: ByteSize,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            trusted_forwarders: Vec::new(),
            forwarded_field: ForwardedField::default(),
            prefix_v4: 32,
            prefix_v6: 56,
            fill_burst: ByteSize::mib(8),
        }
    }
}
