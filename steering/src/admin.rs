//! What operators ask: the admin API on the Unix socket, and health and metrics on the management
//! address.

mod orders;
mod shown;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use weir_config_admin::{self as api, ErrorBody};
use weir_config_lifecycle::{Phase, Readiness};
use weir_config_telemetry::metrics::CONTENT_TYPE;
use weir_edge_http::{ConnectionInfo, Handler, Request, Response};
use weir_steering_api::Code;
use weir_steering_fleet::{Control, Denied};

use crate::{
    body::{content, json, whole},
    metrics::Counts,
};

/// An order is a page at most.
const BODY_BYTES: usize = 64 << 10;
/// Events of a node that are shown.
const EVENTS: u32 = 200;

/// What both answer from.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) control: Arc<Control>,
    pub(crate) counts: Counts,
    pub(crate) readiness: Readiness,
    /// Where nodes reach this control plane.
    pub(crate) urls: Vec<String>,
}

/// The admin API: whoever may open the socket may ask and command.
#[derive(Debug)]
pub(crate) struct Admin(pub(crate) Arc<Desk>);

impl Handler for Admin {
    async fn handle(&self, request: Request, _: &Arc<ConnectionInfo>) -> Response {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let body = match whole(request.into_body(), BODY_BYTES).await {
            Ok(body) if body.len() <= BODY_BYTES => body,
            Ok(_) => return failed(400, "the order is longer than 64 KiB", None),
            Err(error) => return failed(400, "the order cannot be read", Some(error)),
        };
        let desk = &self.0;
        let node = path.strip_prefix("/v1/nodes/");
        match (&method, path.as_str(), node) {
            (&Method::GET, api::FLEET, _) => json(StatusCode::OK, &shown::fleet(desk)),
            (&Method::GET, api::METRICS, _) => metrics(desk).await,
            (&Method::GET, api::NODES, _) => json(StatusCode::OK, &shown::nodes(&desk.control)),
            (&Method::GET, api::TOKENS, _) => answer(orders::tokens(&desk.control).await),
            (&Method::POST, api::TOKENS, _) => answer(orders::token(desk, &body).await),
            (&Method::POST, api::TOKENS_REVOKE, _) => {
                answer(orders::revoke_token(&desk.control, &body).await)
            }
            (&Method::GET, _, Some(rest)) => match rest.strip_suffix("/history") {
                Some(name) => {
                    let events = desk.control.history(name, EVENTS).await;
                    answer(events.map(|events| shown::history(&events)))
                }
                None => answer(desk.control.node(rest).map(|view| shown::node(&view))),
            },
            (&Method::POST, _, Some(name)) => {
                answer(orders::order(&desk.control, name, &body).await)
            }
            (_, api::FLEET | api::METRICS | api::NODES | api::TOKENS | api::TOKENS_REVOKE, _)
            | (_, _, Some(_)) => failed(405, &format!("{method} is not offered at {path}"), None),
            _ => {
                let why = "this is a control plane: an edge has its own socket".to_owned();
                failed(404, &format!("nothing is offered at {path}"), Some(why))
            }
        }
    }
}

fn answer(result: Result<impl Serialize, Denied>) -> Response {
    match result {
        Ok(found) => json(StatusCode::OK, &found),
        Err(Denied { code, detail }) => {
            let status = match code {
                Code::Malformed | Code::TooLarge | Code::Version => 400,
                Code::NotFound | Code::NodeUnknown => 404,
                Code::TooMany | Code::Unavailable => 503,
                _ => 409,
            };
            failed(status, &detail, None)
        }
    }
}

fn failed(status: u16, error: &str, why: Option<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    json(status, &ErrorBody { error: error.to_owned(), why, next: None })
}

async fn metrics(desk: &Desk) -> Response {
    let up = desk.control.store().probe().await.is_ok();
    content(StatusCode::OK, CONTENT_TYPE, desk.counts.encode(&desk.control, up))
}

/// `/healthz`, `/readyz` and `/metrics`.
#[derive(Debug)]
pub(crate) struct Management(pub(crate) Arc<Desk>);

impl Handler for Management {
    async fn handle(&self, request: Request, _: &Arc<ConnectionInfo>) -> Response {
        const PLAIN: &str = "text/plain; charset=utf-8";
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return content(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET and HEAD only\n");
        }
        let desk = &self.0;
        match request.uri().path() {
            "/healthz" => content(StatusCode::OK, PLAIN, "ok\n"),
            "/readyz" => {
                let phase = desk.readiness.phase();
                let (status, said) = match desk.control.store().probe().await {
                    _ if phase != Phase::Serving => {
                        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", phase.as_str()))
                    }
                    Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                    // Reports are answered all the same; nobody can join.
                    Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
                };
                content(status, PLAIN, said)
            }
            "/metrics" => metrics(desk).await,
            _ => content(StatusCode::NOT_FOUND, PLAIN, "/healthz, /readyz or /metrics\n"),
        }
    }
}
