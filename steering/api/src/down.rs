//! What the control plane says to nodes. Each message is signed, has a version of its kind, and
//! holds until a newer one of that kind: a node keeps the last good one on disk and needs no other
//! to go on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    VERSION,
    decode::{Bounds, Broken, Wire},
};

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The fleet, and for how long nodes may go on without hearing of it.
    Snapshot,
    /// The public keys that tokens are verified with.
    Keys,
    /// Tokens that are good no more.
    Revocations,
    /// What is to be removed from caches.
    Purges,
    /// What the operator wants of this one node.
    Intent,
}

impl Kind {
    /// In the order in which they are put into effect.
    pub const ALL: [Self; 5] =
        [Self::Keys, Self::Revocations, Self::Purges, Self::Snapshot, Self::Intent];

    /// As messages and labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Keys => "keys",
            Self::Revocations => "revocations",
            Self::Purges => "purges",
            Self::Intent => "intent",
        }
    }

    /// The other way round.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The newest version of each kind that a node has put into effect; 0 where it has none. A kind
/// that is not named is one that this node does not know: it is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Applied(pub BTreeMap<Kind, u64>);

impl Applied {
    pub(crate) fn check(&self, at: &str) -> Result<(), Broken> {
        let sound = self.0.values().all(|version| *version < 1 << 53);
        Bounds::new().hold(at, sound, "has versions below 2^53").end()
    }
}

/// What a node does with viewers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// Takes all.
    #[default]
    Serving,
    /// Ends with those it has, and takes no more.
    Draining,
    /// The same, and is expected to go away.
    Maintenance,
    /// Is not steered to, whatever it reports.
    Disabled,
}

impl Desired {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Serving, Self::Draining, Self::Maintenance, Self::Disabled];

    /// As messages and tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
            Self::Disabled => "disabled",
        }
    }

    /// The other way round.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|desired| desired.as_str() == text)
    }
}

/// What a node is about to do, or is wanted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// With viewers.
    pub state: Desired,
    /// Unix time until which maintenance lasts, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

impl Intent {
    pub(crate) fn check(&self, at: &str) -> Result<(), Broken> {
        let sound = self.until_ms.is_none() || self.state == Desired::Maintenance;
        Bounds::new().hold(at, sound, "has `until_ms` in maintenance only").end()
    }
}

/// A message as it travels and lies on disk: what was signed, letter by letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Which key.
    pub key: String,
    /// JSON of a [`Payload`].
    pub payload: String,
    /// Ed25519 (RFC 8032) over [`Signed::signed_bytes`], base64.
    pub signature: String,
}

/// A signature of ours is good for nothing else that the same key might sign.
const CONTEXT: &[u8] = b"weir down 1\n";

impl Signed {
    /// What the signature is over.
    pub fn signed_bytes(payload: &str) -> Vec<u8> {
        [CONTEXT, payload.as_bytes()].concat()
    }

    pub(crate) fn check(&self, at: &str) -> Result<(), Broken> {
        Bounds::new()
            .text(at, &self.key, 128)
            .text(at, &self.signature, 128)
            .hold(at, self.payload.len() <= Payload::MOST_BYTES, "is at most 4 MiB")
            .end()
    }
}

/// What is inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// [`crate::VERSION`]
    pub version: u32,
    /// Of its kind, from 1; a node takes no older one.
    pub number: u64,
    /// Unix time at which it was made.
    pub made_ms: u64,
    /// The one node that it is for; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Body {
    /// See [`Kind::Snapshot`].
    Snapshot {
        /// For how long after its expiry a token of a session that had begun is taken while the
        /// control plane cannot be heard.
        grace_s: u64,
        /// Every node, in the order of their names.
        nodes: Vec<Listed>,
    },
    /// See [`Kind::Keys`].
    Keys {
        /// A JSON Web Key Set (RFC 7517), public keys only.
        jwks: serde_json::Value,
    },
    /// See [`Kind::Revocations`].
    Revocations {
        /// Session, account or title, and until when the list has to name it.
        revoked: Vec<Revoked>,
    },
    /// See [`Kind::Purges`].
    Purges {
        /// Those that somebody may not have put into effect yet; oldest first.
        orders: Vec<Order>,
    },
    /// See [`Kind::Intent`].
    Intent {
        /// What is wanted.
        intent: Intent,
    },
}

