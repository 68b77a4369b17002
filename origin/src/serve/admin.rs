//! What operators ask: does it live, does it serve, what does it count.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use weir_config_lifecycle::{Phase, Readiness};
use weir_config_telemetry::{Metrics, metrics::CONTENT_TYPE};
use weir_edge_http::{ConnectionInfo, Handler, Request, Response, ResponseBody};
use weir_origin_store::Directory;

/// Answers on the management address.
pub(super) struct Admin {
    pub(super) metrics: Metrics,
    pub(super) readiness: Readiness,
    pub(super) store: Directory,
}

impl Handler for Admin {
    async fn handle(&self, request: Request, _: &Arc<ConnectionInfo>) -> Response {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => self.ready().await,
            "/metrics" => {
                let mut page = text(StatusCode::OK, self.metrics.encode());
                let kind = HeaderValue::from_static(CONTENT_TYPE);
                page.headers_mut().insert(header::CONTENT_TYPE, kind);
                page
            }
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz or /metrics\n".to_owned()),
        }
    }
}

impl Admin {
    /// Ready is who serves and whose disk still takes writes.
    async fn ready(&self) -> Response {
        let phase = self.readiness.phase();
        if phase != Phase::Serving {
            return text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", phase.as_str()));
        }
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || store.probe()).await {
            Ok(Ok(())) => text(StatusCode::OK, "serving\n".to_owned()),
            Ok(Err(error)) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the store's disk takes no writes: {error}\n"),
            ),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "no answer of the disk\n".to_owned()),
        }
    }
}

fn text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
