//! One question to the control plane, one answer.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use weir_edge_http::client::{
    Client, ClientError, ClientLimits, Connector, Deadlines, Target, Upload,
};
use weir_edge_transport::connect::{Roots, TlsClientError, client_config_as, client_config_pinned};
use weir_steering_api::{Code, DecodeError, Problem, Wire, decode};

/// For each phase of a call.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of a refusal that are read.
const PROBLEM_BYTES: usize = 16 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address of the control plane.
    #[error("{0:?} is no address of a control plane: https://host:port")]
    Address(String),
    /// The files that say who we are.
    #[error(transparent)]
    Tls(#[from] TlsClientError),
    /// Nobody answers.
    #[error("{0}")]
    Unreached(#[from] ClientError),
    /// It says no.
    #[error("refused ({}): {}", .0.code.as_str(), .0.detail)]
    Refused(Problem),
    /// It answers, and not as a control plane does.
    #[error("an answer with status {0}: no control plane, or one of another version")]
    Odd(StatusCode),
    /// Its answer cannot be read.
    #[error(transparent)]
    Unread(#[from] DecodeError),
}

impl CallError {
    /// The code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }
}

/// Where the control plane is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    target: Target,
    authority: String,
}

impl Endpoint {
    /// `https://host:port`.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(url: &str) -> Result<Self, CallError> {
        let wrong = || CallError::Address(url.chars().take(200).collect());
        let uri: Uri = url.trim().parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let plain = uri.scheme_str() == Some("https")
            && uri.path_and_query().is_none_or(|path| path == "/")
            && !authority.as_str().contains('@');
        if !plain {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(443);
        let target = Target { tls: true, host, port };
        Ok(Self { target, authority: authority.as_str().to_owned() })
    }
}

/// Asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: Client,
    endpoint: Endpoint,
}

impl Caller {
    /// As nobody, towards the authority of that fingerprint.
    pub(crate) fn stranger(endpoint: Endpoint, sha256: [u8; 32]) -> Result<Self, CallError> {
        let connector = Connector::new(client_config_pinned(sha256)?);
        Ok(Self { client: Client::new(connector, limits()), endpoint })
    }

    /// As the node of a certificate.
    pub(crate) fn member(
        endpoint: Endpoint,
        authority: &Path,
        own: &Path,
    ) -> Result<Self, CallError> {
        let config = client_config_as(&Roots::File(authority.to_owned()), own, own)?;
        Ok(Self { client: Client::new(Connector::new(config), limits()), endpoint })
    }

    /// Posts JSON.
    pub(crate) async fn post<T: Wire>(&self, path: &str, body: Vec<u8>) -> Result<T, CallError> {
        let length = Some(body.len() as u64);
        let upload = Upload::stream(stream::iter([Ok(Bytes::from(body))]), length);
        let uri = format!("https://{}{path}", self.endpoint.authority);
        let mut request = Request::new(upload);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.parse().map_err(|_| CallError::Address(uri))?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        let target = &self.endpoint.target;
        let answer = self.client.send(target, request, Deadlines::all(DEADLINE)).await?;
        let (head, mut pieces) = answer.into_parts();
        let good = head.status == StatusCode::OK;
        let most = if good { T::MOST_BYTES } else { PROBLEM_BYTES };
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece?);
            if text.len() > most {
                let bytes = text.len();
                return Err(DecodeError::TooLarge { name: T::NAME, bytes, most }.into());
            }
        }
        if good {
            return Ok(decode(&text)?);
        }
        match serde_json::from_slice::<Problem>(&text) {
            Ok(mut problem) => {
                // It is shown to people.
                problem.detail = shown(&problem.detail);
                Err(CallError::Refused(problem))
            }
            Err(_) => Err(CallError::Odd(head.status)),
        }
    }
}

fn limits() -> ClientLimits {
    ClientLimits { connections: 2, idle: 2, read_bytes: 64 << 10, ..ClientLimits::default() }
}

fn shown(text: &str) -> String {
    text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |url: &str, expected: Option<(&str, u16)>| {
            let found = Endpoint::parse(url).ok();
            let found = found.as_ref().map(|one| (&*one.target.host, one.target.port));
            assert_eq!(found, expected, "{url}");
        };
        check("https://steering.example", Some(("steering.example", 443)));
        check("https://steering.example:8441/", Some(("steering.example", 8441)));
        check("https://[::1]:8441", Some(("::1", 8441)));
        for bad in ["http://a", "https://a/b", "https://a/?b", "https://u:p@a", "a:8441", "", "x y"]
        {
            check(bad, None);
        }
    }
}
