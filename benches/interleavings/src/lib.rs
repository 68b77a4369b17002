//! Fill, purge, revalidation and eviction in every order that a scheduler finds.
//!
//! The files in which these meet, the ledger and its guard of the cache and the table of what
//! is under way of the fill engine, are compiled here a second time, against locks at which
//! shuttle may go on with another thread. What is not theirs, the metadata table and the task
//! that drives a fill, stands here in few lines, in the order of `edge/fill/src/drive.rs` and
//! `resolve.rs`. Nothing of this ships.

#![cfg(test)]

mod chunk {
    pub(crate) use weir_edge_cache::ObjectId;
}
mod account {
    pub(crate) use weir_edge_fill::account::Account;
}
#[expect(dead_code, reason = "bodies are not poured here")]
#[path = "../../../edge/fill/src/demand.rs"]
mod demand;
mod fill;
#[expect(dead_code, reason = "bodies are not poured here")]
#[path = "../../../edge/fill/src/lag.rs"]
mod lag;
mod object {
    pub(crate) use weir_edge_cache::{StoredObject, primary_key};
}
#[expect(dead_code, reason = "bodies are not poured here")]
#[path = "../../../edge/fill/src/progress.rs"]
mod progress;
mod purge;
mod sync;
#[expect(dead_code, reason = "chunks are not filled here")]
#[path = "../../../edge/fill/src/table.rs"]
mod table;
mod tests;
mod upstream {
    pub(crate) use weir_edge_fill::upstream::{UpstreamError, UpstreamResponse};
}
