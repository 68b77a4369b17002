//! What a Weir process is told: typed TOML, every mistake reported at once.
//!
//! [`edge::EdgeConfig`] and [`origin::OriginConfig`] are what a process holds once its file was
//! read, checked and found sound; there is no half-read configuration. The other way out is a
//! [`Report`], whose `Display` is what the binaries print.

pub mod edge;
pub mod origin;

mod common;
mod judge;
mod load;
mod report;
mod secret;
mod sheet;
mod table;
mod value;

pub use common::{Level, Log, LogFormat, Shutdown};
pub use judge::{Flaw, Judge, Unjudged};
pub use report::{Mistake, Place, Report};
pub use secret::Secret;
