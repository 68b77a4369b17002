//! What the control plane keeps: SQLite embedded, PostgreSQL by configuration, one set of statements
//! for both, and one set of tests that runs on both (`tests/conformance`).
//!
//! What is portable between them: `$1` for a value, times as whole microseconds since 1970 in
//! `BIGINT`, JSON and enums as text, `ON CONFLICT`, `RETURNING`. No `Any` driver, which knows fewer
//! types than either, and no macros, which are of one database.

mod down;
mod error;
mod events;
mod join;
mod migrate;
mod nodes;
mod observed;
mod open;
mod sites;
mod tokens;

pub use down::Down;
pub use error::{JoinError, StoreError};
pub use events::Event;
pub use join::Joining;
pub use nodes::{Certificate, Node};
pub use observed::Observed;
pub use open::{Backend, Store};
pub use sites::Site;
pub use tokens::Token;

/// The same statements on whichever database there is.
macro_rules! on {
    ($store:expr, $pool:ident => $body:expr) => {
        match &$store.pool {
            $crate::open::Pool::Sqlite($pool) => $body,
            $crate::open::Pool::Postgres($pool) => $body,
        }
    };
}

pub(crate) use on;

/// Rows of one answer at most: a fleet of a thousand sites stays below it.
pub(crate) const ROWS: i64 = 100_000;
