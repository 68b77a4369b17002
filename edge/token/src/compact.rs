//! The compact form: `base64url(header).base64url(payload).base64url(signature)`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{claims::Claims, verify::Reject};

/// The longest token that is looked at, in bytes. Ours have about 300; URLs end at a few
/// thousand.
pub const MAX_TOKEN: usize = 2048;

/// An Ed25519 signature has 64 bytes.
const SIGNATURE: usize = 64;

/// The header of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The algorithm.
    pub alg: String,
    /// The key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// Extensions that must be understood; we know none (RFC 7515 §4.1.11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crit: Option<serde_json::Value>,
}

/// What a token says, whoever said it: for people who debug, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// Its header.
    pub header: Header,
    /// Its claims.
    pub claims: Claims,
}

/// Decodes a token without checking its signature.
///
/// # Errors
/// [`Reject::TooLong`] or [`Reject::Malformed`].
pub fn peek(token: &str) -> Result<Unverified, Reject> {
    let parts = Parts::of(token)?;
    Ok(Unverified { claims: parts.claims()?, header: parts.header })
}

/// A token taken apart; its payload is still closed.
pub(crate) struct Parts<'t> {
    pub(crate) header: Header,
    /// What was signed.
    pub(crate) message: &'t str,
    payload: &'t str,
    pub(crate) signature: [u8; SIGNATURE],
}

impl<'t> Parts<'t> {
    pub(crate) fn of(token: &'t str) -> Result<Self, Reject> {
        if token.len() > MAX_TOKEN {
            return Err(Reject::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Reject::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Reject::Malformed)?;
        if payload.contains('.') {
            return Err(Reject::Malformed);
        }
        let header: Header = json(header)?;
        // RFC 7515 §4.1.11: refused when an extension is not understood.
        if header.crit.is_some() {
            return Err(Reject::Malformed);
        }
        let signature = decode(signature)?.try_into().map_err(|_| Reject::Malformed);
        // An HS256 tag has another length; it is the algorithm that is wrong, not the form.
        let signature = match header.alg.as_str() {
            // RFC 8037 §3.1, and its successor's name in RFC 9864.
            "EdDSA" | "Ed25519" => signature?,
            _ => return Err(Reject::WrongAlgorithm),
        };
        Ok(Self { header, message, payload, signature })
    }

    /// The claims; worth something only when the signature was checked.
    pub(crate) fn claims(&self) -> Result<Claims, Reject> {
        json(self.payload)
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Reject> {
    serde_json::from_slice(&decode(part)?).map_err(|_| Reject::Malformed)
}

fn decode(part: &str) -> Result<Vec<u8>, Reject> {
    // No padding, no stray bits: one token has one spelling.
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reject::Malformed)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode_key(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
