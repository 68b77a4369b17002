//! Requests that are not answered from the cache hold a connection to an upstream for as long as
//! their client takes to send and to read. One client gets at most half of what the others leave, and
//! all together leave some connections to fills.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use weir_config_units::Prefix;

use super::{Load, Shed};

/// At once, of the 128 connections to an upstream (`edge/http/src/client.rs`).
pub const PASSING_MOST: usize = 96;
/// How long is waited for room.
const WAIT: Duration = Duration::from_secs(1);

/// Such requests under way, by client.
#[derive(Debug, Default)]
pub(super) struct Passing {
    held: Mutex<(usize, HashMap<Prefix, usize>)>,
    freed: Notify,
}

/// A request's place among them, until it is dropped.
#[derive(Debug)]
pub struct Passage {
    load: Arc<Load>,
    client: Prefix,
}

impl Load {
    /// A request of this client goes to an upstream by itself.
    ///
    /// # Errors
    /// Too many do, of this client or of all.
    pub async fn pass(self: &Arc<Self>, client: Prefix) -> Result<Passage, Shed> {
        let until = Instant::now() + WAIT;
        loop {
            let freed = self.passing.freed.notified();
            if self.passing.enter(client) {
                return Ok(Passage { load: Arc::clone(self), client });
            }
            if timeout_at(until, freed).await.is_err() {
                self.count(Shed::Share);
                return Err(Shed::Share);
            }
        }
    }
}

impl Passing {
    fn enter(&self, client: Prefix) -> bool {
        let (all, clients) = &mut *self.held.lock();
        let own = clients.get(&client).copied().unwrap_or_default();
        let enters = own < share(*all - own);
        if enters {
            *all += 1;
            clients.insert(client, own + 1);
        }
        enters
    }
}

/// What one client may have where others have so many.
fn share(others: usize) -> usize {
    PASSING_MOST.saturating_sub(others) / 2
}

impl Drop for Passage {
    fn drop(&mut self) {
        let passing = &self.load.passing;
        {
            let (all, clients) = &mut *passing.held.lock();
            *all -= 1;
            if let Some(own) = clients.get_mut(&self.client) {
                *own -= 1;
                if *own == 0 {
                    clients.remove(&self.client);
                }
            }
        }
        passing.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Prefix {
        Prefix::of([127, 0, 0, last].into(), 32, 64)
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_leaves_room_for_others() {
        let load = Load::new(1);
        let mut held = Vec::new();
        let mut take = async |who: u8, most: usize| {
            let before = held.len();
            while let Ok(passage) = load.pass(client(who)).await {
                held.push(passage);
            }
            assert_eq!(held.len() - before, most, "client {who}");
        };
        take(1, 48).await;
        take(2, 24).await;
        take(3, 12).await;
        take(1, 0).await;
        assert_eq!(load.refused(Shed::Share), 4);
        drop(held);
        assert!(load.passing.held.lock().1.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_comes_in() {
        let load = Load::new(1);
        let mut held = Vec::new();
        while let Ok(passage) = load.pass(client(1)).await {
            held.push(passage);
        }
        let leave = async {
            tokio::time::sleep(WAIT / 2).await;
            held.pop();
        };
        let (came, ()) = tokio::join!(load.pass(client(1)), leave);
        assert!(came.is_ok());
    }
}
