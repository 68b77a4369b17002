//! How a Weir process lives: clock, signals, drain and shutdown.

pub mod clock;

pub use clock::{Clock, SystemClock};
