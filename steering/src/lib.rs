//! The control plane as a process: a TLS listener for nodes, a Unix socket for operators, health and
//! metrics. What it decides is in the crates below it; here they meet.

mod admin;
pub mod authority;
mod body;
mod certificate;
mod listen;
mod metrics;
mod nodes;
pub mod serve;

pub use serve::{Args, Host, ServeError, Steering};
