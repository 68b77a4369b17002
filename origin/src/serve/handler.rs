//! From a request of `weir-edge-http` to s3s and back: gate, signature and operation, answer.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyDataStream, BodyExt};
use s3s::{
    S3Error, StdError,
    config::{S3Config, StaticConfigProvider},
    service::{S3Service, S3ServiceBuilder},
};
use weir_config_lifecycle::Clock;
use weir_edge_http::{BodyError, ConnectionInfo, Handler, Request, Response, ResponseBody};
use weir_origin_store::{MultipartStore, StoreError};

use super::{
    answer::chain,
    chunks::bounded,
    digest::incoming,
    gate::Gate,
    grants::{Door, Grants},
    objects::Objects,
    report::{Report, Reports},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
/// Bytes of a request in XML: 1,000 keys to delete, or 10,000 parts to join.
const MAX_XML_BYTES: usize = 8 << 20;

/// Answers S3 requests.
pub(super) struct S3Handler {
    gate: Gate,
    service: S3Service,
    reports: Arc<Reports>,
}

impl S3Handler {
    pub(super) fn new(
        store: Arc<dyn MultipartStore>,
        grants: Grants,
        region: String,
        clock: Arc<dyn Clock>,
        reports: Arc<Reports>,
    ) -> Self {
        let grants = Arc::new(grants);
        let objects = Objects { store, grants: Arc::clone(&grants), region: region.clone() };
        let mut config = S3Config::default();
        config.xml_max_body_size = MAX_XML_BYTES;
        let mut builder = S3ServiceBuilder::new(objects);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(Door(Arc::clone(&grants)));
        builder.set_access(Door(grants));
        Self { gate: Gate { region, clock }, service: builder.build(), reports }
    }

    async fn answer(&self, request: Request, report: &Report) -> s3s::HttpResponse {
        let (mut parts, body) = request.into_parts();
        if let Err(refusal) = self.gate.admit(&parts) {
            report.trail.note(|learnt| learnt.refusal = refusal.reason());
            return xml(refusal.into());
        }
        parts.extensions.insert(report.trail.clone());
        let body = if body.is_empty() {
            s3s::Body::empty()
        } else {
            let received = report.received();
            let pieces = body.into_stream().inspect(move |piece| {
                if let Ok(piece) = piece {
                    received.fetch_add(piece.len() as u64, Ordering::Relaxed);
                }
            });
            let framing = parts.headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes);
            match framing.filter(|framing| framing.starts_with(b"STREAMING-")) {
                None => incoming(pieces),
                Some(framing) => {
                    let signed = framing != b"STREAMING-UNSIGNED-PAYLOAD-TRAILER";
                    incoming(bounded(pieces, signed))
                }
            }
        };
        let response = match self.service.call(http::Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(error) => {
                let error = StdError::from(error);
                tracing::error!(error = chain(error.as_ref()), "no answer could be made");
                xml(s3s::s3_error!(InternalError, "no answer could be made"))
            }
        };
        if response.status() == StatusCode::FORBIDDEN {
            report.trail.note(|learnt| {
                // Whoever came past the signature was noted there.
                if learnt.operation.is_none() && learnt.refusal.is_none() {
                    learnt.refusal = Some("signature");
                }
            });
        }
        response
    }
}

impl Handler for S3Handler {
    async fn handle(&self, request: Request, connection: &Arc<ConnectionInfo>) -> Response {
        let mut report = self.reports.begin(&request, connection.peer);
        let method = request.method().clone();
        let (mut parts, body) = self.answer(request, &report).await.into_parts();
        report.answered(parts.status);
        let id = HeaderValue::try_from(&report.id).expect("hexadecimal digits are a field's value");
        parts.headers.insert(REQUEST_ID, id);
        let bare = method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED;
        if bare {
            without_body(&mut parts.headers, parts.status);
        }
        let length = length(&parts.headers, &body);
        let body = if bare || length == Some(0) {
            report.ended();
            ResponseBody::empty()
        } else {
            let body = body.into_data_stream();
            ResponseBody::stream(Outgoing { body, left: length, report }, length)
        };
        Response::from_parts(parts, body)
    }
}

/// An error as S3 writes it.
fn xml(error: S3Error) -> s3s::HttpResponse {
    error.to_http_response().unwrap_or_else(|_| {
        let mut bare = s3s::HttpResponse::new(s3s::Body::empty());
        *bare.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        bare
    })
}

/// Takes off what describes the XML of an error that is not sent. What a good HEAD says is of
/// the object and stays.
fn without_body(headers: &mut HeaderMap, status: StatusCode) {
    if !status.is_success() {
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_LENGTH);
    }
    headers.remove(header::TRANSFER_ENCODING);
}

fn length(headers: &HeaderMap, body: &s3s::Body) -> Option<u64> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|value| value.parse().ok());
    declared.or_else(|| http_body::Body::size_hint(body).exact())
}

/// A body on its way out, which reports when it is over.
struct Outgoing {
    body: BodyDataStream<s3s::Body>,
    /// Bytes still to come, where known. Whoever sends stops asking at the last of them.
    left: Option<u64>,
    report: Report,
}

impl Stream for Outgoing {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.body.poll_next_unpin(cx).map(|piece| match piece {
            Some(Ok(piece)) => {
                this.report.sent(piece.len());
                this.left = this.left.map(|left| left.saturating_sub(piece.len() as u64));
                if this.left == Some(0) {
                    this.report.ended();
                }
                Some(Ok(piece))
            }
            Some(Err(error)) => {
                if let Some(StoreError::Corrupt { .. } | StoreError::Io { .. }) =
                    error.downcast_ref()
                {
                    tracing::error!(error = chain(error.as_ref()), "an answer broke off");
                }
                Some(Err(BodyError(error.to_string())))
            }
            None => {
                this.report.ended();
                None
            }
        })
    }
}
