//! Whether a token opens a path, and if not, why not.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    claims::Claims,
    compact::Parts,
    keys::{self, JwksError, PublicKey},
    memo::Memo,
};

/// Why a token does not open a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Reject {
    /// Longer than [`crate::MAX_TOKEN`].
    #[error("the token is too long")]
    TooLong,
    /// Not of the compact form, or its JSON is not what it should be.
    #[error("the token is malformed")]
    Malformed,
    /// `none`, HS256 and everything else but EdDSA.
    #[error("the token is signed with another algorithm than EdDSA")]
    WrongAlgorithm,
    /// No `kid`, or one that the key set does not have.
    #[error("the token names no key of the key set")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the token's signature does not hold")]
    BadSignature,
    /// For another service.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// The path is outside of `pfx`, or could mean two things.
    #[error("the token does not open this path")]
    WrongPrefix,
}

impl Reject {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 9] = [
        Self::TooLong,
        Self::Malformed,
        Self::WrongAlgorithm,
        Self::UnknownKey,
        Self::BadSignature,
        Self::WrongAudience,
        Self::Expired,
        Self::NotYet,
        Self::WrongPrefix,
    ];

    /// The value of the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::WrongPrefix => "wrong_prefix",
        }
    }
}

/// A key set, ready to check tokens. Shared by all cores; replaced as a whole.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<PublicKey>,
    /// Tells one key set from the next: a memo forgets what another set let through.
    pub(crate) generation: u64,
}

impl Verifier {
    /// Reads a JWKS document: Ed25519 keys, each with its own kid; other kinds are passed over.
    ///
    /// # Errors
    /// When the document cannot be trusted as a whole.
    pub fn new(jwks: &str) -> Result<Self, JwksError> {
        let keys = keys::parse(jwks)?;
        let mut hasher = DefaultHasher::new();
        jwks.hash(&mut hasher);
        Ok(Self { keys, generation: hasher.finish() })
    }

    /// Ids of the keys, in the order of the document.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// Whether the token opens `path` of the service `audience` at `now` (Unix seconds). `path`
    /// is what follows the token, with or without its query. Costs a signature check, 40–60 µs.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`Reject`].
    pub fn verify(
        &self,
        token: &str,
        audience: &str,
        path: &str,
        now: u64,
    ) -> Result<Claims, Reject> {
        let claims = self.authenticate(token)?;
        claims.permit(audience, path, now)?;
        Ok(claims)
    }

    /// The same; the signature of a token that `memo` knows is not checked again.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify_memo(
        &self,
        memo: &mut Memo,
        token: &str,
        audience: &str,
        path: &str,
        now: u64,
    ) -> Result<Arc<Claims>, Reject> {
        if let Some(claims) = memo.get(self.generation, token) {
            claims.permit(audience, path, now)?;
            return Ok(Arc::clone(claims));
        }
        let claims = Arc::new(self.authenticate(token)?);
        // A token that is out of its time is not worth a place; one that is for another
        // service or path today may be right tomorrow.
        claims.timely(now)?;
        memo.insert(self.generation, token, Arc::clone(&claims), now);
        claims.permit(audience, path, now)?;
        Ok(claims)
    }

    /// Whether one of the keys signed the token. Says nothing about audience, time and path.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn authenticate(&self, token: &str) -> Result<Claims, Reject> {
        let parts = Parts::of(token)?;
        let kid = parts.header.kid.as_deref().ok_or(Reject::UnknownKey)?;
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(Reject::UnknownKey)?;
        key.key
            .verify_sig(parts.message.as_bytes(), &parts.signature)
            .map_err(|_| Reject::BadSignature)?;
        parts.claims()
    }
}
