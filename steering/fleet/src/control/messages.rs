//! What nodes are told: made when something changes, signed, kept, and sent with the answers to
//! their reports until they say that they have it.

use weir_steering_api::{
    Body, DecodeError, Intent, Kind, Payload, Signed,
    down::{Listed, Order, Revoked},
};
use weir_steering_store::Down;

use super::{Control, Denied, denied, micros, millis};

/// A message that is held for nodes.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) body: Body,
    pub(super) signed: Signed,
}

impl Message {
    /// One that was kept; none where it cannot be read any more.
    pub(super) fn of(down: &Down) -> Option<Self> {
        let signed: Signed = serde_json::from_str(&down.signed).ok()?;
        let payload: Result<Payload, DecodeError> =
            weir_steering_api::decode(signed.payload.as_bytes());
        let Payload { number, body, .. } = payload.ok()?;
        Some(Self { kind: body.kind(), number, body, signed })
    }
}

impl Control {
    /// Makes the snapshot of the fleet anew where it has changed. What fails is tried again with
    /// the next change, and at each upkeep.
    pub(super) async fn publish(&self) {
        let _one = self.making.lock().await;
        let body = {
            let state = self.state.lock();
            let nodes = state.nodes.values().map(|known| Listed {
                node: known.node.name.clone(),
                site: known.node.site.clone(),
                state: known.wanted(),
            });
            Body::Snapshot { grace_s: self.rules.grace.as_secs(), nodes: nodes.collect() }
        };
        if let Err(denied) = self.say(None, body).await {
            tracing::error!(%denied, "no new snapshot for the nodes");
        }
    }

    /// Tells all nodes the keys that tokens are verified with.
    ///
    /// # Errors
    /// They are no public keys, or cannot be signed or kept.
    pub async fn set_keys(&self, jwks: serde_json::Value) -> Result<u64, Denied> {
        let _one = self.making.lock().await;
        self.say(None, Body::Keys { jwks }).await
    }

    /// Tells all nodes what is good no more.
    ///
    /// # Errors
    /// Too many, or they cannot be signed or kept.
    pub async fn set_revocations(&self, revoked: Vec<Revoked>) -> Result<u64, Denied> {
        let _one = self.making.lock().await;
        self.say(None, Body::Revocations { revoked }).await
    }

    /// Tells all nodes what to purge.
    ///
    /// # Errors
    /// Too many, or they cannot be signed or kept.
    pub async fn set_purges(&self, orders: Vec<Order>) -> Result<u64, Denied> {
        let _one = self.making.lock().await;
        self.say(None, Body::Purges { orders }).await
    }

    /// Tells one node what is wanted of it.
    pub(super) async fn intend(&self, node: &str, intent: Intent) -> Result<u64, Denied> {
        let _one = self.making.lock().await;
        self.say(Some(node), Body::Intent { intent }).await
    }

    /// Signs and keeps a message, unless it says what the last one of its kind has said. Its number.
    async fn say(&self, node: Option<&str>, body: Body) -> Result<u64, Denied> {
        let kind = body.kind();
        let last = {
            let state = self.state.lock();
            let last = match node {
                None => state.messages.get(&kind),
                Some(node) => state.nodes.get(node).and_then(|known| known.intent.as_ref()),
            };
            last.map(|last| (last.number, last.body == body))
        };
        if let Some((number, true)) = last {
            return Ok(number);
        }
        let now_ms = self.ground.clock.unix_millis();
        // A database that was restored from a backup has forgotten numbers; nodes have not. The
        // time is past all of them.
        let number = last.map_or(1, |(number, _)| number + 1).max(now_ms);
        let payload = Payload::new(number, now_ms, node.map(str::to_owned), body.clone());
        let text = serde_json::to_string(&payload).expect("names, numbers and texts are JSON");
        let checked: Payload = self.read(text.as_bytes())?;
        let signed = self.ground.signer.sign(text).await;
        let signed = signed.map_err(|error| self.unavailable(&error))?;
        let down = Down {
            kind: kind.as_str().to_owned(),
            node: node.unwrap_or_default().to_owned(),
            number: i64::try_from(number).unwrap_or(i64::MAX),
            made_us: micros(now_ms),
            signed: serde_json::to_string(&signed).expect("texts are JSON"),
        };
        if let Err(error) = self.ground.store.put_down(&down).await {
            // The nodes are told all the same: its number is past what a restart would find.
            tracing::error!(error = %denied::chain(&error), "a message to nodes is not kept");
        }
        let message = Message { kind, number, body: checked.body, signed };
        let mut state = self.state.lock();
        match node {
            None => {
                state.messages.insert(kind, message);
            }
            Some(node) => {
                if let Some(known) = state.nodes.get_mut(node) {
                    known.intent = Some(message);
                }
            }
        }
        tracing::info!(kind = kind.as_str(), number, node, "a message to nodes");
        Ok(number)
    }

    /// The newest number of each kind that all nodes are told.
    pub fn numbers(&self) -> Vec<(Kind, u64)> {
        let state = self.state.lock();
        state.messages.values().map(|message| (message.kind, message.number)).collect()
    }

    /// What is wanted of a node, as a message has it.
    pub(super) fn intent_of(node: &weir_steering_store::Node) -> Intent {
        let state = weir_steering_api::Desired::parse(&node.state).unwrap_or_default();
        let until_ms = node.until_us.map(millis);
        let until_ms = until_ms.filter(|_| state == weir_steering_api::Desired::Maintenance);
        Intent { state, until_ms }
    }
}
