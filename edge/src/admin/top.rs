//! What is hot and what is slow just now, for `cachectl top`. Everything else that it shows are
//! metrics.

use weir_config_admin::{HotObject, Top};

use crate::{journal, node::Node};

/// Of each list.
const MOST: usize = 20;
/// How far the slow ones reach back, in milliseconds.
const BACK: u64 = 60_000;

pub(super) fn top(node: &Node) -> Top {
    let now_ms = node.clock.unix_millis();
    let (hot, over_ms) = node.journal.hottest(now_ms, MOST);
    let each = |count: u64| count as f64 * 1e3 / over_ms as f64;
    let hottest = hot.into_iter().map(|one| HotObject {
        name: one.name.into(),
        requests_s: each(one.requests),
        bytes_s: each(one.bytes),
    });
    let slowest = node.journal.slowest(now_ms.saturating_sub(BACK), MOST);
    let record = |one: &journal::Finished| {
        let line = journal::line(&one.entry());
        serde_json::from_slice(&line).expect("a record is written as it is read")
    };
    Top { now_ms, hottest: hottest.collect(), slowest: slowest.iter().map(record).collect() }
}
