//! The cache on real directories, files and processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod conformance;
mod kill;
mod parts;
mod purge;
mod state;
mod support;
