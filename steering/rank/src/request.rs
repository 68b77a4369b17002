//! Who asks, and for what.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::place::{Country, Place};

/// Most servers of one answer.
pub const WANT_MAX: u8 = 8;
/// Longest title or rendition, bytes.
pub const TITLE_MAX: usize = 256;

/// Everything that a decision depends on besides the snapshot and the routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// When, Unix milliseconds.
    pub now_ms: u64,
    /// The client, from its connection or what a trusted proxy says.
    pub client: IpAddr,
    /// The site that the connection came in at, where it did; selects the table of private
    /// addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The client's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// The client's country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Where the client is; none where only its country is known, since the middle of a country is
    /// no place (a whole region would go to whoever is near it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The service that is asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What is played; empty where the content says nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Which rendition of it; empty means all together.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rendition: String,
    /// The viewing; spreads the clients of a hot title.
    pub session: u64,
    /// Servers that are wanted, 2 to [`WANT_MAX`].
    pub want: u8,
}

impl Request {
    /// Of a client of whom only the address is known.
    pub fn new(now_ms: u64, client: IpAddr) -> Self {
        Self {
            now_ms,
            client,
            at: None,
            asn: None,
            country: None,
            place: None,
            service: String::new(),
            title: String::new(),
            rendition: String::new(),
            session: 0,
            want: 4,
        }
    }

    /// IPv4 and IPv6 are judged apart; IPv4 written as IPv6 is IPv4.
    pub fn family(&self) -> Family {
        match self.client.to_canonical() {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Servers that are wanted, within what is allowed.
    pub(crate) fn wanted(&self) -> usize {
        usize::from(self.want.clamp(2, WANT_MAX))
    }
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}
