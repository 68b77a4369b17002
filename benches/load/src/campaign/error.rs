//! Why a campaign has no figures.

use std::{io, path::PathBuf};

/// A campaign could not run, or found what no figure can stand for.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// A program is not there.
    #[error(
        "`{0}` is not beside this program: build it first with \
         `cargo build --release --workspace`"
    )]
    NotBuilt(String),
    /// A file.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A child process.
    #[error("{program} {what}; its last words:\n{words}")]
    Process {
        /// Which.
        program: String,
        /// What it did.
        what: String,
        /// The end of its log.
        words: String,
    },
    /// A tool is missing.
    #[error("cannot run `{program}`: {source}; on Debian, `apt-get install {package}`")]
    Tool {
        /// Which.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Ca(#[from] weir_benches_testbed::ca::CaError),
    /// The client's TLS.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// A connection.
    #[error(transparent)]
    Connection(#[from] crate::connection::ConnectionError),
    /// A socket.
    #[error("cannot listen or connect")]
    Socket(#[from] io::Error),
    /// Something is not as the figure supposes.
    #[error("{0}")]
    Unfit(String),
    /// The host was too busy for what the figure supposes; another time it may not be.
    #[error("{0}")]
    Disturbed(String),
    /// The scorecard.
    #[error("cannot write the scorecard: {0}")]
    Scorecard(String),
}

impl CampaignError {
    /// With all its causes.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str("\n  because: ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
