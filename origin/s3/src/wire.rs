//! The SDK's requests over our HTTP client.

use aws_sdk_s3::{
    config::{
        HttpClient, RuntimeComponents,
        http::{HttpRequest, HttpResponse},
    },
    error::ConnectorError,
    primitives::SdkBody,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use futures::TryStreamExt;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyDataStream, Limited};
use weir_edge_http::{
    BodyError,
    client::{Client, ClientError, Deadlines, Download, Target, Upload},
};

/// Most bytes of an answer that the SDK collects: lists and error documents. Objects stream.
const DOCUMENT: usize = 16 << 20;

/// Carries what the SDK asks.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    client: Client,
    deadlines: Deadlines,
}

impl Wire {
    pub(crate) fn new(client: Client, deadlines: Deadlines) -> Self {
        Self { client, deadlines }
    }

    pub(crate) fn with_deadlines(self, deadlines: Deadlines) -> Self {
        Self { deadlines, ..self }
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request =
            request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let target = target(request.uri()).ok_or_else(|| {
            ConnectorError::user(format!("{} is no address", request.uri()).into())
        })?;
        let (parts, body) = request.into_parts();
        let collected = is_collected(&parts.uri);
        let request = Request::from_parts(parts, upload(body));
        let response = self.client.send(&target, request, self.deadlines).await.map_err(failed)?;
        let collected = collected || response.status() >= StatusCode::MULTIPLE_CHOICES;
        let response = response.map(|body| download(body, collected));
        HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

fn failed(error: ClientError) -> ConnectorError {
    match error {
        ClientError::Silent { .. } => ConnectorError::timeout(error.into()),
        ClientError::Request { .. } => ConnectorError::user(error.into()),
        _ => ConnectorError::io(error.into()),
    }
}

fn target(uri: &Uri) -> Option<Target> {
    let tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let host = uri.host()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Some(Target { tls, host: host.to_owned(), port })
}

/// Answers to these are documents that the SDK reads as a whole.
fn is_collected(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("list-type="))
        || uri.path().starts_with("/latest/")
}

fn upload(body: SdkBody) -> Upload {
    let length = http_body::Body::size_hint(&body).exact();
    if length == Some(0) {
        return Upload::empty();
    }
    let pieces = BodyDataStream::new(body).map_err(|error| BodyError(error.to_string()));
    Upload::stream(pieces, length)
}

fn download(body: Download, collected: bool) -> SdkBody {
    if collected {
        SdkBody::from_body_1_x(Limited::new(body, DOCUMENT))
    } else {
        SdkBody::from_body_1_x(body)
    }
}
