//! `[traces]`: what is told of requests to a collector that speaks OpenTelemetry's protocol.

use std::{num::NonZeroU32, time::Duration};

use url::Url;

use crate::secret::Secret;

/// Whose word on a request's trace is taken: W3C Trace Context, `traceparent`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parents {
    /// Nobody's: every request begins a trace.
    Never,
    /// That of `clients.trusted_forwarders`.
    #[default]
    Trusted,
    /// Everybody's. Any client decides then what is traced.
    Always,
}

/// `[traces]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Where spans are posted, with the path. Default: nowhere, and none are made.
    pub endpoint: Option<Url>,
    /// Default `weir-edge`.
    pub service_name: String,
    /// Requests of a million that are told. Default 10,000.
    pub sample_ppm: u32,
    /// Whether those that failed or were slow are told whatever the ratio is. Default true.
    pub failed: bool,
    /// Default trusted.
    pub parents: Parents,
    /// Fields of each post, from a file.
    pub headers: Vec<(String, Secret)>,
    /// For one post. Default 10 s.
    pub timeout: Duration,
    /// Between two posts where there is little to tell. Default 5 s.
    pub interval: Duration,
    /// Spans of one post. Default 512.
    pub batch: NonZeroU32,
    /// Spans that wait. Default 8,192.
    pub queue: NonZeroU32,
}
