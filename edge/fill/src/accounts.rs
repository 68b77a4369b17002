//! The accounts of all clients, by the network that makes one. Bounded: what is as good as new is
//! forgotten for others, and where that does not do, those who come share an account.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_config_units::Prefix;

use crate::account::{Account, Burst};

/// Locks: workers that look for different clients seldom meet.
const SHARDS: usize = 16;
/// Clients of a shard, so 16,384 of all, some 200 bytes each.
const SHARD_MOST: usize = 1024;
/// All of them.
pub const ACCOUNTS_MAX: usize = SHARDS * SHARD_MOST;

/// The accounts of a node.
#[derive(Debug)]
pub struct Accounts {
    burst: Arc<Burst>,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug)]
struct Shard {
    clients: HashMap<Prefix, Arc<Account>>,
    /// Of those for whom there is no room.
    others: Arc<Account>,
}

impl Accounts {
    /// Each client begins with so many bytes.
    pub fn new(burst: u64) -> Self {
        let burst = Burst::of(burst);
        let now = Instant::now();
        let shard = |_| {
            let others = Arc::new(Account::new(Arc::clone(&burst), now));
            Mutex::new(Shard { clients: HashMap::new(), others })
        };
        Self { shards: std::array::from_fn(shard), burst }
    }

    /// What each client may have beyond what it takes, from now on.
    pub fn set_burst(&self, bytes: u64) {
        self.burst.set(bytes);
    }

    /// The account of a client.
    pub fn of(&self, client: Prefix) -> Arc<Account> {
        let mut shard = self.shards[shard_of(&client)].lock();
        if let Some(account) = shard.clients.get(&client) {
            return Arc::clone(account);
        }
        let now = Instant::now();
        if shard.clients.len() >= SHARD_MOST {
            // One that somebody holds has something under way.
            shard.clients.retain(|_, held| Arc::strong_count(held) > 1 || !held.is_idle(now));
        }
        if shard.clients.len() >= SHARD_MOST {
            return Arc::clone(&shard.others);
        }
        let account = Arc::new(Account::new(Arc::clone(&self.burst), now));
        shard.clients.insert(client, Arc::clone(&account));
        account
    }

    /// Clients for whom nothing is fetched now beyond what they take, and clients that are known.
    pub fn spent(&self) -> (usize, usize) {
        let now = Instant::now();
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            let spent = shard.clients.values().filter(|account| !account.is_sound(now)).count();
            (spent, shard.clients.len())
        };
        let counts = self.shards.iter().map(count);
        counts.fold((0, 0), |(spent, all), (more, of)| (spent + more, all + of))
    }
}

fn shard_of(client: &Prefix) -> usize {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    // Whoever owns many addresses may crowd a shard, and shares an account with himself then.
    BuildHasherDefault::<DefaultHasher>::default().hash_one(client) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        time::Duration,
    };

    use super::*;

    fn client(number: u32) -> Prefix {
        Prefix::of(IpAddr::V4(Ipv4Addr::from_bits(number)), 32, 56)
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_bounded_and_debts_are_not_forgotten() {
        let accounts = Accounts::new(1000);
        accounts.of(client(0)).spend(5000, Instant::now());
        for number in 1..100_000 {
            drop(accounts.of(client(number)));
        }
        let (spent, all) = accounts.spent();
        assert!(spent == 1 && all <= ACCOUNTS_MAX, "{spent} of {all}");
        assert!(!accounts.of(client(0)).is_sound(Instant::now()));
        // Where all are in debt, the rest shares what is left.
        for number in 0..100_000 {
            accounts.of(client(number)).spend(5000, Instant::now());
        }
        let (spent, all) = accounts.spent();
        assert_eq!((spent, all), (ACCOUNTS_MAX, ACCOUNTS_MAX));
        assert!(!accounts.of(client(200_000)).is_sound(Instant::now()), "with those before it");
    }

    // Here and not beside `Account`, whose file is compiled again for the interleavings.
    const MIB: u64 = 1 << 20;

    fn account(now: Instant) -> (Arc<Burst>, Arc<Account>) {
        let burst = Burst::of(8 * MIB);
        (Arc::clone(&burst), Arc::new(Account::new(burst, now)))
    }

    #[test]
    fn what_is_taken_earns_and_what_is_fetched_costs() {
        let now = Instant::now();
        let (_, account) = account(now);
        account.spend(8 * MIB, now);
        assert!(!account.is_sound(now), "all is spent");
        account.earn(2, now);
        account.spend(2, now);
        assert!(account.is_sound(now), "one and a half times");
        account.spend(1, now);
        assert!(!account.is_sound(now));
        account.spend(64 * MIB, now);
        account.earn(44 * MIB, now);
        assert!(account.is_sound(now), "a debt is paid by taking");
    }

    #[test]
    fn no_more_is_saved_than_eight_times_the_start() {
        let now = Instant::now();
        let (burst, account) = account(now);
        account.earn(u64::MAX / 4, now);
        account.spend(64 * MIB - 1, now);
        assert!(account.is_sound(now));
        account.spend(1, now);
        assert!(!account.is_sound(now));
        burst.set(16 * MIB);
        account.earn(1024 * MIB, now);
        assert!(account.reserve(128 * MIB, now).is_some(), "the key is live");
        assert!(account.reserve(128 * MIB + 1, now).is_none());
    }

    #[test]
    fn time_gives_back_what_one_begins_with() {
        let start = Instant::now();
        let (_, account) = account(start);
        account.spend(16 * MIB, start);
        assert!(!account.is_sound(start + Duration::from_secs(59)));
        assert!(account.is_sound(start + Duration::from_secs(61)));
        assert!(!account.is_idle(start + Duration::from_secs(61)));
        let later = start + Duration::from_secs(3600);
        assert!(account.is_idle(later));
        account.spend(8 * MIB, later);
        assert!(!account.is_sound(later), "and no more than that");
    }

    #[test]
    fn what_is_put_aside_is_nobody_elses() {
        let now = Instant::now();
        let (_, account) = account(now);
        let held: Vec<_> = (0..8).map(|_| account.reserve(MIB, now).unwrap()).collect();
        assert!(account.reserve(1, now).is_none() && !account.is_sound(now));
        drop(held);
        assert!(account.reserve(8 * MIB, now).is_some());
    }
}
