//! What tests and benches play against: a development CA, an origin that misbehaves by
//! script, and a small client that sees how a response ended.

pub mod ca;
