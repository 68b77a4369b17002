//! What nodes ask, over TLS. Who asks is what the certificate of the connection says.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use weir_edge_http::{ConnectionInfo, Handler, Request, Response};
use weir_steering_api::{
    Code, JOIN, JoinRequest, Problem, RENEW, REPORT, RenewRequest, Report, Wire, problem,
};
use weir_steering_fleet::{Control, Denied};

use crate::body::{content, json, whole};

/// Answers nodes.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) control: Arc<Control>,
}

impl Handler for Nodes {
    async fn handle(&self, request: Request, connection: &Arc<ConnectionInfo>) -> Response {
        let path = request.uri().path().to_owned();
        let most = match path.as_str() {
            JOIN => JoinRequest::MOST_BYTES,
            RENEW => RenewRequest::MOST_BYTES,
            REPORT => Report::MOST_BYTES,
            _ => {
                let detail = "nodes ask for /v1/join, /v1/renew and /v1/report";
                return refuse(&Problem::new(Code::NotFound, detail));
            }
        };
        if request.method() != Method::POST {
            return refuse(&Problem::new(Code::Method, "POST only"));
        }
        let body = match whole(request.into_body(), most).await {
            Ok(body) => body,
            Err(error) => return refuse(&Problem::new(Code::Malformed, error)),
        };
        let shown = connection.tls.as_ref().and_then(|tls| tls.certificate.as_deref());
        match path.as_str() {
            JOIN => answer(self.control.join(&body).await),
            RENEW => answer(self.control.renew(shown, &body).await),
            _ => answer(self.control.report(shown, &body)),
        }
    }
}

fn answer(result: Result<impl Serialize, Denied>) -> Response {
    match result {
        Ok(found) => json(StatusCode::OK, &found),
        Err(denied) => {
            tracing::debug!(%denied, "a node was refused");
            refuse(&Problem::from(denied))
        }
    }
}

fn refuse(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let text = serde_json::to_vec(problem).expect("texts are JSON");
    let mut response = content(status, problem::MEDIA_TYPE, text);
    if matches!(problem.code, Code::TooMany | Code::Unavailable) {
        let headers = response.headers_mut();
        headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("5"));
    }
    response
}
