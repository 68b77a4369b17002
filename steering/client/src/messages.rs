//! Messages of the control plane: believed when their signature holds, they are newer than the last
//! of their kind, and for this node.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use weir_steering_api::{DecodeError, Kind, Payload, PublicKey, Signed, decode};

/// Why a message is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// A key that this node was not told of.
    #[error("a message signed with key {0:?}, which this node does not know")]
    Key(String),
    /// Not what was signed.
    #[error("a message whose signature does not hold")]
    Signature,
    /// What is inside.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Not for this node.
    #[error("a message for node {0}")]
    Foreign(String),
    /// Not newer than what is in effect.
    #[error("message {got} after message {had} of its kind")]
    Old {
        /// What is in effect.
        had: u64,
        /// This one.
        got: u64,
    },
}

/// Opens a message.
pub(crate) fn open(
    signed: &Signed,
    keys: &[PublicKey],
    node: &str,
    had: &BTreeMap<Kind, u64>,
) -> Result<Payload, Doubt> {
    let Some(key) = keys.iter().find(|key| key.id == signed.key) else {
        return Err(Doubt::Key(signed.key.chars().take(64).collect()));
    };
    let (Ok(key), Ok(signature)) = (STANDARD.decode(&key.key), STANDARD.decode(&signed.signature))
    else {
        return Err(Doubt::Signature);
    };
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&Signed::signed_bytes(&signed.payload), &signature)
        .map_err(|_| Doubt::Signature)?;
    let payload: Payload = decode(signed.payload.as_bytes())?;
    if let Some(other) = payload.node.as_deref().filter(|other| *other != node) {
        return Err(Doubt::Foreign(other.to_owned()));
    }
    let had = had.get(&payload.body.kind()).copied().unwrap_or(0);
    if payload.number <= had {
        return Err(Doubt::Old { had, got: payload.number });
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use weir_steering_api::{Body, Intent};

    use super::*;

    fn signed(pair: &Ed25519KeyPair, id: &str, node: Option<&str>, number: u64) -> Signed {
        let body = Body::Intent { intent: Intent::default() };
        let payload = Payload::new(number, 1, node.map(str::to_owned), body);
        let payload = serde_json::to_string(&payload).unwrap();
        let signature = STANDARD.encode(pair.sign(&Signed::signed_bytes(&payload)));
        Signed { key: id.to_owned(), payload, signature }
    }

    #[test]
    fn what_is_believed() {
        let (pair, other) =
            (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
        let key = STANDARD.encode(pair.public_key().as_ref());
        let keys = [PublicKey { id: "a".into(), key }];
        let check = |signed: Signed, expected: Result<u64, Doubt>| {
            let had = BTreeMap::from([(Kind::Intent, 4)]);
            let opened = open(&signed, &keys, "edge-1", &had);
            assert_eq!(opened.map(|payload| payload.number), expected);
        };
        check(signed(&pair, "a", None, 5), Ok(5));
        check(signed(&pair, "a", Some("edge-1"), 5), Ok(5));
        check(signed(&pair, "a", Some("edge-2"), 5), Err(Doubt::Foreign("edge-2".into())));
        check(signed(&pair, "a", None, 4), Err(Doubt::Old { had: 4, got: 4 }));
        check(signed(&pair, "b", None, 5), Err(Doubt::Key("b".into())));
        check(signed(&other, "a", None, 5), Err(Doubt::Signature));
        let mut changed = signed(&pair, "a", None, 5);
        changed.payload = changed.payload.replace("serving", "draining");
        check(changed, Err(Doubt::Signature));
        let mut torn = signed(&pair, "a", None, 5);
        torn.signature.truncate(8);
        check(torn, Err(Doubt::Signature));
    }
}
