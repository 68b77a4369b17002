//! Where titles go: an S3 server, or a store directory that no server is using.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_config_lifecycle::SystemClock;
use weir_origin_store::{Directory, DirectoryOptions, ObjectStore};

use super::{Args, error::PackageError};

/// Which store, as the command line says.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A directory as `weir-origin serve` keeps it.
    Directory(PathBuf),
}

impl Target {
    pub(super) fn from_args(args: &Args) -> Result<Self, PackageError> {
        match &args.to_dir {
            Some(path) => Ok(Self::Directory(path.clone())),
            None => Err(PackageError::Target {
                target: args.to.clone().unwrap_or_default(),
                reason: "no S3 client yet".into(),
            }),
        }
    }

    /// For messages and addresses, without a slash at its end.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
        }
    }

    pub(super) async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, PackageError> {
        match self {
            Self::Directory(path) => directory(path.clone(), bucket.to_owned()).await,
        }
    }
}

async fn directory(path: PathBuf, bucket: String) -> Result<Arc<dyn ObjectStore>, PackageError> {
    let name = path.display().to_string();
    let opening = tokio::task::spawn_blocking(move || {
        let options = DirectoryOptions::new(vec![bucket], Arc::new(SystemClock));
        Directory::open(Path::new(&path), options)
    });
    let wrong = |reason: String| PackageError::Target { target: name, reason };
    match opening.await {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(error)) => {
            let why = std::error::Error::source(&error).map(|s| format!(": {s}"));
            Err(wrong(format!("{error}{}", why.unwrap_or_default())))
        }
        Err(error) => Err(wrong(error.to_string())),
    }
}
