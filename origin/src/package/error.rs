//! Why a film was not packaged. Each message says what, where and why, and what to do where
//! that is not plain; the causes below it are printed with it.

use std::{io, path::PathBuf, time::Duration};

use weir_origin_media::{
    fmp4::Mp4Error,
    grid::GridError,
    key::TitleError,
    ladder::PlanError,
    probe::{ProbeError, ScanError},
};
use weir_origin_store::StoreError;

/// Why a film was not packaged.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum PackageError {
    #[error("{}: there is no such file", .0.display())]
    Missing(PathBuf),
    #[error("{}: is a directory; give the films in it one by one", .0.display())]
    Directory(PathBuf),
    #[error("{}: is no regular file; a film is read more than once, so copy it into a file first", .0.display())]
    NotRegular(PathBuf),
    #[error("{}: is empty", .0.display())]
    Empty(PathBuf),
    #[error("{}: its name makes no title; choose one with --title", file.display())]
    Title { file: PathBuf, source: TitleError },
    #[error(
        "--title names one title, but {0} files were given; leave it out, or package them one by one"
    )]
    TitleForMany(usize),
    #[error("two files would become the title {0}; package one of them under another --title")]
    SameTitle(String),
    #[error("{program} is not in PATH; install it (Debian: apt-get install ffmpeg)")]
    NoTool { program: &'static str },
    #[error("{program} does not run: {reason}")]
    BadTool { program: &'static str, reason: String },
    #[error("{}: is no film that ffprobe can read: {reason}", file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("{}: {source}", file.display())]
    Probe { file: PathBuf, source: ProbeError },
    #[error("{}: {source}", file.display())]
    Scan { file: PathBuf, source: ScanError },
    #[error("{}: {source}", file.display())]
    Plan { file: PathBuf, source: PlanError },
    #[error("{}: changed while it was packaged; wait until it is written, then run this again", .0.display())]
    Changed(PathBuf),
    #[error("ffmpeg failed on {what} ({status}): {stderr}")]
    Ffmpeg { what: String, status: String, stderr: String },
    #[error("ffmpeg made no progress on {what} for {} s and was stopped: {stderr}", after.as_secs())]
    Stalled { what: String, after: Duration, stderr: String },
    #[error("the film was not done after {} s and was given up; --time-limit allows more", .0.as_secs())]
    TimeLimit(Duration),
    #[error("what ffmpeg wrote for {what} is not what was asked for: {source}")]
    Output { what: String, source: Mp4Error },
    #[error("{what} of {rendition} does not decode, so nothing was published: {stderr}")]
    Undecodable { rendition: String, what: String, stderr: String },
    #[error(
        "{path} changed between being written and being checked; the disk under the working directory loses data"
    )]
    Altered { path: String },
    #[error("verification failed, so nothing was published: {0}")]
    Grid(#[from] GridError),
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot use the credentials {file}: {reason}", file = file.display())]
    Credentials { file: PathBuf, reason: String },
    #[error("cannot open the target {target}: {reason}")]
    Target { target: String, reason: String },
    #[error("cannot {action} {key} in {target}; nothing was published")]
    Store { action: &'static str, key: String, target: String, source: StoreError },
    #[error("interrupted; nothing was published")]
    Interrupted,
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

impl PackageError {
    /// For `map_err` on file operations.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The message with its causes on one line. Those that a message already quotes are not
    /// said twice.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        text
    }
}
