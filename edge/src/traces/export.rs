//! Posts what waits: one batch after the other, each a few times where the collector has no room
//! (OTLP/HTTP, Failures), and then no more. What waits meanwhile is bounded by the queue.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, StatusCode, header};
use tokio::time::{sleep, timeout};
use weir_config_telemetry::traces::{Answered, Span, answered, request};
use weir_edge_http::client::{Client, Deadlines, Upload};

use super::{Settings, Traces};

/// Posts of one batch.
const ATTEMPTS: u32 = 5;
/// After the first that was not taken; twice as long after each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// A collector that wants to be left alone for longer is asked after that.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Of an answer, so much is read.
const ANSWER_MAX: usize = 64 << 10;

/// Why a post was not taken.
struct Refused {
    why: String,
    /// Whether it may be later, and when at the earliest.
    again: Option<Option<Duration>>,
}

/// Posts for as long as the runtime lives.
pub(crate) async fn run(traces: Arc<Traces>, client: Client) {
    loop {
        let (settings, spans) = traces.next().await;
        let result = deliver(&traces, &client, settings, &spans).await;
        traces.posted(spans.len() as u64, result);
    }
}

/// Spans that the collector rejected of those it took, or why it took none.
async fn deliver(
    traces: &Traces,
    client: &Client,
    mut settings: Arc<Settings>,
    spans: &[Span],
) -> Result<u64, String> {
    let mut pause = PAUSE;
    for attempt in 1.. {
        let body = request(&settings.resource, spans);
        let limit = settings.told.timeout;
        let posted = timeout(limit, post(client, &settings, body)).await;
        let refused = match posted {
            Ok(Ok(told)) => {
                if told.rejected > 0 || !told.message.is_empty() {
                    let (rejected, message) = (told.rejected, told.message);
                    tracing::warn!(rejected, %message, "the collector did not keep all spans");
                }
                return Ok(told.rejected);
            }
            Ok(Err(refused)) => refused,
            Err(_) => Refused { why: format!("no answer within {limit:?}"), again: Some(None) },
        };
        let Some(after) = refused.again.filter(|_| attempt < ATTEMPTS && !traces.is_closing())
        else {
            return Err(refused.why);
        };
        traces.fails(Some(refused.why));
        sleep(after.unwrap_or(pause).min(PAUSE_MAX)).await;
        pause *= 2;
        // It may have been told to go elsewhere, or nowhere.
        settings = traces.settings().ok_or("traces were turned off")?;
    }
    Err("never asked".to_owned())
}

async fn post(client: &Client, settings: &Settings, body: Vec<u8>) -> Result<Answered, Refused> {
    let length = body.len() as u64;
    let body = futures::stream::iter([Ok(Bytes::from(body))]);
    let mut request = Request::new(Upload::stream(body, Some(length)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = settings.uri.clone();
    *request.headers_mut() = settings.fields.clone();
    request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    let sent = client.send(&settings.target, request, Deadlines::all(settings.told.timeout)).await;
    let response = sent.map_err(|error| Refused { why: error.to_string(), again: Some(None) })?;
    let (head, mut body) = response.into_parts();
    let mut answer = Vec::new();
    while let Some(piece) = body.next().await {
        // Whoever has said that it took them has them, however it says the rest.
        let Ok(piece) = piece else { break };
        answer.extend_from_slice(&piece);
        if answer.len() > ANSWER_MAX {
            break;
        }
    }
    if head.status.is_success() {
        return Ok(answered(&answer));
    }
    // OTLP/HTTP, Retryable Response Codes.
    let later = matches!(
        head.status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let after = head.headers.get(header::RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let again = later.then_some(after.map(Duration::from_secs));
    Err(Refused { why: format!("it answered {}", head.status), again })
}
