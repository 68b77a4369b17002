//! How a Weir process lives: clock, signals, drain and shutdown.

pub mod clock;
mod readiness;
mod shutdown;
mod signals;

pub use clock::{Clock, ManualClock, SystemClock};
pub use readiness::{Phase, Readiness};
pub use shutdown::{Drained, Guard, Shutdown};
pub use signals::{Signals, SignalsError};
