//! What appliances and the control plane say to each other: types, their bounds, and decoding that
//! believes nothing. No socket, no clock, no key: those are of the crates that use it.
//!
//! Everything is JSON over HTTPS. A message has a `version`; within one, fields are only added.
//! [`decode`] takes bytes of a stranger: it knows how many there may be before it reads them, and
//! says what is wrong with them and where.

pub mod decode;
pub mod down;
pub mod join;
pub mod problem;
pub mod report;

pub use decode::{DecodeError, Wire, decode};
pub use down::{Applied, Body, Desired, Intent, Kind, Payload, Signed};
pub use join::{JoinAnswer, JoinRequest, PublicKey, RenewAnswer, RenewRequest};
pub use problem::{Code, Problem};
pub use report::{Report, ReportAnswer};

/// The version of all messages.
pub const VERSION: u32 = 1;

/// Where a node without a certificate asks for one.
pub const JOIN: &str = "/v1/join";
/// Where a node asks for the next certificate.
pub const RENEW: &str = "/v1/renew";
/// Where a node reports.
pub const REPORT: &str = "/v1/report";

/// Between two reports of a node, before jitter.
pub const REPORT_EVERY_MS: u64 = 1_000;
/// A clock that is off by more is told so.
pub const CLOCK_TOLD_MS: u64 = 2_000;
/// A clock that is off by more makes its node the last choice: it would refuse good tokens, or take
/// bad ones.
pub const CLOCK_JUDGED_MS: u64 = 30_000;
