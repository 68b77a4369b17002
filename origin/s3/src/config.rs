//! What an S3 adapter is told, and the SDK's settings that follow from it.

use std::{fmt, time::Duration};

use aws_config::{
    imds::{self, credentials::ImdsCredentialsProvider},
    provider_config::ProviderConfig,
};
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use http::Uri;
use weir_edge_http::client::Deadlines;

use crate::wire::Wire;

/// One S3 server.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Scheme, host and port, as in `http://127.0.0.1:9000`. None: AWS in `region`.
    pub endpoint: Option<String>,
    /// Part of every signature; servers other than AWS mostly take any.
    pub region: String,
    /// Bucket in the path (`host/bucket/key`) rather than in the host name.
    pub path_style: bool,
    /// Who asks.
    pub credentials: S3Credentials,
    /// How long each phase of a request may take.
    pub deadlines: Deadlines,
}

/// Who asks an S3 server.
#[derive(Clone)]
pub enum S3Credentials {
    /// Unsigned requests.
    Anonymous,
    /// A key pair, and the token that belongs to it where it is a temporary one.
    Static {
        /// Public part.
        access_key: String,
        /// Never printed.
        secret_key: String,
        /// Never printed.
        session_token: Option<String>,
    },
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where set, `AWS_SESSION_TOKEN`, read
    /// once when the store is made.
    Env,
    /// The role of the instance (IMDSv2), renewed before it expires.
    Imds,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Static { access_key, .. } => {
                f.debug_struct("Static").field("access_key", access_key).finish_non_exhaustive()
            }
            Self::Env => f.write_str("Env"),
            Self::Imds => f.write_str("Imds"),
        }
    }
}

/// Why no adapter can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3ConfigError {
    /// The endpoint is no address.
    #[error(
        "S3 endpoint {0:?} is no address: write scheme, host and port, like http://127.0.0.1:9000"
    )]
    Endpoint(String),
    /// `credentials = "env"` without the variables.
    #[error(
        "credentials are to come from the environment, but {0} is not set; set it, or configure \
         credentials in a file"
    )]
    Environment(&'static str),
}

impl S3Config {
    pub(crate) fn sdk(&self, wire: Wire) -> Result<Config, S3ConfigError> {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .force_path_style(self.path_style)
            .http_client(wire.clone())
            // Whoever calls knows of other origins and of what is already there.
            .retry_config(RetryConfig::disabled())
            // The wire watches each phase by itself.
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Chunks get checksums of our own; many servers know only some of S3's.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = &self.endpoint {
            check_endpoint(endpoint)?;
            config = config.endpoint_url(endpoint);
        }
        config = match &self.credentials {
            S3Credentials::Anonymous => config.allow_no_auth(),
            S3Credentials::Static { access_key, secret_key, session_token } => config
                .credentials_provider(Credentials::new(
                    access_key,
                    secret_key,
                    session_token.clone(),
                    None,
                    "config",
                )),
            S3Credentials::Env => config.credentials_provider(from_environment()?),
            S3Credentials::Imds => config.credentials_provider(imds(wire)),
        };
        Ok(config.build())
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), S3ConfigError> {
    let good = endpoint.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    });
    if good { Ok(()) } else { Err(S3ConfigError::Endpoint(endpoint.to_owned())) }
}

fn from_environment() -> Result<Credentials, S3ConfigError> {
    let read = |name: &'static str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or(S3ConfigError::Environment(name))
    };
    Ok(Credentials::new(
        read("AWS_ACCESS_KEY_ID")?,
        read("AWS_SECRET_ACCESS_KEY")?,
        read("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    ))
}

fn imds(wire: Wire) -> ImdsCredentialsProvider {
    // The service answers from the same host: what takes longer is not there.
    const DEADLINE: Duration = Duration::from_secs(1);
    let provider = ProviderConfig::without_region()
        .with_http_client(wire.with_deadlines(Deadlines::all(DEADLINE)));
    let client = imds::Client::builder().configure(&provider).build();
    ImdsCredentialsProvider::builder().configure(&provider).imds_client(client).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |endpoint: &str, good: bool| {
            assert_eq!(check_endpoint(endpoint).is_ok(), good, "{endpoint}");
        };
        check("http://127.0.0.1:9000", true);
        check("https://s3.example/", true);
        check("http://[::1]:9000", true);
        check("127.0.0.1:9000", false);
        check("ftp://s3.example", false);
        check("http://s3.example/bucket", false);
        check("http://key:secret@s3.example", false);
        check("http://s3.example/?x", false);
        check("", false);
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = S3Credentials::Static {
            access_key: "public".into(),
            secret_key: "hidden-one".into(),
            session_token: Some("hidden-two".into()),
        };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("public") && !shown.contains("hidden"), "{shown}");
    }
}
