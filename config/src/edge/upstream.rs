//! Where an edge fetches what it does not hold.

use std::num::NonZeroU16;

use url::Url;

use crate::secret::Secret;

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Required, unique; services name it.
    pub id: String,
    /// `kind` and the keys that belong to it.
    pub kind: UpstreamKind,
    /// Fills that may have their bytes from here at once, 1 to 65535. Default: three quarters of
    /// `fill.concurrency`, or all of it for the only upstream.
    pub max_fills: Option<NonZeroU16>,
}

/// What an upstream speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamKind {
    /// `kind = "s3"`
    S3(S3Upstream),
    /// `kind = "http"`
    Http(HttpUpstream),
}

/// A bucket of an S3 server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Upstream {
    /// `http` or `https`, host and port only. Default: the region's endpoint at AWS.
    pub endpoint: Option<Url>,
    /// Required.
    pub bucket: String,
    /// Default `us-east-1`.
    pub region: String,
    /// Bucket in the path rather than in the host name. Default: true where there is an
    /// `endpoint`.
    pub path_style: bool,
    /// Default anonymous.
    pub credentials: Credentials,
}

/// Who asks an S3 server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Unsigned requests.
    Anonymous,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Env,
    /// The instance's role.
    Imds,
    /// From a file; it was read.
    Static {
        /// Public part.
        access_key: String,
        /// Never printed.
        secret_key: Secret,
    },
}

/// A server that speaks HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUpstream {
    /// Required: `http` or `https`, no query. A path is put before the one that is asked.
    pub url: Url,
}
