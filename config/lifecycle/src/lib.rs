//! How a Weir process lives: clock, heap, signals, drain and shutdown, and what its
//! service manager hears of it.

pub mod clock;
pub mod heap;
mod notify;
pub mod pulses;
mod readiness;
mod shutdown;
mod signals;
mod usage;
pub mod watchdog;

pub use clock::{Clock, ManualClock, SystemClock};
pub use notify::{Notifier, NotifyError};
pub use pulses::Pulses;
pub use readiness::{Phase, Readiness};
pub use shutdown::{Drained, Guard, Shutdown};
pub use signals::{Signals, SignalsError};
pub use usage::Usage;
pub use watchdog::Watchdog;
