//! The seam behind which the keys are: the authority's, and the one that messages to nodes are
//! signed with. Nobody else holds them, so that they can move into a process and a user of their
//! own without a change here.

mod backup;
mod local;
mod profile;

use std::fmt;

use async_trait::async_trait;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use weir_steering_api::{PublicKey, Signed};

pub use backup::{BackupError, back_up, restore};
pub use local::{LocalSigner, OpenError};

/// What nobody can guess.
pub trait Entropy: Send + Sync + fmt::Debug + 'static {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The system's.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        SystemRandom::new().fill(bytes).expect("the system has randomness once it has started");
    }
}

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A node of that name: it may show that it is this node, and nothing else.
    Node(String),
    /// A server of the control plane that is reached by these names and addresses.
    Server(Vec<String>),
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// PKCS #10, PEM: of it only the key is taken.
    pub csr: String,
    /// For whom.
    pub subject: Subject,
    /// Unix seconds from which it is good.
    pub from_s: u64,
    /// Unix seconds at which it ends.
    pub ends_s: u64,
}

/// What is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The request is not one, its signature does not hold, or its key is of a kind not taken.
    #[error("the certificate request is of no use: {0}")]
    Csr(String),
    /// More than this signer gives to anybody.
    #[error("not signed: {0}")]
    Limit(String),
    /// The signer failed.
    #[error("the signer failed: {0}")]
    Failed(String),
}

/// Holds the keys.
#[async_trait]
pub trait Signer: Send + Sync + fmt::Debug + 'static {
    /// The authority's certificate, PEM.
    fn authority(&self) -> &str;

    /// What messages to nodes are signed with.
    fn keys(&self) -> Vec<PublicKey>;

    /// Signs a certificate.
    async fn certify(&self, issue: &Issue) -> Result<Issued, SignerError>;

    /// Signs a message to nodes.
    async fn sign(&self, payload: String) -> Result<Signed, SignerError>;
}

#[cfg(test)]
mod tests;
