//! What is fetched for one client against what it takes: a balance of bytes. What it takes earns,
//! what is fetched for it costs, and time gives back what a client may always have. Who asks for
//! little of many cold objects, or leaves again and again, has soon nothing left, and from then on
//! nothing is fetched for it beyond what it takes.
//!
//! Pure but for a lock: the time comes from outside.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::sync::Mutex;

/// What a byte that a client takes earns, in halves of a byte: one and a half. It pays for the
/// byte itself, and for half as much that is fetched in vain.
const EARNS_HALVES: u64 = 3;
/// So often as much as at the start can be saved up.
const SAVED_MOST: u64 = 8;
/// Time gives back as much as at the start in this.
const GIVEN_BACK: Duration = Duration::from_secs(60);

/// What every account begins with; changed while accounts run.
#[derive(Debug)]
pub struct Burst(AtomicU64);

impl Burst {
    /// So many bytes.
    pub fn of(bytes: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(bytes)))
    }

    /// So many from now on.
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        signed(self.0.load(Ordering::Relaxed))
    }
}

/// One client's balance.
#[derive(Debug)]
pub struct Account {
    burst: Arc<Burst>,
    balance: Mutex<Balance>,
}

#[derive(Debug)]
struct Balance {
    /// May be less than nothing: what is under way is still counted.
    bytes: i64,
    /// Put aside for what was begun and has not come.
    reserved: i64,
    /// Up to when time has given back.
    counted: Instant,
}

impl Account {
    /// Of a client that is new at `now`.
    pub fn new(burst: Arc<Burst>, now: Instant) -> Self {
        let balance = Balance { bytes: burst.get(), reserved: 0, counted: now };
        Self { burst, balance: Mutex::new(balance) }
    }

    fn change<T>(&self, now: Instant, change: impl FnOnce(&mut Balance) -> T) -> T {
        let burst = self.burst.get();
        let mut balance = self.balance.lock();
        let passed = now.saturating_duration_since(balance.counted);
        if balance.bytes < burst {
            let share = passed.as_secs_f64() / GIVEN_BACK.as_secs_f64();
            // Fractions of a byte are lost where it is asked in quick succession.
            let given = (burst as f64 * share) as i64;
            if given > 0 {
                balance.bytes = balance.bytes.saturating_add(given).min(burst);
                balance.counted = now;
            }
        } else {
            balance.counted = now;
        }
        change(&mut balance)
    }

    /// The client took so many bytes.
    pub fn earn(&self, bytes: u64, now: Instant) {
        let most = self.burst.get().saturating_mul(signed(SAVED_MOST));
        self.change(now, |balance| {
            let more = balance.bytes.saturating_add(signed(bytes * EARNS_HALVES / 2));
            balance.bytes = more.min(most.max(balance.bytes));
        });
    }

    /// So many bytes were fetched for it.
    pub fn spend(&self, bytes: u64, now: Instant) {
        self.change(now, |balance| balance.bytes = balance.bytes.saturating_sub(signed(bytes)));
    }

    /// Whether something is left.
    pub fn is_sound(&self, now: Instant) -> bool {
        self.change(now, |balance| balance.bytes - balance.reserved > 0)
    }

    /// Puts so many bytes aside, where they are left, until what is given is dropped.
    pub fn reserve(self: &Arc<Self>, bytes: u64, now: Instant) -> Option<Reserved> {
        let bytes = signed(bytes);
        self.change(now, |balance| {
            let enough = balance.bytes - balance.reserved >= bytes;
            if enough {
                balance.reserved += bytes;
            }
            enough.then(|| Reserved { account: Arc::clone(self), bytes })
        })
    }

    /// Whether it is as good as a new one, and nothing is lost with it.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let burst = self.burst.get();
        self.change(now, |balance| balance.reserved == 0 && balance.bytes >= burst)
    }
}

/// Bytes put aside.
#[derive(Debug)]
pub struct Reserved {
    account: Arc<Account>,
    bytes: i64,
}

impl Reserved {
    /// How many.
    pub fn bytes(&self) -> u64 {
        self.bytes.unsigned_abs()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.account.balance.lock().reserved -= self.bytes;
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
