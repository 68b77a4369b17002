//! The one door for people and CI: `cargo xtask COMMAND`.
//!
//! Commands set up what they need, say what they do, and end with a line that can be read by
//! a machine. Nothing here ships.

pub mod apt;
pub mod args;
pub mod bench;
pub mod check;
pub mod compat;
mod failure;
pub mod files;
pub mod fuzz;
pub mod http;
pub mod interop;
pub mod malformed;
pub mod monitoring;
pub mod room;
pub mod run;
pub mod s3;
pub mod say;
pub mod scorecard;
pub mod signals;
pub mod systemd;
pub mod tee;
pub mod test;
pub mod tools;
pub mod undocumented;
pub mod up;

pub use failure::Failure;
