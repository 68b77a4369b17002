//! The origin: an embedded S3 server, and packaging of films into it.

pub mod package;
pub mod serve;
