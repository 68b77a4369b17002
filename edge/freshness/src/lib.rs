//! HTTP caching, range and conditional rules as pure functions: they take header fields and
//! times and return decisions. RFC 9110, 9111, 9211, 9213, 5861 and 8246.
//!
//! What it leaves to others: fetching, storing, writing responses, and which stored response a
//! `Vary` selects ([`vary`] says what selects; a fill engine that keeps one response for each
//! says so in `Rules::vary_safe`).

pub mod conditional;
pub mod control;
pub mod date;
pub mod hop;
pub mod invalidation;
pub mod lifetime;
pub mod multipart;
pub mod range;
pub mod stale;
pub mod status;
pub mod storable;
pub mod update;
pub mod validator;
pub mod vary;

pub use conditional::{Precondition, evaluate, if_range_holds};
pub use control::{CacheControl, RequestControl, Targeted, response_control};
pub use hop::strip_hop_by_hop;
pub use invalidation::{also_invalid, invalidates};
pub use lifetime::{Flags, Freshness, Lifetime, age_value, freshness_lifetime, initial_age};
pub use multipart::Multipart;
pub use range::{ByteRange, ContentRange, RANGES_MAX, Selection, select};
pub use stale::{Trouble, Windows, may_serve_stale};
pub use status::{CacheStatus, Forward};
pub use storable::{Exchange, PassReason, Rules, Storability, storable};
pub use update::{update, updates};
pub use validator::EntityTag;
