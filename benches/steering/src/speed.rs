//! Decisions a second of one core, by the CPU time of the thread that makes them.

use std::hint::black_box;

use rand::{SeedableRng, rngs::SmallRng};
use rustix::time::{ClockId, clock_gettime};
use weir_steering_rank::{Answer, Ranker, Request};

use crate::{
    Options,
    figures::{BenchError, Figures},
    fleet::Made,
};

const ROUNDS: (usize, usize) = (7, 2);
const REQUESTS: usize = 200_000;

/// CPU seconds of this thread.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

pub(crate) fn measure(
    made: &Made,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), BenchError> {
    let mut random = SmallRng::seed_from_u64(options.seed + 1);
    let requests: Vec<Request> = (0..REQUESTS).map(|_| made.request(&mut random)).collect();
    let (mut ranker, mut answer) = (Ranker::default(), Answer::default());
    let rounds = if options.quick { ROUNDS.1 } else { ROUNDS.0 };
    let mut rates = Vec::new();
    let (mut judged, mut servers, mut prefixes, mut sites) = (0, 0, 0, 0);
    for round in 0..=rounds {
        let begun = cpu();
        for request in &requests {
            ranker.rank(&made.world, request, &mut answer);
            black_box(&answer);
            if round == 0 {
                judged += answer.judged.len();
                servers += answer.servers.len();
                sites += answer.near.len();
                prefixes += usize::from(answer.prefix.is_some());
            }
        }
        let took = cpu() - begun;
        // The first one warms the caches and counts.
        if round > 0 {
            rates.push(REQUESTS as f64 / took);
        }
    }
    rates.sort_by(f64::total_cmp);
    let each = |count: usize| count as f64 / REQUESTS as f64;
    figures.add(
        "rank.decisions_per_core_s",
        "Decisions a CPU second of one thread, with the reason of every candidate of the ten \
         nearest sites, for 1,000 nodes in 100 sites and 1,000,000 prefixes; each node says what \
         it holds; the median",
        (">= 100000", "decisions/s"),
        rates[rates.len() / 2],
        rates.len() as u64,
        format!(
            "{REQUESTS} different requests a round; of each {:.1} sites and {:.0} candidates \
             judged, {:.2} servers; {:.0} % lie in a prefix; worst round {:.0}",
            each(sites),
            each(judged),
            each(servers),
            each(prefixes) * 100.0,
            rates[0]
        ),
    );
    Ok(())
}
