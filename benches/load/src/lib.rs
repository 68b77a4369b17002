//! A client for HTTP/1.1, 2 and 3 that checks every byte it gets, and puts load on a server.
//!
//! Campaigns use it as a library, people as `weir-load`. It leaves to others: starting
//! servers, and judging figures.

pub mod attack;
pub mod campaign;
pub mod cli;
pub mod connection;
pub mod desync;
mod h3;
pub mod plan;
pub mod poison;
pub mod report;
pub mod run;
pub mod tls;

pub use connection::{Connection, Exchange, Protocol, Server};
pub use plan::Plan;
pub use report::Report;
