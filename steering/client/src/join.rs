//! A node joins, and gets its next certificate. The key is made here and leaves the host never.

use rcgen::{CertificateParams, KeyPair};
use weir_edge_transport::connect::fingerprint;
use weir_steering_api::{JOIN, JoinAnswer, JoinRequest, RENEW, RenewRequest, VERSION};

use crate::{
    call::{CallError, Caller, Endpoint},
    home::{Home, HomeError, Membership},
};

/// What it takes to join.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Of the control plane: `https://host:port`.
    pub url: String,
    /// The join token.
    pub token: String,
    /// SHA-256 of the authority's certificate, DER.
    pub sha256: [u8; 32],
    /// What the node calls itself.
    pub node: String,
    /// Where it stands.
    pub site: String,
    /// Whether a membership that is there is given up for the new one.
    pub again: bool,
}

/// Why a node has not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It has already.
    #[error("{0} holds a membership already: `--again` gives it up for a new one")]
    Joined(String),
    /// No key could be made.
    #[error("no key could be made: {0}")]
    Key(String),
    /// The control plane.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It answered with an authority of another fingerprint.
    #[error("the answer names an authority of another fingerprint")]
    Foreign,
    /// The folder.
    #[error(transparent)]
    Home(#[from] HomeError),
}

/// Joins, and keeps what comes of it.
///
/// # Errors
/// Why it has not joined; the folder is as it was then.
pub async fn join(home: &Home, joining: Joining) -> Result<Membership, JoinError> {
    if home.is_joined() && !joining.again {
        return Err(JoinError::Joined(home.folder().display().to_string()));
    }
    let caller = Caller::stranger(Endpoint::parse(&joining.url)?, joining.sha256)?;
    let (key, csr) = request()?;
    let Joining { url, token, sha256, node, site, .. } = joining;
    let request = JoinRequest { version: VERSION, token, node, site, csr };
    let body = serde_json::to_vec(&request).expect("texts are JSON");
    let answer: JoinAnswer = caller.post(JOIN, body).await?;
    if fingerprint(&answer.authority) != Some(sha256) {
        return Err(JoinError::Foreign);
    }
    home.forget_messages()?;
    Ok(keep(home, &key, answer, url)?)
}

/// Gets the next certificate, with a new key.
pub(crate) async fn renew(
    home: &Home,
    caller: &Caller,
    member: &Membership,
) -> Result<Membership, JoinError> {
    let (key, csr) = request()?;
    let body = serde_json::to_vec(&RenewRequest { version: VERSION, csr });
    let answer: JoinAnswer = caller.post(RENEW, body.expect("texts are JSON")).await?;
    if answer.node != member.node {
        return Err(JoinError::Foreign);
    }
    Ok(keep(home, &key, answer, member.url.clone())?)
}

fn request() -> Result<(KeyPair, String), JoinError> {
    let made = (|| {
        let key = KeyPair::generate()?;
        let csr = CertificateParams::new(Vec::new())?.serialize_request(&key)?.pem()?;
        Ok::<_, rcgen::Error>((key, csr))
    })();
    made.map_err(|error| JoinError::Key(error.to_string()))
}

fn keep(
    home: &Home,
    key: &KeyPair,
    answer: JoinAnswer,
    url: String,
) -> Result<Membership, HomeError> {
    let JoinAnswer { node, certificate, authority, renew_ms, ends_ms, keys, .. } = answer;
    let own = format!("{}\n{}", certificate.trim_end(), key.serialize_pem());
    let member = Membership { url, node, renew_ms, ends_ms, keys };
    home.keep(&own, &authority, &member)?;
    Ok(member)
}
