//! What operators want.

use std::collections::BTreeMap;

use weir_steering_api::{Code, Desired};
use weir_steering_store::{Event, Token};

use super::{Control, Denied, NodeView, micros};

/// Labels of a node at most, and bytes of each.
const LABELS: usize = 64;
const LABEL_BYTES: usize = 128;

/// What is wanted of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// With viewers.
    pub state: Desired,
    /// Unix time at which maintenance ends by itself.
    pub until_ms: Option<u64>,
}

impl Control {
    /// All nodes, by name.
    pub fn nodes(&self) -> Vec<NodeView> {
        let now = self.moment();
        let state = self.state.lock();
        let view = |known| NodeView::of(known, &state, now);
        state.nodes.values().map(view).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn node(&self, name: &str) -> Result<NodeView, Denied> {
        let now = self.moment();
        let state = self.state.lock();
        let view = state.nodes.get(name).map(|known| NodeView::of(known, &state, now));
        drop(state);
        view.ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Denied {
        self.denied(Code::NotFound, format!("there is no node {name}: `cachectl nodes ls`"))
    }

    /// Says what is wanted of a node, to steering at once and to the node with its next report.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be kept.
    pub async fn want(&self, name: &str, wanted: Wanted) -> Result<NodeView, Denied> {
        let Wanted { state, until_ms } = wanted;
        if until_ms.is_some() && state != Desired::Maintenance {
            return Err(self.denied(Code::Malformed, "only maintenance ends by itself"));
        }
        let now_us = micros(self.ground.clock.unix_millis());
        let until_us = until_ms.map(micros);
        let changed = self.ground.store.want(name, state.as_str(), until_us, now_us).await;
        let node = changed.map_err(|error| self.unavailable(&error))?;
        let Some(node) = node else { return Err(self.missing(name)) };
        let intent = Self::intent_of(&node);
        let event = self.event(name, "wanted", state.as_str());
        {
            let mut state = self.state.lock();
            state.changes += 1;
            if let Some(known) = state.nodes.get_mut(name) {
                known.node = node;
            }
            self.note(&mut state, event);
        }
        self.intend(name, intent).await?;
        self.publish().await;
        self.node(name)
    }

    /// Changes labels of a node: a text sets one, none takes it away.
    ///
    /// # Errors
    /// There is no such node, the labels are too many or too long, or they cannot be kept.
    pub async fn label(
        &self,
        name: &str,
        changes: BTreeMap<String, Option<String>>,
    ) -> Result<NodeView, Denied> {
        let mut labels = self.node(name)?.labels;
        for (key, value) in changes {
            match value {
                Some(value) => labels.insert(key, value),
                None => labels.remove(&key),
            };
        }
        let long = |text: &String| text.len() > LABEL_BYTES || text.chars().any(char::is_control);
        if labels.len() > LABELS || labels.iter().any(|(key, value)| long(key) || long(value)) {
            let detail = format!("at most {LABELS} labels of {LABEL_BYTES} bytes, no controls");
            return Err(self.denied(Code::Malformed, detail));
        }
        let text = serde_json::to_string(&labels).expect("texts are JSON");
        let now_us = micros(self.ground.clock.unix_millis());
        let changed = self.ground.store.label(name, &text, now_us).await;
        let node = changed.map_err(|error| self.unavailable(&error))?;
        let Some(node) = node else { return Err(self.missing(name)) };
        let event = self.event(name, "labelled", text);
        {
            let mut state = self.state.lock();
            state.changes += 1;
            if let Some(known) = state.nodes.get_mut(name) {
                known.node = node;
            }
            self.note(&mut state, event);
        }
        self.node(name)
    }

    /// Takes back every certificate of a node: it is refused from now on, until it joins again
    /// with a token that names it. How many there were.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be kept.
    pub async fn revoke(&self, name: &str) -> Result<u64, Denied> {
        self.node(name)?;
        let now_us = micros(self.ground.clock.unix_millis());
        let count = self.ground.store.revoke_certificates(name, now_us).await;
        let count = count.map_err(|error| self.unavailable(&error))?;
        let event = self.event(name, "revoked", format!("{count} certificates"));
        let mut state = self.state.lock();
        state.changes += 1;
        let own = state.certificates.values_mut().filter(|one| one.node == name);
        for one in own {
            one.revoked_us.get_or_insert(now_us);
        }
        self.note(&mut state, event);
        Ok(count)
    }

    /// Forgets a node with its certificates. Its history stays.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be kept.
    pub async fn forget(&self, name: &str) -> Result<(), Denied> {
        let there = self.ground.store.forget(name).await;
        if !there.map_err(|error| self.unavailable(&error))? {
            return Err(self.missing(name));
        }
        let event = self.event(name, "forgotten", "by an operator");
        {
            let mut state = self.state.lock();
            state.changes += 1;
            state.nodes.remove(name);
            state.certificates.retain(|_, one| one.node != name);
            self.note(&mut state, event);
        }
        self.publish().await;
        Ok(())
    }

    /// What happened to a node, the newest first; also to one that is forgotten.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn history(&self, name: &str, most: u32) -> Result<Vec<Event>, Denied> {
        self.flush_events().await;
        let events = self.ground.store.events(name, most).await;
        events.map_err(|error| self.unavailable(&error))
    }

    /// All join tokens, the newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn tokens(&self) -> Result<Vec<Token>, Denied> {
        let tokens = self.ground.store.tokens().await;
        tokens.map_err(|error| self.unavailable(&error))
    }

    /// Takes a join token back.
    ///
    /// # Errors
    /// There is none of that id which was not taken back, or the store fails.
    pub async fn revoke_token(&self, id: &str) -> Result<(), Denied> {
        let now_us = micros(self.ground.clock.unix_millis());
        let done = self.ground.store.revoke_token(id, now_us).await;
        if done.map_err(|error| self.unavailable(&error))? {
            return Ok(());
        }
        Err(self.denied(Code::NotFound, format!("there is no token {id} that could be used")))
    }
}
