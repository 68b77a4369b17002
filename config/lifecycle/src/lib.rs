//! How a Weir process lives: clock, heap, signals, drain and shutdown.

pub mod clock;
pub mod heap;
mod readiness;
mod shutdown;
mod signals;

pub use clock::{Clock, ManualClock, SystemClock};
pub use readiness::{Phase, Readiness};
pub use shutdown::{Drained, Guard, Shutdown};
pub use signals::{Signals, SignalsError};
