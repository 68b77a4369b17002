//! What a node's load is told by: how late its event loops are, its memory, what is under way and
//! what waits for a place.

use std::{
    fs,
    sync::{
        Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use weir_edge_http::Protocol;

use super::{
    Load,
    grade::{Grade, Grader, Pressure},
};
use crate::node::Node;

/// How often an event loop is asked whether it is on time.
const FEEL: Duration = Duration::from_millis(20);
/// Between two looks at all of it.
const EVERY: Duration = Duration::from_millis(50);
/// Times that an event loop has to be late before it counts.
const TIMES: usize = 3;
/// Looks for one at the memory, which costs a call and changes slowly.
const MEMORY_EVERY: u32 = 4;

/// How late one event loop is, at the least, each of the last few times: what a host holds up
/// once, however long, is late once. Work that has no end is late each time (as CoDel tells the two
/// apart, RFC 8289 §3).
#[derive(Debug)]
pub(super) struct Lag {
    base: Instant,
    /// Microseconds since `base` at which it is to come next; 0 while it does not run.
    due: AtomicU64,
    /// Microseconds it was late, the latest first.
    late: [AtomicU64; TIMES],
}

impl Lag {
    pub(super) fn new(base: Instant) -> Self {
        Self { base, due: AtomicU64::new(0), late: Default::default() }
    }

    /// Runs on that event loop: behind everything that was ready before it.
    pub(super) async fn feel(&self) {
        loop {
            let due = Instant::now() + FEEL;
            self.due.store(micros(due.saturating_duration_since(self.base)), Relaxed);
            sleep_until(due).await;
            let mut late = micros(due.elapsed());
            for slot in &self.late {
                late = slot.swap(late, Relaxed);
            }
        }
    }

    /// How late it is. One that is overdue comes as late as that at the least.
    pub(super) fn of(&self, now: Instant) -> Duration {
        let overdue = match self.due.load(Relaxed) {
            0 => 0,
            due => micros(now.saturating_duration_since(self.base)).saturating_sub(due),
        };
        let least = |late: &[AtomicU64]| {
            late.iter().map(|late| late.load(Relaxed)).min().unwrap_or_default()
        };
        let (all, latest) = (least(&self.late), least(&self.late[..TIMES - 1]));
        Duration::from_micros(all.max(latest.min(overdue)))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Looks at the load as long as the node is there.
pub async fn watch(node: Weak<Node>) {
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut grader, mut resident, mut until_memory) = (Grader::default(), 0, 0);
    loop {
        looks.tick().await;
        let Some(node) = node.upgrade() else { return };
        if until_memory == 0 {
            (resident, until_memory) = (resident_bytes(), MEMORY_EVERY);
        }
        until_memory -= 1;
        let pressure = pressure(&node, resident, Instant::now());
        let grade = node.load.take(pressure, &mut grader, Instant::now());
        node.gate.shut(grade >= Grade::New);
    }
}

fn pressure(node: &Node, resident: u64, now: Instant) -> Pressure {
    let load = &node.load;
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let protocols = [Protocol::H1, Protocol::H2, Protocol::H3];
    let requests = protocols.map(|protocol| node.connections.active.of(protocol)).iter().sum();
    let (waiting, places) = node.engine.queue();
    Pressure {
        lag: load.lags.iter().map(|lag| lag.of(now)).max().unwrap_or_default(),
        memory: share(resident, load.memory_budget.load(Relaxed)),
        requests: share(requests, load.requests_budget.load(Relaxed)),
        waiting: share(waiting as u64, places as u64),
    }
}

impl Load {
    /// Takes what was measured; gives what is refused from now on.
    pub fn take(&self, pressure: Pressure, grader: &mut Grader, now: Instant) -> Grade {
        let (scarce, strain) = pressure.strain();
        let (before, grade) = (self.grade(), grader.look(strain, now));
        *self.pressure.lock() = pressure;
        self.grade.store(grade as u8, Relaxed);
        if before == Grade::Calm && grade > Grade::Calm {
            self.overloads.fetch_add(1, Relaxed);
        }
        if grade != before {
            let scarce = scarce.as_str();
            tracing::info!(?grade, ?before, scarce, strain, "load: {}", grade.refuses());
        }
        grade
    }
}

/// proc_pid_status(5); 0 where it cannot be read.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib.saturating_mul(1024))
}
