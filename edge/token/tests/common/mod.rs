//! Keys and tokens that the tests share.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use weir_edge_token::{Claims, SigningKey, Verifier, key_set};

/// A time to stand at, in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn key(seed: u8, kid: &str) -> SigningKey {
    SigningKey::from_seed([seed; 32], Some(kid)).expect("a good kid")
}

pub(crate) fn verifier(keys: &[&SigningKey]) -> Verifier {
    let document = key_set(keys.iter().copied()).to_string();
    Verifier::new(&document).expect("a good document")
}

pub(crate) fn claims() -> Claims {
    Claims::new("film", "/vod/sample/", NOW + 3600)
}

pub(crate) fn b64(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}
