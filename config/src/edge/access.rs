//! What the access log of an edge tells, how, and when it begins a new file.

use std::{num::NonZeroU16, time::Duration};

use weir_config_units::ByteSize;

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    /// A JSON object.
    Json,
    /// Combined Log Format.
    Combined,
    /// W3C Extended Log File Format.
    W3c,
}

/// How much of a client's address is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// Its network: /24 or /48.
    #[default]
    Truncated,
    /// All of it.
    Full,
    /// Nothing.
    None,
}

/// The keys of `[log]` that are an edge's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Default json.
    pub format: AccessFormat,
    /// Default truncated.
    pub client_address: ClientAddress,
    /// A new file from so many bytes on. Default never.
    pub rotate_size: Option<ByteSize>,
    /// A new file from that age on. Default never.
    pub rotate_age: Option<Duration>,
    /// Files kept beside the one that is written. Default 7.
    pub keep: NonZeroU16,
}
