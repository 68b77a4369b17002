//! What operators ask of a running node: the admin API on the Unix socket, and health and
//! metrics on the management address. Both are read from the node; nothing is kept here.

mod cache;
mod config;
mod disks;
mod doctor;
mod explain;
mod load;
mod logs;
mod objects;
pub(crate) mod page;
mod pins;
mod purge;
mod scrub;
pub(crate) mod status;
mod top;
mod trace;
pub mod warm;

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use weir_config_admin::{self as api, ErrorBody};
use weir_config_telemetry::metrics::CONTENT_TYPE;
use weir_edge_http::{ConnectionInfo, Handler, Request, Response, ResponseBody};

use crate::node::Node;

/// The admin API: whoever may open the socket may ask and command.
#[derive(Debug)]
pub struct Admin {
    pub node: Arc<Node>,
}

impl Handler for Admin {
    async fn handle(&self, request: Request, _: &Arc<ConnectionInfo>) -> Response {
        let method = request.method().clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let path = request.uri().path().to_owned();
        match (&method, path.as_str()) {
            (&Method::GET, api::STATUS) => json(StatusCode::OK, &status::status(&self.node)),
            (&Method::GET, api::DOCTOR) => answer(doctor::doctor(&self.node).await),
            (&Method::GET, api::METRICS) => metrics(&self.node),
            (&Method::GET, api::TOP) => json(StatusCode::OK, &top::top(&self.node)),
            (&Method::GET, api::TRACE) => answer(trace::of_id(&self.node, &query)),
            (&Method::POST, api::TRACE) => {
                answer(trace::ask(&self.node, request.into_body()).await)
            }
            (&Method::POST, api::LOGS_ROTATE) => answer(logs::rotate(&self.node)),
            (&Method::GET, api::LOGS) => {
                logs::logs(&self.node, &query).unwrap_or_else(Failure::answer)
            }
            (&Method::GET, api::CACHE_STATS) => json(StatusCode::OK, &cache::stats(&self.node)),
            (&Method::GET, api::CACHE_EXPLAIN) => explain::explain(&self.node, &query)
                .map_or_else(Failure::answer, |found| json(StatusCode::OK, &found)),
            (&Method::POST, api::CACHE_PURGE) => {
                let purged = match cache::body(request.into_body()).await {
                    Ok(body) => purge::purge(&self.node, &body).await,
                    Err(failure) => Err(failure),
                };
                purged.map_or_else(Failure::answer, |done| json(StatusCode::OK, &done))
            }
            (&Method::GET, api::CACHE_PURGES) => purge::purges(&self.node, &query)
                .await
                .map_or_else(Failure::answer, |found| json(StatusCode::OK, &found)),
            (&Method::POST, api::CACHE_WARM) => warm::begin(&self.node, request.into_body())
                .await
                .map_or_else(Failure::answer, |job| json(StatusCode::OK, &job)),
            (&Method::GET, api::CACHE_WARM) => match query.strip_prefix("job=") {
                Some(job) => warm::job(&self.node, job)
                    .map_or_else(Failure::answer, |job| json(StatusCode::OK, &job)),
                None => json(StatusCode::OK, &warm::jobs(&self.node)),
            },
            (&Method::POST, api::CACHE_WARM_CANCEL) => {
                warm::cancel(&self.node, request.into_body())
                    .await
                    .map_or_else(Failure::answer, |job| json(StatusCode::OK, &job))
            }
            (&Method::GET, api::CACHE_OBJECTS) => answer(objects::list(&self.node, &query).await),
            (&Method::GET, api::CACHE_OBJECT) => answer(objects::object(&self.node, &query).await),
            (&Method::GET, api::CACHE_BODY) => {
                objects::body(&self.node, &query).await.unwrap_or_else(Failure::answer)
            }
            (&Method::POST, api::CACHE_OBJECT_VERIFY | api::CACHE_PINS | api::CACHE_SCRUB) => {
                let body = match cache::body(request.into_body()).await {
                    Ok(body) => body,
                    Err(failure) => return failure.answer(),
                };
                match path.as_str() {
                    api::CACHE_PINS => answer(pins::pins(&self.node, &body).await),
                    api::CACHE_SCRUB => answer(scrub::scrub(&self.node, &body).await),
                    _ => answer(objects::verify(&self.node, &body).await),
                }
            }
            (&Method::GET, api::DISKS) => disks::disks(&self.node, &query)
                .await
                .map_or_else(Failure::answer, |found| json(StatusCode::OK, &found)),
            (&Method::POST, api::DISKS) => {
                let done = match cache::body(request.into_body()).await {
                    Ok(body) => disks::order(&self.node, &body).await,
                    Err(failure) => Err(failure),
                };
                done.map_or_else(Failure::answer, |done| json(StatusCode::OK, &done))
            }
            (_, path) if path == api::CONFIG || path.starts_with("/v1/config/") => {
                config::answer(&self.node, &method, path, request.into_body())
                    .await
                    .unwrap_or_else(Failure::answer)
            }
            (
                _,
                api::DISKS
                | api::CACHE_OBJECTS
                | api::CACHE_OBJECT
                | api::CACHE_BODY
                | api::CACHE_OBJECT_VERIFY
                | api::CACHE_PINS
                | api::CACHE_SCRUB
                | api::CACHE_WARM
                | api::CACHE_WARM_CANCEL
                | api::CACHE_PURGES
                | api::DOCTOR
                | api::METRICS
                | api::LOGS
                | api::LOGS_ROTATE
                | api::TRACE
                | api::TOP
                | api::STATUS
                | api::CACHE_STATS
                | api::CACHE_EXPLAIN
                | api::CACHE_PURGE,
            ) => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                Failure::new(status, format!("{method} is not offered at {path}")).answer()
            }
            _ => Failure::new(StatusCode::NOT_FOUND, format!("nothing is offered at {path}"))
                .why("this server may be older than the cachectl that asks")
                .answer(),
        }
    }
}

