//! What the node was told, and telling it anew.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use weir_config_admin::{self as api, Reason, ReloadOrder, RollbackOrder, Verdict};
use weir_edge_http::{RequestBody, Response};

use crate::{
    admin::{Failure, cache, json},
    node::Node,
    reload::{Cause, Reloader},
};

/// What the configuration has to do with how the node is.
pub(super) fn reasons(node: &Node) -> Vec<Reason> {
    let Some(stands) = node.config.get().map(|config| config.summary()) else { return Vec::new() };
    let mut reasons = Vec::new();
    let mut degraded = |what: String, next: &str| {
        reasons.push(Reason { verdict: Verdict::Degraded, what, next: Some(next.to_owned()) });
    };
    if let Some(why) = &stands.refused {
        let what = format!("the last reload was refused, revision {} runs: {why}", stands.revision);
        degraded(what, "cachectl config check");
    }
    if stands.rolled_back {
        let revision = stands.revision;
        let what = format!("revision {revision} was gone back to, the files say otherwise");
        degraded(what, "cachectl config diff, then put the files right and cachectl config reload");
    }
    reasons
}

pub(super) async fn answer(
    node: &Node,
    method: &Method,
    path: &str,
    body: RequestBody,
) -> Result<Response, Failure> {
    let reloader = node.config.get().ok_or_else(|| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is still starting")
    })?;
    match (method, path) {
        (&Method::GET, api::CONFIG) => Ok(json(StatusCode::OK, &reloader.report())),
        (&Method::GET, api::CONFIG_HISTORY) => Ok(json(StatusCode::OK, &reloader.history().await)),
        (&Method::POST, api::CONFIG_RELOAD) => {
            let order: ReloadOrder = order(&cache::body(body).await?)?;
            let result = reloader.reload(Cause::Operator, order.dry_run).await;
            Ok(json(StatusCode::OK, &result))
        }
        (&Method::POST, api::CONFIG_ROLLBACK) => rollback(reloader, body).await,
        _ => {
            let what = format!("{method} is not offered at {path}");
            Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, what))
        }
    }
}

async fn rollback(reloader: &Arc<Reloader>, body: RequestBody) -> Result<Response, Failure> {
    let order: RollbackOrder = order(&cache::body(body).await?)?;
    match reloader.rollback(order.revision, order.dry_run).await {
        Some(result) => Ok(json(StatusCode::OK, &result)),
        None => {
            let what = format!("there is no revision {}", order.revision);
            Err(Failure::new(StatusCode::NOT_FOUND, what)
                .why("the last twenty are kept")
                .next("cachectl config history"))
        }
    }
}

fn order<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::new(StatusCode::BAD_REQUEST, "the order cannot be read").why(error.to_string())
    })
}
