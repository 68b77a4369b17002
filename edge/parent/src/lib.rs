//! Fetching from an HTTP parent: a shield, a peer or a custom origin.

mod base;
mod fields;
mod upstream;

pub use base::{BaseError, BaseUrl};
pub use upstream::{Host, HttpUpstream};
