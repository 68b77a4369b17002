//! One request phase by phase: a finished one by its id, or one that is made for it.

mod asked;

use std::sync::Arc;

use http::StatusCode;
use weir_config_admin::Trace;
use weir_config_telemetry::RequestId;

use super::Failure;
use crate::{
    journal::{self, Finished, Journal, phases},
    node::Node,
};

pub(super) use asked::ask;

/// The request with `id=…` in the query.
pub(super) fn of_id(node: &Arc<Node>, query: &str) -> Result<Trace, Failure> {
    let text = query.strip_prefix("id=").unwrap_or_default();
    let id = RequestId::read(text).ok_or_else(|| {
        Failure::new(StatusCode::BAD_REQUEST, "that is no id of a request")
            .why("an id has 16 hexadecimal digits")
            .next("cachectl logs tail")
    })?;
    let found = node.journal.find(|one| one.id == id).ok_or_else(|| {
        Failure::new(StatusCode::NOT_FOUND, format!("no request {id} is remembered"))
            .why(
                "the last 1,024 requests are, and the last 512 that failed or took 500 ms to their \
                 head, each when it is over",
            )
            .next("cachectl logs tail")
    })?;
    Ok(told(&node.journal, &found))
}

/// All that is known of it.
fn told(journal: &Journal, found: &Finished) -> Trace {
    let line = journal::line(&found.entry());
    Trace {
        record: serde_json::from_slice(&line).expect("a record is written as it is read"),
        phases: phases(found),
        upstream: found
            .asked
            .map(|object| journal.exchanges.during(object, found.started, found.ended()))
            .unwrap_or_default(),
    }
}
