//! The parent adapter against origins that tests play themselves.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod bad_origin;
mod connections;
mod h2;
mod support;
