//! What tests and benches play against: a development CA, an origin that misbehaves by
//! script, and a small client that sees how a response ended.
//!
//! A behaviour script reads as one page: start an [`origin::Origin`], tell it with
//! [`origin::Act`]s what to do with the next requests for a path, ask the server under test,
//! and end in counters. It leaves to others: HTTP/2 and HTTP/3 clients, and load.

pub mod ca;
pub mod client;
pub mod origin;
pub mod seeded;

pub use client::{Client, Ended, Reply};
pub use origin::{Act, Fault, Origin};