impl Body {
    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Snapshot { .. } => Kind::Snapshot,
            Self::Keys { .. } => Kind::Keys,
            Self::Revocations { .. } => Kind::Revocations,
            Self::Purges { .. } => Kind::Purges,
            Self::Intent { .. } => Kind::Intent,
        }
    }
}

/// A node as others know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its name.
    pub node: String,
    /// Its site.
    pub site: String,
    /// What the operator wants of it.
    pub state: Desired,
}

/// What is good no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Of what.
    pub what: Revocable,
    /// Which.
    pub id: String,
    /// Unix time after which no token of it can be good anyway.
    pub until_ms: u64,
}

/// What a token is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Revocable {
    /// One session.
    Session,
    /// All sessions of an account.
    Account,
    /// All sessions that play a title.
    Title,
}

/// One purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its place in the order of all purges; a node that has put it into effect says so.
    pub epoch: u64,
    /// Of this service.
    pub service: String,
    /// `url`, `prefix`, `tag` or `everything`.
    pub by: String,
    /// What, where `by` needs it.
    pub what: String,
    /// Whether it may still be served while it is asked for anew.
    pub soft: bool,
}

impl Wire for Payload {
    const NAME: &'static str = "a message to nodes";
    const MOST_BYTES: usize = 4 << 20;

    fn version(&self) -> u32 {
        self.version
    }

    fn check(&self) -> Result<(), Broken> {
        let mut bounds = Bounds::new().hold(
            "/number",
            (1..1 << 53).contains(&self.number),
            "is a version from 1 to 2^53",
        );
        if let Some(node) = &self.node {
            bounds = bounds.name("/node", node);
        }
        match &self.body {
            Body::Snapshot { grace_s, nodes } => {
                bounds = bounds
                    .hold("/body/grace_s", *grace_s <= 7 * 86_400, "is at most a week")
                    .count("/body/nodes", nodes.len(), 20_000);
                for listed in nodes {
                    bounds =
                        bounds.name("/body/nodes", &listed.node).name("/body/nodes", &listed.site);
                }
            }
            Body::Keys { jwks } => {
                let keys = jwks.get("keys").and_then(serde_json::Value::as_array);
                let sound = keys.is_some_and(|keys| (1..=64).contains(&keys.len()));
                bounds = bounds.hold("/body/jwks", sound, "is a key set of 1 to 64 keys");
                let public = keys.into_iter().flatten().all(|key| key.get("d").is_none());
                bounds = bounds.hold("/body/jwks", public, "holds public keys only");
            }
            Body::Revocations { revoked } => {
                bounds = bounds.count("/body/revoked", revoked.len(), 50_000);
                for one in revoked {
                    bounds = bounds.text("/body/revoked", &one.id, 128);
                }
            }
            Body::Purges { orders } => {
                bounds = bounds.count("/body/orders", orders.len(), 10_000);
                for order in orders {
                    let by = matches!(&*order.by, "url" | "prefix" | "tag" | "everything");
                    bounds = bounds
                        .name("/body/orders", &order.service)
                        .hold("/body/orders", by, "is by url, prefix, tag or everything")
                        .text("/body/orders", &order.what, 4096);
                }
                let rising = orders.windows(2).all(|pair| pair[0].epoch < pair[1].epoch);
                bounds = bounds.hold("/body/orders", rising, "have rising epochs");
            }
            Body::Intent { intent } => intent.check("/body/intent")?,
        }
        bounds.end()
    }
}

impl Payload {
    /// One of this version of the protocol.
    pub fn new(number: u64, made_ms: u64, node: Option<String>, body: Body) -> Self {
        Self { version: VERSION, number, made_ms, node, body }
    }
}
