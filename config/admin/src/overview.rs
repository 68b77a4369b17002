//! The eight figures that say how a server does.

use serde::{Deserialize, Serialize};

/// The eight figures over the last while, and what stands beside them. Ratios are parts of one,
/// and nothing where there was nothing to divide by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Seconds that it looks back.
    pub over_s: f64,
    /// Body bytes sent to clients, a second.
    pub traffic: f64,
    /// Of the bytes that clients got, those that came from the cache.
    pub hit_ratio: Option<f64>,
    /// Within this time 99 of 100 requests had their first byte, seconds.
    pub ttfb_p99_s: Option<f64>,
    /// Of the requests, those answered with a status of 500 and above.
    pub error_ratio: Option<f64>,
    /// Body bytes received from upstreams, a second.
    pub origin_load: f64,
    /// Of the disks that are configured, those in use; nothing where there are none.
    pub disks: Option<f64>,
    /// Resident memory, as a part of `cache.memory`.
    pub memory: Option<f64>,
    /// How far the scarcest resource is used.
    pub saturation: Option<f64>,
    /// Requests answered, a second.
    pub requests: f64,
    /// Requests sent to upstreams, a second.
    pub origin_requests: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// What is scarcest: `cpu`, `fills` or `files`.
    pub scarcest: Option<String>,
}
