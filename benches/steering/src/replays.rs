//! Decisions that are written, and made again by a world that was built from what was written.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rand::{SeedableRng, rngs::SmallRng};
use weir_steering_rank::{Answer, Ranker, Record, Replay, RouteList, Routes, World, replay};

use crate::{
    Options,
    figures::{BenchError, Figures},
    fleet::{Made, changed},
};

const SNAPSHOTS: u64 = 20;
/// Decisions of each snapshot, in full and in short.
const EACH: (u64, u64) = (51_000, 1_000);

#[derive(Debug, Default)]
struct Counts {
    identical: AtomicU64,
    differing: AtomicU64,
    bytes: AtomicU64,
    control: AtomicU64,
    controls: AtomicU64,
}

pub(crate) fn measure(
    made: &Made,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), BenchError> {
    let each = if options.quick { EACH.1 } else { EACH.0 };
    // The same offers, added in another order.
    let mut list = RouteList::default();
    list.append(&made.list)?;
    let routes = Arc::new(list.build()?);
    let (counts, next) = (Counts::default(), AtomicU64::new(0));
    thread::scope(|scope| {
        let work = || -> Result<(), BenchError> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= SNAPSHOTS {
                    return Ok(());
                }
                of_snapshot(made, &routes, (options.seed + number, each), &counts)?;
            }
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|it| it.join().expect("it does not panic"))
    })?;
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (identical, differing) = (load(&counts.identical), load(&counts.differing));
    let all = identical + differing;
    figures.add(
        "replay.identical",
        "Of decisions that were written as lines and made again, byte for byte, by a world that \
         was built from the written snapshot with its nodes in another order, the share that is \
         identical",
        ("1", "share"),
        identical as f64 / all as f64,
        all,
        format!(
            "{SNAPSHOTS} snapshots, {:.0} bytes a line",
            load(&counts.bytes) as f64 / all as f64
        ),
    );
    figures.add(
        "replay.identical.control",
        "The same with one node in a hundred drained behind the log's back: lines that differ",
        ("> 0", "lines"),
        load(&counts.control) as f64,
        load(&counts.controls),
        "one line in a hundred was tried".to_owned(),
    );
    Ok(())
}

fn of_snapshot(
    made: &Made,
    routes: &Arc<Routes>,
    (number, each): (u64, u64),
    counts: &Counts,
) -> Result<(), BenchError> {
    let snapshot = changed(made, number);
    let text = serde_json::to_vec(&snapshot)?;
    let written = World::new(snapshot, made.routes.clone())?;
    let mut read: weir_steering_rank::Snapshot = serde_json::from_slice(&text)?;
    read.nodes.reverse();
    read.sites.reverse();
    let mut forged = read.clone();
    for node in forged.nodes.iter_mut().step_by(100) {
        node.intent = weir_steering_rank::Intent::Draining;
    }
    let read = World::new(read, routes.clone())?;
    let forged = World::new(forged, routes.clone())?;
    let mut random = SmallRng::seed_from_u64(number);
    let (mut ranker, mut answer) = (Ranker::default(), Answer::default());
    for at in 0..each {
        let request = made.request(&mut random);
        ranker.rank(&written, &request, &mut answer);
        let line = Record::of(&written, &request, &answer).line();
        let same = replay(&read, line.as_bytes())? == Replay::Identical;
        let count = if same { &counts.identical } else { &counts.differing };
        count.fetch_add(1, Ordering::Relaxed);
        counts.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
        if at % 100 == 0 {
            let same = replay(&forged, line.as_bytes())? == Replay::Identical;
            counts.controls.fetch_add(1, Ordering::Relaxed);
            counts.control.fetch_add(u64::from(!same), Ordering::Relaxed);
        }
    }
    Ok(())
}
