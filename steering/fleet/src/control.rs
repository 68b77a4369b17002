//! The fleet in this process: what the store knows, what nodes reported, what they are told. It
//! answers reports from memory alone; joins, renewals and orders of operators go through the store.

mod denied;
pub mod enroll;
mod messages;
mod operate;
mod reports;
mod upkeep;
mod view;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_config_lifecycle::Clock;
use weir_steering_api::{Code, Desired, Kind, Signed};
use weir_steering_store::{Certificate, Event, Node, Store, StoreError};

use crate::{
    member::{Clockwork, Member, Moment},
    signer::{Entropy, Signer},
    token::hex,
};

pub use denied::Denied;
pub use operate::Wanted;
pub use view::NodeView;

use messages::Message;

/// Events that wait for the store at most; the oldest go.
const EVENTS: usize = 10_000;

/// What operators decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long a node's certificate is good.
    pub certificate: Duration,
    /// For how long tokens of running sessions pass after their end while nobody here is heard.
    pub grace: Duration,
    /// Between two reports of a node.
    pub every: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            certificate: Duration::from_secs(7 * 86_400),
            grace: Duration::from_secs(24 * 3_600),
            every: Duration::from_millis(weir_steering_api::REPORT_EVERY_MS),
        }
    }
}

/// What [`Control`] stands on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Where it is kept.
    pub store: Store,
    /// Who signs.
    pub signer: Arc<dyn Signer>,
    /// For tokens and the names of events.
    pub entropy: Arc<dyn Entropy>,
    /// Unix time.
    pub clock: Arc<dyn Clock>,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Reports that were believed.
    pub reports: AtomicU64,
    /// Nodes that joined.
    pub joined: AtomicU64,
    /// Certificates that followed others.
    pub renewed: AtomicU64,
    /// Events.
    pub events: AtomicU64,
    /// Events that the store never got.
    pub events_lost: AtomicU64,
    refused: [AtomicU64; Code::ALL.len()],
}

impl Counted {
    /// What was refused for a reason.
    pub fn refused(&self, code: Code) -> u64 {
        self.refused[code as usize].load(Relaxed)
    }
}

/// The fleet.
#[derive(Debug)]
pub struct Control {
    ground: Ground,
    rules: Rules,
    began: Instant,
    state: Mutex<State>,
    /// One at a time makes the messages.
    making: tokio::sync::Mutex<()>,
    /// Joins that may be tried: since when, and how many.
    tries: Mutex<(Duration, f64)>,
    counted: Counted,
}

/// What is known.
#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<String, Known>,
    /// By serial number.
    certificates: HashMap<String, Certificate>,
    messages: BTreeMap<Kind, Message>,
    events: VecDeque<Event>,
    /// Counts what this process changed of nodes and certificates: what was read of the store
    /// meanwhile may lack it.
    changes: u64,
}

/// What is known of a node.
#[derive(Debug)]
struct Known {
    node: Node,
    member: Member,
    clockwork: Clockwork,
    /// What it alone is told.
    intent: Option<Message>,
    renewed: Option<Duration>,
    /// Whether the store has not seen its last report.
    fresh: bool,
}

impl Known {
    fn new(node: Node, member: Member) -> Self {
        let clockwork = Clockwork::default();
        Self { node, member, clockwork, intent: None, renewed: None, fresh: false }
    }

    fn wanted(&self) -> Desired {
        // A word that an older program does not know: better not steered to.
        Desired::parse(&self.node.state).unwrap_or(Desired::Disabled)
    }
}

impl Control {
    /// Reads what the store has, and makes the messages that nodes are to get.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(ground: Ground, rules: Rules) -> Result<Self, StoreError> {
        let control = Self {
            ground,
            rules,
            began: Instant::now(),
            state: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            tries: Mutex::new((Duration::ZERO, enroll::TRIES)),
            counted: Counted::default(),
        };
        control.restore().await?;
        Ok(control)
    }

    /// What is counted.
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Where it is kept.
    pub fn store(&self) -> &Store {
        &self.ground.store
    }

    /// Who signs.
    pub fn signer(&self) -> &Arc<dyn Signer> {
        &self.ground.signer
    }

    /// Unix time.
    pub fn unix_millis(&self) -> u64 {
        self.ground.clock.unix_millis()
    }

    fn moment(&self) -> Moment {
        Moment { steady: self.began.elapsed(), unix_ms: self.ground.clock.unix_millis() }
    }

    fn denied(&self, code: Code, detail: impl Into<String>) -> Denied {
        self.counted.refused[code as usize].fetch_add(1, Relaxed);
        Denied { code, detail: detail.into() }
    }

    fn unavailable(&self, error: &dyn std::error::Error) -> Denied {
        tracing::error!(error = %denied::chain(error), "the control plane cannot do its work");
        self.denied(Code::Unavailable, "something behind the control plane failed; ask again")
    }

    fn event(&self, node: &str, kind: &str, detail: impl Into<String>) -> Event {
        let at_us = micros(self.ground.clock.unix_millis());
        // Other replicas write events of the same moment.
        let mut tail = [0; 4];
        self.ground.entropy.fill(&mut tail);
        let count = self.counted.events.fetch_add(1, Relaxed);
        let id = format!("{at_us:016x}-{count:08x}-{}", hex(&tail));
        Event { id, node: node.to_owned(), at_us, kind: kind.to_owned(), detail: detail.into() }
    }

    /// Keeps an event until the store has it.
    fn note(&self, state: &mut State, event: Event) {
        tracing::info!(node = event.node, event = event.kind, "{}", event.detail);
        if state.events.len() == EVENTS {
            state.events.pop_front();
            self.counted.events_lost.fetch_add(1, Relaxed);
        }
        state.events.push_back(event);
    }
}

/// As the store has times.
pub(crate) fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// And back.
fn millis(us: i64) -> u64 {
    u64::try_from(us / 1_000).unwrap_or(0)
}

fn signed_size(signed: &Signed) -> usize {
    signed.payload.len() + signed.signature.len() + signed.key.len()
}

#[cfg(test)]
mod tests;
