//! Ranking as its callers see it: tables, properties, records and what people read.
#![expect(clippy::unwrap_used, reason = "a test fails where its own fixtures do")]

// What the fixtures name by `crate::`.
use weir_steering_rank::*;

#[path = "ranking/explained.rs"]
mod explained;
#[path = "ranking/files.rs"]
mod files;
#[path = "ranking/properties.rs"]
mod properties;
#[path = "ranking/records.rs"]
mod records;
#[path = "ranking/tables.rs"]
mod tables;
#[path = "../src/testing.rs"]
mod testing;

/// A world without prefixes.
fn world(snapshot: Snapshot) -> World {
    World::new(snapshot, testing::routes_none()).unwrap()
}
