//! The files of `edge/cache/src/purge/` that decide, with the types of the crate itself.

#[path = "../../../edge/cache/src/purge/guard.rs"]
pub(crate) mod guard;
#[path = "../../../edge/cache/src/purge/index.rs"]
mod index;
#[expect(
    dead_code,
    unreachable_pub,
    reason = "there is no state file here, and what is public is so in its own crate"
)]
#[path = "../../../edge/cache/src/purge/ledger.rs"]
mod ledger;

pub(crate) use weir_edge_cache::{
    Mode, Order, PurgeError, Selector, Standing, Subject,
    purge::{ORDERS_MAX, tag_hash},
};

pub(crate) use self::ledger::Ledger;
