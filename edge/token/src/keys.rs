//! Public keys: a JWKS document (RFC 7517).

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use serde::Deserialize;
use thiserror::Error;

use crate::compact::decode_key;

/// The most keys of a document. Two are live at a time.
pub const MAX_KEYS: usize = 64;

/// Why a JWKS document is refused as a whole: half a key set is none.
#[derive(Debug, Error)]
pub enum JwksError {
    /// Not JSON, or not of the form `{"keys": […]}`.
    #[error("this is no JWKS document: {0}")]
    Form(#[source] serde_json::Error),
    /// More than [`MAX_KEYS`].
    #[error("the JWKS document holds {0} keys; {MAX_KEYS} are the most")]
    TooMany(usize),
    /// No key of the kind that is used here.
    #[error("the JWKS document holds no Ed25519 key (\"kty\": \"OKP\", \"crv\": \"Ed25519\")")]
    Empty,
    /// A key that tokens cannot name.
    #[error("key {0} of the JWKS document has no \"kid\"")]
    NoKid(usize),
    /// Two keys of one name.
    #[error("the JWKS document holds two keys with the kid \"{0}\"")]
    DuplicateKid(String),
    /// Not 32 bytes of base64url, or no point of the curve.
    #[error("the key \"{0}\" has no usable \"x\": 32 bytes in base64url without padding")]
    BadKey(String),
    /// For another use or algorithm.
    #[error("the key \"{kid}\" is not for signatures with EdDSA: \"{field}\" is \"{value}\"")]
    WrongUse {
        /// Its id.
        kid: String,
        /// The field that says so.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A private key where only public ones belong.
    #[error("the key \"{0}\" is a private one; only public keys belong in a JWKS document")]
    Private(String),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    x: Option<String>,
    d: Option<serde::de::IgnoredAny>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
}

/// A key that tokens name by its id.
#[derive(Debug)]
pub(crate) struct PublicKey {
    pub(crate) kid: String,
    pub(crate) key: ParsedPublicKey,
}

/// Reads the Ed25519 keys of a document. Keys of other kinds are passed over (RFC 7517 §5).
pub(crate) fn parse(document: &str) -> Result<Vec<PublicKey>, JwksError> {
    let document: Document = serde_json::from_str(document).map_err(JwksError::Form)?;
    if document.keys.len() > MAX_KEYS {
        return Err(JwksError::TooMany(document.keys.len()));
    }
    let mut found: Vec<PublicKey> = Vec::new();
    for (at, jwk) in document.keys.into_iter().enumerate() {
        if jwk.kty != "OKP" || jwk.crv.as_deref() != Some("Ed25519") {
            continue;
        }
        let key = public_key(at, jwk)?;
        if found.iter().any(|other| other.kid == key.kid) {
            return Err(JwksError::DuplicateKid(key.kid));
        }
        found.push(key);
    }
    if found.is_empty() { Err(JwksError::Empty) } else { Ok(found) }
}

fn public_key(at: usize, jwk: Jwk) -> Result<PublicKey, JwksError> {
    let kid = jwk.kid.filter(|kid| !kid.is_empty()).ok_or(JwksError::NoKid(at))?;
    if jwk.d.is_some() {
        return Err(JwksError::Private(kid));
    }
    if let Some(value) = jwk.usage.filter(|usage| usage != "sig") {
        return Err(JwksError::WrongUse { kid, field: "use", value });
    }
    if let Some(value) = jwk.alg.filter(|alg| alg != "EdDSA" && alg != "Ed25519") {
        return Err(JwksError::WrongUse { kid, field: "alg", value });
    }
    let bytes = jwk.x.as_deref().and_then(decode_key);
    let key = bytes.and_then(|bytes| ParsedPublicKey::new(&ED25519, bytes).ok());
    match key {
        Some(key) => Ok(PublicKey { kid, key }),
        None => Err(JwksError::BadKey(kid)),
    }
}
