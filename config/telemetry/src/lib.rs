//! How a Weir process reports: logs, access logs and the metrics registry.
