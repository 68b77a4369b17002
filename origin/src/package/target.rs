//! Where titles go: an S3 server, or a store directory that no server is using.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use weir_config_lifecycle::SystemClock;
use weir_edge_http::client::{Client, ClientLimits, Connector, Deadlines};
use weir_edge_transport::connect::{Roots, client_config};
use weir_origin_s3::{S3Config, S3Credentials, S3Store};
use weir_origin_store::{Directory, DirectoryOptions, ObjectStore};

use super::{Args, error::PackageError};

/// A store that is silent for so long is taken for gone. Uploads have all the time they need
/// as long as they move.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest credentials file that is read.
const LONGEST_CREDENTIALS: u64 = 64 << 10;

/// Which store, as the command line says.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A directory as `weir-origin serve` keeps it.
    Directory(PathBuf),
    /// A server.
    S3(S3Config),
}

/// The credentials file, the same that an edge's configuration names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
}

impl Target {
    pub(super) fn from_args(args: &Args) -> Result<Self, PackageError> {
        match (&args.to_dir, &args.to, &args.credentials) {
            (Some(path), ..) => Ok(Self::Directory(path.clone())),
            (None, Some(to), Some(file)) => Ok(Self::S3(S3Config {
                endpoint: Some(to.trim_end_matches('/').to_owned()),
                region: args.region.clone(),
                path_style: true,
                credentials: credentials(file)?,
                deadlines: Deadlines::all(SILENCE),
            })),
            _ => Err(PackageError::Target {
                target: args.to.clone().unwrap_or_default(),
                reason: "give --to with --credentials, or --to-dir".into(),
            }),
        }
    }

    /// For messages and addresses, without a slash at its end.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::S3(config) => config.endpoint.clone().unwrap_or_default(),
        }
    }

    pub(super) async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, PackageError> {
        match self {
            Self::Directory(path) => directory(path.clone(), bucket.to_owned()).await,
            Self::S3(config) => self.server(config),
        }
    }

    fn server(&self, config: &S3Config) -> Result<Arc<dyn ObjectStore>, PackageError> {
        let wrong = |reason: String| PackageError::Target { target: self.name(), reason };
        let tls = client_config(&Roots::Public).map_err(|error| wrong(error.to_string()))?;
        let client = Client::new(Connector::new(tls), ClientLimits::default());
        let store = S3Store::new(config, client).map_err(|error| wrong(error.to_string()))?;
        Ok(Arc::new(store))
    }
}

fn credentials(file: &Path) -> Result<S3Credentials, PackageError> {
    let wrong = |reason: String| PackageError::Credentials { file: file.into(), reason };
    let meta = fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if meta.len() > LONGEST_CREDENTIALS {
        return Err(wrong("is too long for a file with two keys".into()));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let found: Credentials = toml::from_str(&text).map_err(|error| {
        // The message alone: the rest of the report would quote the secret.
        wrong(format!(
            "{}; it must hold access_key = \"…\" and secret_key = \"…\"",
            error.message()
        ))
    })?;
    Ok(S3Credentials::Static {
        access_key: found.access_key,
        secret_key: found.secret_key,
        session_token: found.session_token,
    })
}

async fn directory(path: PathBuf, bucket: String) -> Result<Arc<dyn ObjectStore>, PackageError> {
    let name = path.display().to_string();
    let opening = tokio::task::spawn_blocking(move || {
        let options = DirectoryOptions::new(vec![bucket], Arc::new(SystemClock));
        Directory::open(&path, options)
    });
    let wrong = |reason: String| PackageError::Target { target: name, reason };
    match opening.await {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(error)) => {
            let why = error.source().map(|source| format!(": {source}"));
            Err(wrong(format!("{error}{}", why.unwrap_or_default())))
        }
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_or_refused_without_being_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s3.toml");
        let check = |text: &str, expected: Result<&str, &str>| {
            fs::write(&file, text).unwrap();
            match (credentials(&file), expected) {
                (Ok(S3Credentials::Static { access_key, .. }), Ok(name)) => {
                    assert_eq!(access_key, name);
                }
                (Err(error), Err(part)) => {
                    let said = error.chain();
                    assert!(said.contains(part) && !said.contains("hush"), "{said}");
                }
                (got, _) => panic!("{got:?} of {text}"),
            }
        };
        check("access_key = \"me\"\nsecret_key = \"hush\"\n", Ok("me"));
        check("access_key = \"me\"\n", Err("missing field `secret_key`"));
        check("access_key = \"me\"\nsecret_key = hush\n", Err("must hold access_key"));
        check("access_key = \"me\"\nsecret_key = \"hush\"\nx = 1\n", Err("unknown field `x`"));
        fs::remove_file(&file).unwrap();
        let said = credentials(&file).unwrap_err().chain();
        assert!(said.contains("s3.toml") && said.contains("No such file"), "{said}");
    }
}
