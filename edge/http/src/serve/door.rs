//! Where clients come in: asks the gate, where there is one, and shows out who may not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quinn::Incoming;
use tokio::time::Instant;

use crate::{
    counters::{Counters, count},
    gate::{Gate, Knock, Pass, Refused, Shaking},
    limits::Limits,
    pace::Pace,
};

/// The door of one server.
#[derive(Clone)]
pub(crate) struct Door {
    gate: Option<Arc<Gate>>,
    /// The gate's time begins here.
    since: Instant,
}

/// Somebody who is in, until this is dropped.
#[derive(Default)]
pub(crate) struct Inside {
    _pass: Option<Pass>,
}

/// Somebody who shakes hands over QUIC.
#[derive(Default)]
pub(crate) struct Guest {
    pub(crate) inside: Inside,
    /// To be dropped when the handshake is over.
    pub(crate) shaking: Option<Shaking>,
}

impl Door {
    /// A door that `limit` alone bounds.
    pub(crate) fn open() -> Self {
        Self { gate: None, since: Instant::now() }
    }

    pub(crate) fn guarded(gate: Arc<Gate>, since: Instant) -> Self {
        Self { gate: Some(gate), since }
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// How long a handshake may take.
    pub(crate) fn handshake(&self, limits: &Limits) -> Duration {
        self.gate.as_ref().map_or(limits.handshake, |gate| gate.limits().handshake)
    }

    /// How slow a client may be.
    pub(crate) fn pace(&self, limits: &Limits) -> Pace {
        self.gate.as_ref().map_or(limits.pace, |gate| gate.limits().pace)
    }

    /// After how long without a request a connection is looked at again, and whether it goes.
    pub(crate) fn patience(&self, since: Instant, limits: &Limits) -> Option<Duration> {
        let is_shut = self.gate.as_ref().is_some_and(|gate| gate.is_shut());
        let idle = if is_shut { limits.idle_shut } else { limits.idle };
        let left = idle.saturating_sub(since.elapsed());
        // Sooner than that would be, in case that the gate is shut by then. Nobody is woken when it
        // shuts: there is enough to do.
        (!left.is_zero()).then(|| left.min(limits.idle_shut))
    }

    /// A connection over TCP, of `running` that the listener has.
    pub(crate) fn enter(
        &self,
        peer: SocketAddr,
        running: usize,
        limits: &Limits,
    ) -> Result<Inside, Refused> {
        match &self.gate {
            Some(gate) => {
                gate.enter(peer.ip(), self.now()).map(|pass| Inside { _pass: Some(pass) })
            }
            None if running < limits.connections => Ok(Inside::default()),
            None => Err(Refused::Connections),
        }
    }

    /// A connection of a proxy, which is still to say for whom it comes.
    pub(crate) fn anteroom(&self, proxy: SocketAddr) -> Result<Inside, Refused> {
        // Without a gate nobody has said who is trusted.
        let gate = self.gate.as_ref().ok_or(Refused::NoForwarder)?;
        gate.anteroom(proxy.ip()).map(|pass| Inside { _pass: Some(pass) })
    }

    /// It has said so.
    pub(crate) fn announced(&self, client: SocketAddr) -> Result<Inside, Refused> {
        let gate = self.gate.as_ref().ok_or(Refused::NoForwarder)?;
        gate.announced(client.ip(), self.now()).map(|pass| Inside { _pass: Some(pass) })
    }

    pub(crate) fn count(&self, why: Refused) {
        if let Some(gate) = &self.gate {
            gate.count(why);
        }
    }

    /// One over QUIC. Who may not come in has its answer when this returns.
    pub(crate) fn knock(
        &self,
        incoming: Incoming,
        running: usize,
        limits: &Limits,
        counters: &Counters,
    ) -> Option<(Incoming, Guest)> {
        let Some(gate) = &self.gate else {
            if running < limits.connections {
                return Some((incoming, Guest::default()));
            }
            count(&counters.over_limit);
            incoming.refuse();
            return None;
        };
        let proved = incoming.remote_address_validated();
        match gate.knock(incoming.remote_address().ip(), proved, self.now()) {
            Knock::In(pass, shaking) => {
                let inside = Inside { _pass: Some(pass) };
                return Some((incoming, Guest { inside, shaking: Some(shaking) }));
            }
            // Refuses only who has shown its address already, and that one is not asked again.
            Knock::Prove => drop(incoming.retry()),
            Knock::Out(why) => {
                tracing::debug!(peer = %incoming.remote_address(), why = why.as_str(), "refused");
                count(&counters.over_limit);
                // CONNECTION_REFUSED: the client goes elsewhere at once.
                incoming.refuse();
            }
        }
        None
    }
}
