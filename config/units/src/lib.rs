//! Sizes, rates, durations and networks as an operator writes them: `"512 MiB"`, `"1.2Gbit"`,
//! `"250ms"`, `"10.0.0.0/8"`.
//!
//! Each type parses with an error that names the piece that is wrong, and prints in a form
//! that parses back to the same value.

mod duration;
mod number;
mod prefix;
mod rate;
mod size;

pub use duration::Duration;
pub use number::ParseError;
pub use prefix::{Prefix, PrefixError};
pub use rate::BitRate;
pub use size::ByteSize;
