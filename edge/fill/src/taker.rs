//! Who takes what a fill brings: how much was handed over, how much of that its client is known to
//! have, and who is told of it, which is the client's account and the fill.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    account::Account,
    ask::{Ask, Outlet},
    demand::{Demand, Reading},
};

/// So much of what was handed over may still lie in the buffers of sockets.
const LATE: u64 = 256 << 10;
/// How soon, and how seldom at last, a client's connection is asked what has come to its host,
/// while the fill waits to hear of it.
const LOOK: Duration = Duration::from_millis(4);
const LOOK_SELDOM: Duration = Duration::from_millis(128);

#[derive(Debug)]
pub(crate) struct Taker {
    client: Option<Arc<Account>>,
    outlet: Option<Arc<dyn Outlet>>,
    /// Offset of the first byte.
    start: u64,
    /// Bytes handed over, and how many of them the client is known to have.
    handed: u64,
    taken: u64,
    /// Its part in how far a fill goes.
    reading: Option<Reading>,
    /// Until its client's connection is asked again.
    look: Duration,
}

impl Taker {
    /// For the client of an ask, from that offset on.
    pub(crate) fn new(ask: &Ask, start: u64) -> Self {
        let (client, outlet) = (ask.client.clone(), ask.outlet.clone());
        Self { client, outlet, start, handed: 0, taken: 0, reading: None, look: LOOK }
    }

    /// Takes from that fill from now on. What it wants next is to be brought for it.
    pub(crate) fn follow(&mut self, demand: &Arc<Demand>, wants: u64) {
        let reading = demand.follow(self.client.clone(), wants);
        reading.reached(0, if self.outlet.is_some() { self.taken } else { self.handed });
        self.reading = Some(reading);
    }

    /// Until its client's connection is to be asked, where the fill waits to hear of that: the
    /// client has nothing left, and more was handed to it than it is known to have.
    pub(crate) fn looks(&self) -> Option<Duration> {
        let (Some(_), Some(client)) = (&self.outlet, &self.client) else { return None };
        (self.taken < self.handed && !client.is_sound(Instant::now())).then_some(self.look)
    }

    /// Asks its client's connection what has come. What was handed over before the last wait has
    /// gone into it by now.
    pub(crate) fn look(&mut self) {
        let late = self.outlet.as_ref().and_then(|outlet| outlet.unacknowledged());
        let taken = late.map_or(0, |late| self.handed.saturating_sub(late));
        self.look = if taken > self.taken { LOOK } else { (self.look * 2).min(LOOK_SELDOM) };
        self.has(taken);
    }

    /// So many bytes are handed over, the last ones or not.
    pub(crate) fn takes(&mut self, bytes: u64, last: bool) {
        self.handed += bytes;
        if let Some(reading) = &self.reading {
            reading.took(bytes);
        }
        // What is in the buffers of sockets is not taken yet, and never is where a client leaves.
        self.has(self.handed.saturating_sub(if last { 0 } else { LATE }));
        if let (Some(reading), None) = (&self.reading, &self.outlet) {
            reading.reached(self.start + self.handed, self.handed);
        }
        if last {
            self.reading = None;
        }
    }

    /// Its client has so many bytes of what was handed over.
    fn has(&mut self, taken: u64) {
        if taken <= self.taken {
            return;
        }
        if let Some(client) = &self.client {
            client.earn(taken - self.taken, Instant::now());
        }
        self.taken = taken;
        if let Some(reading) = &self.reading {
            reading.reached(self.start + taken, taken);
        }
    }
}
