//! What happens by itself: silence is noticed, reports and events reach the store, other replicas'
//! changes are seen, what is long over is forgotten.

use std::{collections::HashMap, sync::Weak, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use weir_steering_api::{Desired, Report};
use weir_steering_store::{Observed, StoreError};

use super::{Control, Known, Wanted, denied, messages::Message, micros, millis};
use crate::member::{GONE, Member};

/// Between two looks at who is silent.
const LOOK: Duration = Duration::from_secs(1);
/// Looks for one exchange with the store.
const STORE_EVERY: u32 = 5;
/// And for one clean-up.
const PRUNE_EVERY: u32 = 3_600;
/// Tokens and certificates are remembered so long after their end, events so long at all.
const REMEMBER_MS: u64 = 90 * 86_400_000;

impl Control {
    /// Looks after the fleet as long as it is there.
    pub async fn keep(control: Weak<Self>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count: u32 = 0;
        loop {
            looks.tick().await;
            let Some(control) = control.upgrade() else { return };
            control.look();
            control.end_maintenance().await;
            if count.is_multiple_of(STORE_EVERY) {
                control.flush().await;
                match control.catch_up().await {
                    Ok(false) => {}
                    Ok(true) => control.publish().await,
                    Err(error) => {
                        tracing::error!(error = %denied::chain(&error), "the store cannot be read");
                    }
                }
            }
            if count.is_multiple_of(PRUNE_EVERY) {
                control.prune().await;
            }
            count = count.wrapping_add(1);
        }
    }

    /// Notices who is silent.
    pub fn look(&self) {
        let now = self.moment();
        let mut state = self.state.lock();
        let mut gone = Vec::new();
        for (name, known) in &mut state.nodes {
            if known.member.look(now.steady).is_some() {
                gone.push(name.clone());
            }
        }
        for name in gone {
            let detail = format!("no report for {} s", GONE.as_secs());
            let event = self.event(&name, "gone", detail);
            self.note(&mut state, event);
        }
    }

    async fn end_maintenance(&self) {
        let now_ms = self.ground.clock.unix_millis();
        let over: Vec<String> = {
            let state = self.state.lock();
            let over = state.nodes.values().filter(|known| {
                known.wanted() == Desired::Maintenance
                    && known.node.until_us.is_some_and(|until| millis(until) <= now_ms)
            });
            over.map(|known| known.node.name.clone()).collect()
        };
        for name in over {
            let wanted = Wanted { state: Desired::Serving, until_ms: None };
            if let Err(denied) = self.want(&name, wanted).await {
                tracing::error!(%denied, node = name, "its maintenance is over and cannot end");
            }
        }
    }

    /// Gives the store what it has not seen. What it does not take is kept for the next time.
    pub async fn flush(&self) {
        self.flush_events().await;
        let mut all = Vec::new();
        {
            let mut state = self.state.lock();
            for (name, known) in &mut state.nodes {
                let (Some((boot, sequence)), true) = (known.member.position(), known.fresh) else {
                    continue;
                };
                let Some(report) = known.member.report() else { continue };
                let mut report = report.clone();
                // Large, and soon sent again.
                report.inventory = None;
                known.fresh = false;
                all.push(Observed {
                    node: name.clone(),
                    boot: boot.to_string(),
                    sequence: i64::try_from(sequence).unwrap_or(i64::MAX),
                    seen_us: micros(known.member.heard_ms()),
                    report: serde_json::to_string(&report).expect("numbers and texts are JSON"),
                });
            }
        }
        if let Err(error) = self.ground.store.observe(&all).await {
            tracing::error!(error = %denied::chain(&error), "reports are not kept");
            let mut state = self.state.lock();
            for seen in all {
                if let Some(known) = state.nodes.get_mut(&seen.node) {
                    known.fresh = true;
                }
            }
        }
    }

    pub(super) async fn flush_events(&self) {
        loop {
            let Some(event) = self.state.lock().events.pop_front() else { return };
            if let Err(error) = self.ground.store.note(&event).await {
                tracing::error!(error = %denied::chain(&error), "an event is not kept");
                self.state.lock().events.push_front(event);
                return;
            }
        }
    }

    async fn prune(&self) {
        let before = micros(self.ground.clock.unix_millis().saturating_sub(REMEMBER_MS));
        let store = &self.ground.store;
        let all = async {
            store.prune_tokens(before).await?;
            store.prune_certificates(before).await?;
            store.prune_events(before).await
        };
        if let Err(error) = all.await {
            tracing::error!(error = %denied::chain(&error), "nothing is forgotten");
        }
    }

    /// What the store has of the time before this process.
    pub(super) async fn restore(&self) -> Result<(), StoreError> {
        let now = self.moment();
        // Published below, when it is known what was before.
        let _all_is_new = self.catch_up().await?;
        for seen in self.ground.store.observed().await? {
            let mut state = self.state.lock();
            let Some(known) = state.nodes.get_mut(&seen.node) else { continue };
            let (Ok(boot), Ok(sequence)) = (seen.boot.parse(), u64::try_from(seen.sequence)) else {
                continue;
            };
            let report: Option<Report> = serde_json::from_str(&seen.report).ok();
            known.member = Member::known(boot, sequence, millis(seen.seen_us), report, now);
        }
        for down in self.ground.store.down().await? {
            let Some(message) = Message::of(&down) else { continue };
            let mut state = self.state.lock();
            if down.node.is_empty() {
                state.messages.insert(message.kind, message);
            } else if let Some(known) = state.nodes.get_mut(&down.node) {
                known.intent = Some(message);
            }
        }
        self.publish().await;
        Ok(())
    }

    /// Sees what other replicas have changed; whether nodes have to be told.
    async fn catch_up(&self) -> Result<bool, StoreError> {
        let now_us = micros(self.ground.clock.unix_millis());
        let before = self.state.lock().changes;
        let nodes = self.ground.store.nodes().await?;
        let certificates = self.ground.store.certificates(now_us).await?;
        let changed = {
            let mut state = self.state.lock();
            if state.changes != before {
                return Ok(false);
            }
            let mut before = std::mem::take(&mut state.nodes);
            let mut changed = false;
            for node in nodes {
                let name = node.name.clone();
                let known = match before.remove(&name) {
                    Some(mut known) => {
                        changed |= known.node != node;
                        known.node = node;
                        known
                    }
                    None => {
                        changed = true;
                        Known::new(node, Member::default())
                    }
                };
                state.nodes.insert(name, known);
            }
            changed |= !before.is_empty();
            let all = certificates.into_iter().map(|one| (one.serial.clone(), one));
            state.certificates = all.collect::<HashMap<_, _>>();
            changed
        };
        Ok(changed)
    }
}
