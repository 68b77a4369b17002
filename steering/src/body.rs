//! Bodies of requests, bounded, and answers.

use futures::TryStreamExt;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use weir_edge_http::{RequestBody, Response, ResponseBody};

/// All of a body; of one that is longer than `most`, one byte more than that.
pub(crate) async fn whole(body: RequestBody, most: usize) -> Result<Vec<u8>, String> {
    let mut pieces = body.into_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.try_next().await.map_err(|error| error.to_string())? {
        let room = (most + 1).saturating_sub(bytes.len());
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if bytes.len() > most {
            break;
        }
    }
    Ok(bytes)
}

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_vec(value).expect("our types have string keys only");
    content(status, "application/json", text)
}

/// Any answer.
pub(crate) fn content(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response {
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
