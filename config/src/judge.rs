//! What this crate cannot say itself of the files that a configuration names: whether a
//! certificate fits its key, whether a key set can be used. Whoever will use them judges, while
//! the configuration is read, so that these mistakes stand in the same report as all others.

use std::path::Path;

/// Why a file is of no use, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// With the file's name: `tls/edge.pem holds no certificate`.
    pub what: String,
    /// One line.
    pub help: Option<String>,
}

/// Judges the content of files. Each of them could be opened a moment ago.
pub trait Judge {
    /// `tls.certificate.chain`
    fn chain(&self, file: &Path) -> Vec<Flaw>;

    /// `tls.certificate.key`
    fn private_key(&self, file: &Path) -> Option<Flaw>;

    /// A chain and a key that are sound alone.
    fn pair(&self, chain: &Path, key: &Path) -> Option<Flaw>;

    /// `tls.keys`; the file may be missing, and is not to be made.
    fn transport_keys(&self, file: &Path) -> Option<Flaw>;

    /// `service.token.jwks`
    fn key_set(&self, file: &Path) -> Option<Flaw>;
}

/// Takes every file as it is, for those who only want to read a configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unjudged;

impl Judge for Unjudged {
    fn chain(&self, _: &Path) -> Vec<Flaw> {
        Vec::new()
    }

    fn private_key(&self, _: &Path) -> Option<Flaw> {
        None
    }

    fn pair(&self, _: &Path, _: &Path) -> Option<Flaw> {
        None
    }

    fn transport_keys(&self, _: &Path) -> Option<Flaw> {
        None
    }

    fn key_set(&self, _: &Path) -> Option<Flaw> {
        None
    }
}
