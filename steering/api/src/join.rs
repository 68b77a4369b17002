//! How a node comes by its certificate, and by the next one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decode::{Bounds, Broken, Wire};

/// What a node says that has no certificate. Its key never leaves it: it sends a request that the
/// key has signed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// [`crate::VERSION`]
    pub version: u32,
    /// The join token, as the operator got it.
    pub token: String,
    /// What the node calls itself.
    pub node: String,
    /// Where it says it stands.
    pub site: String,
    /// PKCS #10, PEM (RFC 7468 §7).
    pub csr: String,
}

impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, node, site, .. } = self;
        f.debug_struct("JoinRequest")
            .field("version", version)
            .field("node", node)
            .field("site", site)
            .finish_non_exhaustive()
    }
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinAnswer {
    /// [`crate::VERSION`]
    pub version: u32,
    /// Its name, as the certificate has it.
    pub node: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// The authority that both sides trust from now on, PEM.
    pub authority: String,
    /// Unix time from which the next certificate is to be asked for: two thirds of its time.
    pub renew_ms: u64,
    /// Unix time at which it ends.
    pub ends_ms: u64,
    /// What messages to nodes are signed with.
    pub keys: Vec<PublicKey>,
}

/// A key that signs messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    /// What messages name it by.
    pub id: String,
    /// Ed25519, 32 bytes, base64.
    pub key: String,
}

/// What a node says whose certificate ends soon, over a connection that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// [`crate::VERSION`]
    pub version: u32,
    /// PKCS #10, PEM.
    pub csr: String,
}

/// What it gets: the same as who joins.
pub type RenewAnswer = JoinAnswer;

/// A request of any key that is taken is below 4 KiB.
const CSR_BYTES: usize = 8 << 10;

fn csr(bounds: Bounds, csr: &str) -> Bounds {
    let sound = csr.len() <= CSR_BYTES && csr.trim_start().starts_with("-----BEGIN ");
    bounds.hold("/csr", sound, "is a certificate request, PEM, of at most 8 KiB")
}

impl Wire for JoinRequest {
    const NAME: &'static str = "a request to join";
    const MOST_BYTES: usize = 16 << 10;

    fn version(&self) -> u32 {
        self.version
    }

    fn check(&self) -> Result<(), Broken> {
        let bounds = Bounds::new().name("/node", &self.node).name("/site", &self.site).text(
            "/token",
            &self.token,
            256,
        );
        csr(bounds, &self.csr).end()
    }
}

impl Wire for RenewRequest {
    const NAME: &'static str = "a request to renew";
    const MOST_BYTES: usize = 16 << 10;

    fn version(&self) -> u32 {
        self.version
    }

    fn check(&self) -> Result<(), Broken> {
        csr(Bounds::new(), &self.csr).end()
    }
}

impl Wire for JoinAnswer {
    const NAME: &'static str = "the answer to a node that joins";
    const MOST_BYTES: usize = 64 << 10;

    fn version(&self) -> u32 {
        self.version
    }

    fn check(&self) -> Result<(), Broken> {
        let pem = |text: &str| text.trim_start().starts_with("-----BEGIN CERTIFICATE-----");
        Bounds::new()
            .name("/node", &self.node)
            .hold("/certificate", pem(&self.certificate), "is a certificate, PEM")
            .hold("/authority", pem(&self.authority), "is a certificate, PEM")
            .hold("/renew_ms", self.renew_ms < self.ends_ms, "comes before the end")
            .count("/keys", self.keys.len(), 16)
            .hold("/keys", !self.keys.is_empty(), "names at least one")
            .end()
    }
}
