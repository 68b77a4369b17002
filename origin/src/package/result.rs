//! What came of each file, for people and for programs.

use std::{fmt::Write as _, path::PathBuf};

use serde::Serialize;

/// What came of one file.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// Encoded, verified and published now.
    Published(Title),
    /// The same film with the same settings was there already.
    AlreadyPublished(Title),
    /// Not published.
    Failed {
        /// As given.
        file: PathBuf,
        /// What, where, why.
        error: String,
    },
}

/// A published title.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Title {
    /// As given.
    pub(super) file: PathBuf,
    /// Title.
    pub(super) title: String,
    /// Version.
    pub(super) version: String,
    /// Bucket of all keys.
    pub(super) bucket: String,
    /// Key of the object that names the version.
    pub(super) pointer: String,
    /// Key of the HLS multivariant playlist.
    pub(super) hls: String,
    /// Key of the DASH manifest.
    pub(super) dash: String,
    /// Length of the film.
    pub(super) duration_seconds: f64,
    /// Rungs, highest first, then sound.
    pub(super) renditions: Vec<String>,
    /// Objects of this version, and their bytes; none where it was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) objects: Option<usize>,
    /// Bytes of those objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
}

/// The answer to `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    /// `weir-package/v1`.
    pub(super) schema: &'static str,
    /// In the order in which the files were given.
    pub(super) results: &'a [Outcome],
}

/// One outcome for people. Keys are shown below `base`, the store's address.
pub(super) fn human(outcome: &Outcome, base: &str) -> String {
    let (title, done) = match outcome {
        Outcome::Failed { error, .. } => return format!("FAILED {error}\n"),
        Outcome::Published(title) => (title, "published"),
        Outcome::AlreadyPublished(title) => (title, "was published already, unchanged"),
    };
    let mut out = format!(
        "{} {done}: version {}, {:.1} s, {}",
        title.title,
        title.version,
        title.duration_seconds,
        title.renditions.join(" ")
    );
    if let (Some(objects), Some(bytes)) = (title.objects, title.bytes) {
        let _ = write!(out, ", {objects} objects, {} KiB", bytes.div_ceil(1024));
    }
    let _ = write!(
        out,
        "\n  HLS   {base}/{0}/{1}\n  DASH  {base}/{0}/{2}\n",
        title.bucket, title.hls, title.dash
    );
    out
}
