//! Join tokens: what a new node shows, once. What is kept of one is a hash.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::signer::Entropy;

/// What each begins with, so that it is known where it should not be.
pub const PREFIX: &str = "wjt_";
/// Bytes that nobody guesses.
const BYTES: usize = 32;

/// A token, which is shown to the operator once and not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken(String);

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({PREFIX}…)")
    }
}

impl JoinToken {
    /// A new one.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; BYTES];
        entropy.fill(&mut bytes);
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// One that somebody shows; none where it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix(PREFIX)?;
        let bytes = URL_SAFE_NO_PAD.decode(rest).ok()?;
        (bytes.len() == BYTES).then(|| Self(text.trim().to_owned()))
    }

    /// For the one who shall have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it. It has as many bits as the hash: no salt is needed.
    pub fn hash(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref())
    }
}

/// Lowercase.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _never_fails = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::SystemEntropy;

    #[test]
    fn a_token_is_read_again_and_not_shown() {
        let token = JoinToken::draw(&SystemEntropy);
        let text = format!(" {}\n", token.reveal());
        assert_eq!(JoinToken::parse(&text), Some(token.clone()));
        assert_eq!(token.hash().len(), 64);
        assert_eq!(format!("{token:?}"), "JoinToken(wjt_…)");
        assert_ne!(token, JoinToken::draw(&SystemEntropy));
    }

    #[test]
    fn what_is_none() {
        for text in ["", "wjt_", "wjt_AAAA", "abc_AAAA", "wjt_%%%", "wjt_é"] {
            assert_eq!(JoinToken::parse(text), None, "{text}");
        }
    }
}
