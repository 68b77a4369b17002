//! Why something is refused: `application/problem+json` (RFC 9457) with a code that stays.

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What is wrong, for programs. The texts are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not a message, or one that breaks its bounds.
    Malformed,
    /// More bytes than such a message has.
    TooLarge,
    /// Of another version of the protocol.
    Version,
    /// No such token.
    TokenUnknown,
    /// The token's time is over.
    TokenExpired,
    /// The token was used as often as it may be.
    TokenUsed,
    /// The token was taken back.
    TokenRevoked,
    /// The token is for another site or node.
    TokenForeign,
    /// A node of that name is there already.
    NodeExists,
    /// The certificate request is of no use.
    CsrRefused,
    /// The connection shows no certificate.
    CertificateMissing,
    /// The certificate is of somebody that is not known here.
    NodeUnknown,
    /// The certificate was taken back.
    CertificateRevoked,
    /// The certificate's time is over: the node has to join anew.
    CertificateExpired,
    /// The report speaks for another node than the certificate.
    IdentityForeign,
    /// The report was here before.
    Replayed,
    /// The report is too old to act upon.
    Stale,
    /// More than one a moment.
    TooMany,
    /// The part behind this one cannot be had; asking again later makes sense.
    Unavailable,
    /// There is nothing here.
    NotFound,
    /// Not with this method.
    Method,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Malformed,
        Self::TooLarge,
        Self::Version,
        Self::TokenUnknown,
        Self::TokenExpired,
        Self::TokenUsed,
        Self::TokenRevoked,
        Self::TokenForeign,
        Self::NodeExists,
        Self::CsrRefused,
        Self::CertificateMissing,
        Self::NodeUnknown,
        Self::CertificateRevoked,
        Self::CertificateExpired,
        Self::IdentityForeign,
        Self::Replayed,
        Self::Stale,
        Self::TooMany,
        Self::Unavailable,
        Self::NotFound,
        Self::Method,
    ];

    /// As messages and labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Version => "version",
            Self::TokenUnknown => "token_unknown",
            Self::TokenExpired => "token_expired",
            Self::TokenUsed => "token_used",
            Self::TokenRevoked => "token_revoked",
            Self::TokenForeign => "token_foreign",
            Self::NodeExists => "node_exists",
            Self::CsrRefused => "csr_refused",
            Self::CertificateMissing => "certificate_missing",
            Self::NodeUnknown => "node_unknown",
            Self::CertificateRevoked => "certificate_revoked",
            Self::CertificateExpired => "certificate_expired",
            Self::IdentityForeign => "identity_foreign",
            Self::Replayed => "replayed",
            Self::Stale => "stale",
            Self::TooMany => "too_many",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
            Self::Method => "method",
        }
    }

    /// The status it travels with.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Version | Self::CsrRefused => 400,
            Self::CertificateMissing => 401,
            Self::TokenUnknown
            | Self::TokenExpired
            | Self::TokenUsed
            | Self::TokenRevoked
            | Self::TokenForeign
            | Self::NodeUnknown
            | Self::CertificateRevoked
            | Self::CertificateExpired
            | Self::IdentityForeign => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::NodeExists | Self::Replayed | Self::Stale => 409,
            Self::TooLarge => 413,
            Self::TooMany => 429,
            Self::Unavailable => 503,
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:weir:problem:` and the code (RFC 9457 §3.1.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// For programs.
    pub code: Code,
    /// For people: what, where, why, what to do.
    pub detail: String,
}

impl Problem {
    /// With words for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let kind = format!("urn:weir:problem:{}", code.as_str());
        Self { kind, status: code.status(), code, detail: detail.into() }
    }
}
