//! The one door for people and CI: `cargo xtask COMMAND`.
//!
//! Commands set up what they need, say what they do, and end with a line that can be read by
//! a machine. Nothing here ships.

pub mod apt;
pub mod args;
mod failure;
pub mod http;
pub mod run;
pub mod s3;
pub mod say;
pub mod signals;

pub use failure::Failure;
