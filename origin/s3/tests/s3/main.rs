//! The S3 adapter against servers that tests play themselves, and against one that somebody
//! else wrote.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod faults;
mod moto;
mod requests;
mod script;
