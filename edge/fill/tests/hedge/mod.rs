//! A second upstream beside a first one that takes long.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;
use weir_benches_content::Content;
use weir_edge_fill::{
    Ask, Failover,
    hedge::{Hedge, Winner},
};

use crate::script::{Origin, Reply, World, whole};

static OBJECT: Content = Content { object: 77, version: 1, size: 4000 };
/// Objects before, whose heads took this long.
const KNOWN: usize = 40;
const USUAL: Duration = Duration::from_millis(20);

/// How long the first takes once it is known, what the second does, who brings the head and when.
async fn check(slow: Duration, second: fn() -> Reply, expected: (Option<Winner>, Duration, usize)) {
    let first = Origin::new(move |index, _| {
        Ok(Reply { wait: if index < KNOWN { USUAL } else { slow }, ..whole(&OBJECT) })
    });
    let other = Origin::new(move |_, _| Ok(second()));
    let world = World::new(Arc::clone(&first));
    let winners = Arc::<Mutex<Vec<Winner>>>::default();
    let heard = Arc::clone(&winners);
    let hedge = Arc::new(Hedge::new(move |winner| heard.lock().push(winner)));
    let both = Failover::new(vec![Arc::clone(&first) as _, Arc::clone(&other) as _]).unwrap();
    let both = Arc::new(both.hedged(hedge));
    let ask = |path: &str| Ask { upstream: Arc::clone(&both) as _, ..world.ask(path) };
    for number in 0..KNOWN {
        world.read_right(&ask(&format!("/{number}")), &OBJECT).await;
    }
    assert_eq!(other.requests(), 0, "nothing took long");
    let began = Instant::now();
    world.read_right(&ask("/late"), &OBJECT).await;
    let (winner, took, asked) = expected;
    assert_eq!(winners.lock().first().copied(), winner);
    assert_eq!((other.requests(), first.requests()), (asked, KNOWN + 1));
    let off = began.elapsed().abs_diff(took);
    assert!(off < Duration::from_millis(5), "{:?} is not {took:?}", began.elapsed());
}

fn quick() -> Reply {
    Reply { wait: Duration::from_millis(10), ..whole(&OBJECT) }
}

#[tokio::test(start_paused = true)]
async fn the_first_head_wins() {
    let millis = Duration::from_millis;
    // Before the second head comes, the first one does.
    check(millis(25), quick, (Some(Winner::First), millis(25), 1)).await;
    check(millis(900), quick, (Some(Winner::Second), millis(30), 1)).await;
    // As fast as ever: nobody else is asked.
    check(millis(15), quick, (None, millis(15), 0)).await;
}

/// A second that is in trouble does not hurt: the first is waited for.
#[tokio::test(start_paused = true)]
async fn a_second_in_trouble_changes_nothing() {
    let millis = Duration::from_millis;
    let broken = || Reply { status: StatusCode::SERVICE_UNAVAILABLE, ..quick() };
    check(millis(300), broken, (Some(Winner::First), millis(300), 1)).await;
}

/// One in twenty at most, however slow the first becomes.
#[tokio::test(start_paused = true)]
async fn few_are_asked_twice() {
    // Each takes longer than all before.
    let first = Origin::new(|index, _| {
        Ok(Reply { wait: Duration::from_millis(20 + index as u64), ..whole(&OBJECT) })
    });
    let other = Origin::new(|_, _| Ok(quick()));
    let world = World::new(Arc::clone(&first));
    let both = Failover::new(vec![Arc::clone(&first) as _, Arc::clone(&other) as _]).unwrap();
    let both = Arc::new(both.hedged(Arc::new(Hedge::new(drop))));
    for number in 0..400 {
        let ask = Ask { upstream: Arc::clone(&both) as _, ..world.ask(&format!("/{number}")) };
        world.read_right(&ask, &OBJECT).await;
    }
    assert_eq!(first.requests(), 400);
    assert!((10..=20).contains(&other.requests()), "{}", other.requests());
}
