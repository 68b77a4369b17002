//! How a Weir process reports: logs, access logs, the metrics registry and spans of traces.

pub mod access;
pub mod families;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod overview;
pub mod traces;

pub use access::{
    AccessFormat, AccessLog, AccessLogError, AccessOptions, Rotation, cmcd::Cmcd, entry::Entry,
    entry::RequestId,
};
pub use metrics::{Family, Kind, Metrics};
pub use names::Names;
