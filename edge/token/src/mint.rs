//! Signing keys and new tokens: for the control plane and for `cachectl`. An edge holds none.

use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    claims::Claims,
    compact::{Header, MAX_TOKEN, decode_key, encode},
    path::{PathError, canonical},
};

/// Why a private key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Not a JWK.
    #[error("this is no private key in JWK form: line {line}, column {column} is not as expected")]
    Form {
        /// Where; the text itself is not repeated, it is a secret.
        line: usize,
        /// Where.
        column: usize,
    },
    /// Not an Ed25519 key.
    #[error("this is no Ed25519 key (\"kty\": \"OKP\", \"crv\": \"Ed25519\")")]
    Kind,
    /// The public part only.
    #[error("this is a public key; minting needs the private one, with \"d\"")]
    Public,
    /// `d` or `x` is not 32 bytes, or they do not belong together.
    #[error("the key \"{0}\" is damaged: \"d\" and \"x\" do not belong together")]
    Damaged(String),
    /// A kid that cannot stand in a header.
    #[error("a kid has 1 to 128 visible ASCII characters")]
    Kid,
}

/// Why a token cannot be minted.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum MintError {
    /// No service.
    #[error("the audience is empty")]
    Audience,
    /// A prefix that no path could match.
    #[error("the prefix \"{prefix}\" opens nothing")]
    Prefix {
        /// As it was given.
        prefix: String,
        /// Why.
        #[source]
        source: PathError,
    },
    /// Nothing would ever take it.
    #[error("it would expire before it becomes valid")]
    Never,
    /// No edge would look at it.
    #[error("the token would have {0} bytes; {MAX_TOKEN} are the most")]
    TooLong(usize),
}

/// A private Ed25519 key and its id.
pub struct SigningKey {
    kid: String,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    x: Option<String>,
    d: Option<String>,
}

impl SigningKey {
    /// A key from 32 random bytes. Without a kid it is named by its thumbprint (RFC 7638).
    ///
    /// # Errors
    /// [`KeyError::Kid`].
    pub fn from_seed(seed: [u8; 32], kid: Option<&str>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .expect("every 32 bytes are an Ed25519 seed (RFC 8032 §5.1.5)");
        let kid = kid.map_or_else(|| thumbprint(pair.public_key().as_ref()), str::to_owned);
        if kid.is_empty() || kid.len() > 128 || !kid.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(KeyError::Kid);
        }
        Ok(Self { kid, seed, pair })
    }

    /// Reads a private JWK.
    ///
    /// # Errors
    /// When it is something else, or damaged. No error repeats the text.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let jwk: PrivateJwk = serde_json::from_str(text)
            .map_err(|error| KeyError::Form { line: error.line(), column: error.column() })?;
        if jwk.kty != "OKP" || jwk.crv.as_deref() != Some("Ed25519") {
            return Err(KeyError::Kind);
        }
        let damaged = || KeyError::Damaged(jwk.kid.clone().unwrap_or_default());
        let seed = decode_key(jwk.d.as_deref().ok_or(KeyError::Public)?).ok_or_else(damaged)?;
        let key = Self::from_seed(seed, jwk.kid.as_deref())?;
        match jwk.x.as_deref().map(decode_key) {
            None => Ok(key),
            Some(Some(x)) if x == *key.pair.public_key().as_ref() => Ok(key),
            Some(_) => Err(damaged()),
        }
    }

    /// Its id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public part as a JWK.
    pub fn public_jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": self.kid,
            "use": "sig",
            "alg": "EdDSA",
            "x": encode(self.pair.public_key().as_ref()),
        })
    }

    /// The whole key as a JWK: a secret, for a file of mode 0600.
    pub fn private_jwk(&self) -> Value {
        let mut jwk = self.public_jwk();
        jwk["d"] = Value::String(encode(&self.seed));
        jwk
    }

    /// A new token.
    ///
    /// # Errors
    /// When no edge could ever accept it.
    pub fn mint(&self, claims: &Claims) -> Result<String, MintError> {
        if claims.aud.is_empty() {
            return Err(MintError::Audience);
        }
        canonical(&claims.pfx)
            .map_err(|source| MintError::Prefix { prefix: claims.pfx.clone(), source })?;
        if claims.nbf.is_some_and(|from| from >= claims.exp) {
            return Err(MintError::Never);
        }
        let header = Header {
            alg: "EdDSA".to_owned(),
            kid: Some(self.kid.clone()),
            typ: Some("JWT".to_owned()),
            crit: None,
        };
        let part = |value: Vec<u8>| encode(&value);
        let header = part(serde_json::to_vec(&header).expect("strings become JSON"));
        let payload = part(serde_json::to_vec(claims).expect("strings and numbers become JSON"));
        let message = format!("{header}.{payload}");
        let signature = encode(self.pair.sign(message.as_bytes()).as_ref());
        let token = format!("{message}.{signature}");
        if token.len() > MAX_TOKEN { Err(MintError::TooLong(token.len())) } else { Ok(token) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The JWKS document of some keys: their public parts.
pub fn key_set<'k>(keys: impl IntoIterator<Item = &'k SigningKey>) -> Value {
    json!({ "keys": keys.into_iter().map(SigningKey::public_jwk).collect::<Vec<_>>() })
}

/// RFC 7638 §3, with the members of RFC 8037 §2 in lexicographic order.
fn thumbprint(public: &[u8]) -> String {
    let text = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(public));
    encode(digest(&SHA256, text.as_bytes()).as_ref())
}