/// A request that could not be answered.
pub(crate) struct Failure {
    status: StatusCode,
    body: ErrorBody,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { error: error.into(), why: None, next: None } }
    }

    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.body.why = Some(why.into());
        self
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.body.next = Some(next.into());
        self
    }

    fn answer(self) -> Response {
        json(self.status, &self.body)
    }
}

fn answer(result: Result<impl Serialize, Failure>) -> Response {
    result.map_or_else(Failure::answer, |found| json(StatusCode::OK, &found))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_vec(value).expect("our types have string keys only");
    content(status, "application/json", text)
}

fn content(status: StatusCode, kind: &'static str, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn metrics(node: &Node) -> Response {
    content(StatusCode::OK, CONTENT_TYPE, node.metrics.encode(node))
}

/// `/healthz`, `/readyz`, `/metrics`, and a page with what comes live to it.
#[derive(Debug)]
pub struct Management {
    pub node: Arc<Node>,
}

impl Handler for Management {
    async fn handle(&self, request: Request, _: &Arc<ConnectionInfo>) -> Response {
        const PLAIN: &str = "text/plain; charset=utf-8";
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return content(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET and HEAD only\n");
        }
        let path = request.uri().path();
        // Whoever asks whether it lives gets a word, whatever he calls it: balancers send odd names.
        if !matches!(path, "/healthz" | "/readyz")
            && let Some(refused) = page::misdirected(&self.node, &request)
        {
            return refused;
        }
        match path {
            // Alive is whoever answers.
            "/healthz" => content(StatusCode::OK, PLAIN, "ok\n"),
            "/readyz" if self.node.readiness.is_ready() => {
                content(StatusCode::OK, PLAIN, "ready\n")
            }
            "/readyz" => {
                let phase = format!("{}\n", self.node.readiness.phase().as_str());
                content(StatusCode::SERVICE_UNAVAILABLE, PLAIN, phase)
            }
            "/metrics" => metrics(&self.node),
            "/" => page::page(),
            "/events" => page::events(&self.node, &request),
            _ => content(StatusCode::NOT_FOUND, PLAIN, "/, /healthz, /readyz or /metrics\n"),
        }
    }
}
