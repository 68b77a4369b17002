//! Playback tokens: mint and verify; pure.
//!
//! A token is a compact JWT (RFC 7519) signed with Ed25519 (RFC 8037) that stands in the path,
//! `/t/<token>/<object path>`, so that the relative URIs of a playlist inherit it. Time, keys
//! and randomness come from the caller. What a token carries but this crate does not enforce
//! (rung, client prefix, country) is left to the edge.
//!
//! aws-lc-rs is used directly rather than through a JWT library: the payload is not looked at
//! before its signature holds, only one algorithm exists, and a signature is checked against a
//! key that was parsed once. The tests check both ways against `jsonwebtoken`.

mod claims;
mod compact;
mod keys;
mod memo;
mod mint;
mod path;
mod redact;
mod verify;

pub use claims::Claims;
pub use compact::{Header, MAX_TOKEN, Unverified, peek};
pub use keys::{JwksError, MAX_KEYS};
pub use memo::Memo;
pub use mint::{KeyError, MintError, SigningKey, key_set};
pub use path::{PathError, canonical, covers, insert, split_path};
pub use redact::redact;
pub use verify::{Reject, Verifier};
