//! What to fetch and when: collapse, ranges, resume, failover.

pub mod upstream;
