//! What an origin server is told. `config/examples/origin.toml` shows every key.

mod decode;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    common::{Log, Shutdown},
    keys::Server,
    load::Loaded,
    report::Report,
    secret::Secret,
    sources::Texts,
};

/// The whole configuration of an origin server. Paths are absolute, or relative to the working
/// directory like the path of the file itself.
#[derive(Debug, Clone)]
pub struct OriginConfig {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[listen]`
    pub listen: Listen,
    /// `[admin]`
    pub admin: Admin,
    /// `[store]`
    pub store: Store,
    /// `[log]`
    pub log: Log,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[[access_key]]`, in the order of the file; ids are unique.
    pub access_keys: Vec<AccessKey>,
}

impl OriginConfig {
    /// Reads and checks the file, its `conf.d`, and every file they name.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Report> {
        crate::load::load(path.as_ref(), Server::Origin, &decode::origin)
    }

    /// All of what was read from the sources of a configuration.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn of(texts: Texts) -> Result<Loaded<Self>, Report> {
        crate::load::of_texts(texts, Server::Origin, &decode::origin)
    }

    /// As [`Self::load`] for text that is already here; `path` tells where relative paths start.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self, Report> {
        crate::load::parse(path.as_ref(), text, Server::Origin, &decode::origin)
    }
}

/// Where S3 clients are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Plain HTTP/1.1; required, at least one.
    pub http: Vec<SocketAddr>,
}

/// Where operators ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admin {
    /// `/healthz`, `/readyz` and `/metrics`. Default: not served.
    pub listen: Option<SocketAddr>,
}

/// What is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Folder; made when missing. Required.
    pub path: PathBuf,
    /// Buckets, made when missing; at least one.
    pub buckets: Vec<String>,
    /// Buckets whose objects anybody may read, by their keys; listing still takes an access
    /// key. All of them exist in `buckets`. Default: none.
    pub public_buckets: Vec<String>,
    /// The region that signatures must name. Default `us-east-1`.
    pub region: String,
}

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allow {
    /// List, get and head.
    Read,
    /// The same, and put, delete and multipart uploads.
    Write,
}

/// One S3 access key.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// The access key id, required, unique.
    pub id: String,
    /// Content of `secret_file` without the white space around it: at least 16 bytes.
    pub secret: Secret,
    /// Default read.
    pub allow: Allow,
    /// Buckets it opens; all of them exist in `store.buckets`. Default: all.
    pub buckets: Vec<String>,
}
