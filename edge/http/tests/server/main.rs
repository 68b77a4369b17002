//! The servers, asked by real clients.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop where it is")]

mod floods;
mod gate;
mod messages;
mod plain;
mod quic;
mod refused;
mod secure;
mod slow;
mod support;
mod wire;
