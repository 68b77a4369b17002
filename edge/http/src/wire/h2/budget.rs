//! How many frames of a kind one connection may send: some at once, some each second, and more
//! where there is a reason for them, which is what we have sent or what was asked of us.

use std::time::Duration;

use crate::wire::Flood;

/// How a budget grows.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// There at the beginning, and at most from then on.
    burst: u64,
    second: u64,
    /// One more for so many bytes that we have sent.
    bytes: Option<u64>,
    /// One more for so many requests.
    requests: Option<u64>,
}

const NEVER: Rate = Rate { burst: 0, second: 0, bytes: None, requests: None };

/// A player takes a request back when it changes the rendition or seeks: a few in a second at
/// most. A proxy in front of many players takes back a small part of what it asks.
const RESET: Rate = Rate { burst: 200, second: 20, requests: Some(4), ..NEVER };

/// Clients send one at the beginning, and seldom another when a window is to change.
const SETTINGS: Rate = Rate { burst: 32, second: 1, ..NEVER };

/// Keep-alive, the measuring of a path while bytes flow, and one beside each request that a client
/// of Go takes back.
const PING: Rate = Rate { burst: 64, second: 10, bytes: Some(64 * 1024), requests: Some(4) };

/// Old browsers build a tree of a dozen; new ones send an update or two for each request.
const PRIORITY: Rate = Rate { burst: 256, second: 10, requests: Some(1), ..NEVER };

/// The most eager client sends two for each DATA frame. Ours are 16 KiB, and the smallest
/// response is a few hundred bytes.
const WINDOW_UPDATE: Rate = Rate { burst: 1024, second: 50, bytes: Some(128), requests: Some(1) };

/// Nobody has a reason; a padded frame or a flush now and then.
const EMPTY_DATA: Rate = Rate { burst: 64, second: 1, ..NEVER };

/// A body that is typed by hand.
const SMALL_DATA: Rate = Rate { burst: 1024, second: 256, ..NEVER };

/// Types that are there to keep others tolerant, and announcements.
const UNKNOWN: Rate = Rate { burst: 128, second: 10, requests: Some(1), ..NEVER };

/// At once, and in each second.
pub(super) fn allowance(of: Flood) -> Option<(u64, u64)> {
    let rate = match of {
        Flood::Reset => RESET,
        Flood::Settings => SETTINGS,
        Flood::Ping => PING,
        Flood::Priority => PRIORITY,
        Flood::WindowUpdate => WINDOW_UPDATE,
        Flood::EmptyData => EMPTY_DATA,
        Flood::SmallData => SMALL_DATA,
        Flood::Unknown => UNKNOWN,
        Flood::Continuation | Flood::Engine => return None,
    };
    Some((rate.burst, rate.second))
}

/// What there is a reason for so far: seconds of the connection, bytes that we have sent, and
/// requests.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Earned {
    pub(super) seconds: u64,
    pub(super) bytes: u64,
    pub(super) requests: u64,
}

/// One kind's budget.
#[derive(Debug)]
pub(super) struct Budget {
    rate: Rate,
    left: u64,
    /// What was credited already.
    credited: Earned,
}

impl Budget {
    fn new(rate: Rate) -> Self {
        Self { rate, left: rate.burst, credited: Earned::default() }
    }

    /// False when there is none left.
    pub(super) fn spend(&mut self, earned: Earned) -> bool {
        if self.left == 0 {
            self.refill(earned);
        }
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    /// Only when it is empty: a frame now and then costs nobody a division. What time gives is
    /// cut to the burst; what bytes and requests give was earned.
    fn refill(&mut self, earned: Earned) {
        let (rate, credited) = (self.rate, &mut self.credited);
        let seconds = earned.seconds - credited.seconds;
        self.left = seconds.saturating_mul(rate.second).min(rate.burst);
        credited.seconds = earned.seconds;
        if let Some(each) = rate.bytes {
            let gained = (earned.bytes - credited.bytes) / each;
            self.left += gained;
            credited.bytes += gained * each;
        }
        if let Some(each) = rate.requests {
            let gained = (earned.requests - credited.requests) / each;
            self.left += gained;
            credited.requests += gained * each;
        }
    }
}

/// The budgets of one connection.
#[derive(Debug)]
pub(super) struct Budgets {
    pub(super) earned: Earned,
    pub(super) reset: Budget,
    pub(super) settings: Budget,
    pub(super) ping: Budget,
    pub(super) priority: Budget,
    pub(super) window_update: Budget,
    pub(super) empty_data: Budget,
    pub(super) small_data: Budget,
    pub(super) unknown: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            earned: Earned::default(),
            reset: Budget::new(RESET),
            settings: Budget::new(SETTINGS),
            ping: Budget::new(PING),
            priority: Budget::new(PRIORITY),
            window_update: Budget::new(WINDOW_UPDATE),
            empty_data: Budget::new(EMPTY_DATA),
            small_data: Budget::new(SMALL_DATA),
            unknown: Budget::new(UNKNOWN),
        }
    }
}

impl Budgets {
    /// The time and what we have sent; neither goes back.
    pub(super) fn at(&mut self, now: Duration, sent: u64) {
        self.earned.seconds = self.earned.seconds.max(now.as_secs());
        self.earned.bytes = self.earned.bytes.max(sent);
    }
}
