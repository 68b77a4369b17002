//! What a Weir process is told: typed TOML, every mistake reported at once.
//!
//! [`edge::EdgeConfig`] and [`origin::OriginConfig`] are what a process holds once its file was
//! read, checked and found sound; there is no half-read configuration. The other way out is a
//! [`Report`], whose `Display` is what the binaries print.

pub mod edge;
pub mod keys;
pub mod origin;
pub mod steering;

mod common;
mod entries;
mod environment;
mod judge;
mod load;
mod merge;
mod report;
mod secret;
mod sheet;
mod sources;
mod table;
mod value;

pub use common::{Level, Log, LogFormat, Shutdown};
pub use entries::{Entry, Origin};
pub use judge::{Flaw, Judge, Unjudged};
pub use load::Loaded;
pub use report::{Mistake, Place, Report};
pub use secret::Secret;
pub use sources::{Sources, Texts};
pub use value::did_you_mean;
