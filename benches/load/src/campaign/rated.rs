//! The rated load of a server on its core: the highest rate of an open loop at which everything
//! is served right and the 99th percentile of the time to the first byte holds.

use std::{sync::Arc, time::Duration};

use super::{cpu, error::CampaignError, good::Good};

/// What a player notices, and far above what a server answers in that is not full.
pub const P99_MS: f64 = 50.0;
/// Where the search begins.
const FIRST: f64 = 250.0;
/// And where it ends at the latest.
const LAST: f64 = 64_000.0;

/// What was found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rated {
    /// Requests a second.
    pub rate: f64,
    /// At that rate.
    pub p99_ms: f64,
    /// Share of its core that the server used at that rate.
    pub busy: f64,
}

/// Looks for it: doubles until it does not hold, then halves the gap. `server` is a process id.
pub async fn find(
    good: &Arc<Good>,
    server: u32,
    step: Duration,
    halvings: usize,
) -> Result<Rated, CampaignError> {
    let mut best = Rated::default();
    let mut above = LAST;
    let mut rate = FIRST;
    let mut halved = 0;
    while halved <= halvings && rate <= LAST {
        let before = cpu::of_tree(server)?;
        let seen = good.run(rate, step).await;
        let busy = (cpu::of_tree(server)? - before).as_secs_f64() / step.as_secs_f64();
        let p99_ms = seen.p99_ms();
        let holds = seen.ok == seen.due && p99_ms <= P99_MS;
        println!(
            "  {} at {rate:.0}/s: p99 {p99_ms:.1} ms, {} of {} ok, core {:.0} % busy{}",
            good.protocol(),
            seen.ok,
            seen.due,
            busy * 100.0,
            if holds { "" } else { ": too much" }
        );
        for word in &seen.words {
            println!("    {word}");
        }
        if holds {
            best = Rated { rate, p99_ms, busy };
        } else {
            above = rate;
        }
        let found_top = above < LAST;
        rate = if found_top { (best.rate + above) / 2.0 } else { rate * 2.0 };
        halved += usize::from(found_top);
    }
    if best.rate == 0.0 {
        let why = format!("{}: not even {FIRST} requests a second are served", good.protocol());
        return Err(CampaignError::Unfit(why));
    }
    Ok(best)
}
