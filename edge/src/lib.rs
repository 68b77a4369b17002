//! The edge server: HLS and DASH segments from a hybrid cache over HTTP/1.1, 2 and 3.
//!
//! A request passes its phases in order: admit, authorize, lookup, fill, deliver, record.

pub mod admin;
pub mod admit;
pub mod assemble;
pub mod authorize;
pub mod clients;
pub mod cors;
pub mod deliver;
pub mod fleet;
pub mod handler;
pub mod journal;
pub mod judge;
pub mod live;
pub mod load;
pub mod lookup;
pub mod metrics;
pub mod node;
pub mod observe;
mod outlet;
mod parts;
mod reading;
pub mod record;
pub mod refuse;
pub mod reload;
pub mod run;
pub mod s3_upstream;
pub mod service;
mod spelling;
pub mod traces;
pub mod upkeep;
