//! What to fetch and when: collapse, ranges, resume, failover.
//!
//! The engine finds out what an object is (one upstream request for all who ask), and opens
//! readers that stream it from RAM, from disk or from a fill that is still bringing it.
//! What it leaves to others: sockets, services, and what a response looks like on the wire.

pub mod account;
pub mod accounts;
mod answer;
mod ask;
mod body;
mod combine;
mod dear;
mod demand;
mod drive;
mod engine;
mod exact;
mod failover;
pub mod guard;
pub mod hedge;
mod judge;
mod lag;
mod progress;
mod reader;
mod refill;
mod resolve;
mod resume;
mod sync;
mod table;
mod taker;
pub mod upstream;
pub mod variant;

pub use answer::{Answer, Found, How, Passed};
pub use ask::{Ask, Facet, Outlet, Place, Policy};
pub use engine::{AT_HAND_MAX, Counters, Engine};
pub use failover::Failover;
pub use judge::{age_millis, lifetime_millis, usable};
pub use reader::{Reader, Tier};
