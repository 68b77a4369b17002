//! Strain and grades, and who is refused.

use std::{net::Ipv4Addr, time::Duration};

use tokio::time::Instant;
use weir_config_units::Prefix;

use super::{
    fair::share,
    grade::{Grade, Grader, Input, Pressure},
    *,
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn from_pressure_to_strain() {
    let check = |pressure: Pressure, scarce: Input, strain: f64| {
        let found = pressure.strain();
        assert_eq!(found.0, scarce, "{pressure:?}");
        assert!((found.1 - strain).abs() < 1e-6, "{pressure:?}: {}", found.1);
    };
    let calm = Pressure::default();
    check(Pressure { lag: millis(125), ..calm }, Input::Lag, 0.5);
    check(Pressure { lag: millis(625), memory: 1.0, ..calm }, Input::Lag, 2.5);
    check(Pressure { memory: 0.9, ..calm }, Input::Memory, 0.5);
    check(Pressure { memory: 1.0, lag: millis(9), ..calm }, Input::Memory, 1.0);
    check(Pressure { memory: 0.8, requests: 0.01, ..calm }, Input::Requests, 0.01);
    check(Pressure { requests: 0.75, waiting: 1.0, ..calm }, Input::Requests, 0.75);
    // However many fills wait, what is cold is not refused for it.
    check(Pressure { waiting: 50.0, ..calm }, Input::Fills, 0.75);
    let mut grader = Grader::default();
    let strain = Pressure { waiting: 50.0, ..calm }.strain().1;
    assert_eq!(grader.look(strain, Instant::now()), Grade::Ahead);
}

/// Up at once, down a step at a time and not before it has been calm for a while.
#[test]
fn grades_have_hysteresis() {
    let start = Instant::now();
    let mut grader = Grader::default();
    let mut check = |at: u64, strain: f64, expected: Grade| {
        assert_eq!(grader.look(strain, start + millis(at)), expected, "at {at}");
    };
    check(0, 0.49, Grade::Calm);
    check(50, 0.5, Grade::Ahead);
    check(100, 1.2, Grade::New);
    check(150, 0.9, Grade::New);
    check(200, 0.79, Grade::New);
    check(450, 0.79, Grade::New);
    // Not calm for long enough: it counts anew.
    check(480, 0.85, Grade::New);
    check(500, 0.1, Grade::New);
    check(790, 0.1, Grade::New);
    check(800, 0.1, Grade::Cold);
    check(1090, 0.1, Grade::Cold);
    check(1100, 0.1, Grade::Ahead);
    check(1400, 0.1, Grade::Calm);
    check(1450, 0.8, Grade::Cold);
}

#[test]
fn shares() {
    let check = |requests, clients, expected| {
        assert_eq!(share(requests, clients), expected, "{requests} of {clients}");
    };
    check(0, 0, 16);
    check(100, 1, 200);
    check(100, 100, 16);
    check(1000, 10, 200);
    check(1000, 500, 16);
}

fn client(number: u32) -> Prefix {
    Prefix::of(Ipv4Addr::from_bits(number).into(), 32, 56)
}

fn strained(load: &Load, lag: Duration) -> Grader {
    let mut grader = Grader::default();
    load.take(Pressure { lag, ..Pressure::default() }, &mut grader, Instant::now());
    grader
}

/// One client that asks for much is refused the more while others come too short; and nobody is
/// while there is enough.
#[tokio::test(start_paused = true)]
async fn one_client_does_not_starve_the_others() {
    let load = Load::new(1);
    let greedy: Vec<_> = (0..500).map(|_| load.enter(client(1)).unwrap()).collect();
    let modest: Vec<_> = (2..12).map(|number| load.enter(client(number)).unwrap()).collect();
    assert_eq!(load.clients(), 11);
    strained(&load, millis(150));
    assert_eq!(load.grade(), Grade::Ahead);
    assert_eq!(load.enter(client(1)).unwrap_err(), Shed::Share);
    // The others may have twice the mean each, and those who come new as well.
    let more: Vec<_> = (0..40).map(|_| load.enter(client(2)).unwrap()).collect();
    assert!(load.enter(client(99)).is_ok());
    assert_eq!(load.refused(Shed::Share), 1);
    drop(greedy);
    assert!(load.enter(client(1)).is_ok(), "its share is free again");
    drop((modest, more));
    assert_eq!((load.clients(), load.fetch()), (0, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn what_each_grade_refuses() {
    let load = Load::new(2);
    let check = |lag: u64, grade: Grade, fetches: bool| {
        strained(&load, millis(lag));
        assert_eq!((load.grade(), load.fetch().is_ok()), (grade, fetches), "{lag} ms");
    };
    check(0, Grade::Calm, true);
    check(150, Grade::Ahead, true);
    check(200, Grade::Cold, false);
    check(500, Grade::New, false);
    assert_eq!(load.overloads(), 1);
    assert!((load.health() - 0.0).abs() < 1e-9);
    strained(&load, millis(50));
    assert!((load.health() - 0.8).abs() < 1e-9);
    // What nobody waits for goes on when it is calm.
    load.calm().await;
}

/// An event loop that is kept busy is late, and on time again soon after.
#[tokio::test(start_paused = true)]
async fn a_busy_event_loop_is_late() {
    let load = Load::new(1);
    let feels = tokio::spawn({
        let load = Arc::clone(&load);
        async move { load.feel(0).await }
    });
    tokio::time::sleep(millis(100)).await;
    assert_eq!(load.lags[0].of(Instant::now()), Duration::ZERO);
    // A host that holds it up once, however long, is no load.
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::sleep(millis(100)).await;
    assert_eq!(load.lags[0].of(Instant::now()), Duration::ZERO);
    // The clock goes on, and nothing else: as if a task did not let go of the thread.
    for _ in 0..10 {
        tokio::time::advance(millis(220)).await;
        tokio::task::yield_now().await;
    }
    let late = load.lags[0].of(Instant::now());
    assert!(late > millis(100), "{late:?}");
    tokio::time::sleep(millis(500)).await;
    let late = load.lags[0].of(Instant::now());
    assert!(late < millis(5), "{late:?}");
    feels.abort();
}
