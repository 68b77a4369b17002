//! Warming: objects are fetched before anybody asks for them, by the fill engine that clients'
//! requests use and under the same rules. A job outlives whoever ordered it.

mod fetch;
mod job;
mod pace;
mod walk;

use std::sync::Arc;

use futures::TryStreamExt;
use http::StatusCode;
use serde::de::DeserializeOwned;
use weir_config_admin::{WarmCancel, WarmJob, WarmJobs, WarmRequest};
use weir_edge_http::RequestBody;

use super::Failure;
use crate::node::Node;
pub use job::Warms;

/// Longest list of URLs, bytes of JSON.
const BODY_MAX: usize = 8 << 20;
/// Slowest rate, bits in a second: with less a job would stand.
const RATE_MIN: u64 = 8_000;

/// Begins a job.
pub(super) async fn begin(node: &Arc<Node>, body: RequestBody) -> Result<WarmJob, Failure> {
    let request: WarmRequest = told(body, "no request to warm").await?;
    let bad = |why: &str| {
        Failure::new(StatusCode::BAD_REQUEST, "the body is no request to warm").why(why)
    };
    if request.urls.is_empty() {
        return Err(bad("`urls` is empty"));
    }
    if request.rate_bits.is_some_and(|rate| rate < RATE_MIN) {
        return Err(bad("a job has 8 kbit a second at least"));
    }
    if request.pin && node.disks.is_none() {
        let failure = Failure::new(StatusCode::CONFLICT, "nothing can be pinned here");
        return Err(failure.why("the node has no disk: a pin keeps an object on the disks"));
    }
    let now = node.clock.unix_seconds();
    let (job, urls) = node.warms.begin(request, node.disks.is_some(), now).ok_or_else(|| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "four jobs warm this cache already")
            .why("more would only share the same line")
            .next("cachectl cache warm --jobs")
    })?;
    tokio::spawn(walk::walk(Arc::clone(node), Arc::clone(&job), urls));
    Ok(job.now())
}

/// One job with `job=ID` in the query.
pub(super) fn job(node: &Node, number: &str) -> Result<WarmJob, Failure> {
    let number = number
        .parse()
        .map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "the query key `job` is no number"))?;
    find(node, number).map(|job| job.now())
}

pub(super) fn jobs(node: &Node) -> WarmJobs {
    WarmJobs { jobs: node.warms.all() }
}

/// Ends a job. What it is fetching at the moment comes to its end.
pub(super) async fn cancel(node: &Node, body: RequestBody) -> Result<WarmJob, Failure> {
    let WarmCancel { job } = told(body, "no cancellation").await?;
    let job = find(node, job)?;
    job.cancel();
    Ok(job.now())
}

fn find(node: &Node, number: u64) -> Result<Arc<job::Job>, Failure> {
    node.warms.find(number).ok_or_else(|| {
        Failure::new(StatusCode::NOT_FOUND, format!("there is no job {number}"))
            .why("jobs are known since the server's start, the last 32 of them")
            .next("cachectl cache warm --jobs")
    })
}

/// A body of JSON, bounded.
async fn told<T: DeserializeOwned>(body: RequestBody, what: &str) -> Result<T, Failure> {
    let refused =
        |status, why: String| Failure::new(status, format!("the body is {what}")).why(why);
    let mut pieces = body.into_stream();
    let mut whole = Vec::new();
    loop {
        let piece = pieces.try_next().await;
        let piece = piece.map_err(|error| refused(StatusCode::BAD_REQUEST, error.to_string()))?;
        let Some(piece) = piece else { break };
        if whole.len() + piece.len() > BODY_MAX {
            let why = format!("it is longer than {BODY_MAX} bytes");
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        whole.extend_from_slice(&piece);
    }
    serde_json::from_slice(&whole)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, error.to_string()))
}
