//! Runs a plan: every stream asks, checks and counts until requests or time are used up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};
use weir_benches_content::NameError;

use crate::{
    connection::{Connection, ConnectionError},
    plan::{Asks, Plan},
    report::Report,
};

/// Between two attempts to connect to a server that does not take it.
const RETRY: Duration = Duration::from_millis(100);

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A path names no content.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is nothing to ask for.
    #[error("a run needs at least one path, one connection and one stream")]
    Empty,
}

/// Runs `plan` to its end.
pub async fn run(plan: Plan) -> Result<Report, RunError> {
    if plan.paths.is_empty() || plan.connections == 0 || plan.streams == 0 {
        return Err(RunError::Empty);
    }
    // Names are checked before anything is sent.
    Asks::new(&plan, 0)?;
    let plan = Arc::new(plan);
    let left = Arc::new(AtomicU64::new(plan.requests));
    let begun = Instant::now();
    let until = begun + plan.time;
    let mut streams = JoinSet::new();
    for connection in 0..plan.connections {
        streams.spawn(drive(Arc::clone(&plan), connection as u64, Arc::clone(&left), until));
    }
    let mut report = Report::new(plan.protocol);
    while let Some(part) = streams.join_next().await {
        match part {
            Ok(part) => report.merge(part?),
            Err(error) => report.error(&error.to_string()),
        }
    }
    report.elapsed = begun.elapsed();
    Ok(report)
}

/// One connection and its streams.
async fn drive(
    plan: Arc<Plan>,
    number: u64,
    left: Arc<AtomicU64>,
    until: Instant,
) -> Result<Report, NameError> {
    let mut report = Report::new(plan.protocol);
    let mut tasks = JoinSet::new();
    let first = connect(&plan, &mut report, until).await;
    for stream in 0..plan.streams as u64 {
        let shared = first.as_ref().and_then(Connection::share);
        let asks = Asks::new(&plan, number << 20 | stream)?;
        let (plan, left) = (Arc::clone(&plan), Arc::clone(&left));
        tasks.spawn(ask_on(plan, shared, asks, left, until));
    }
    while let Some(part) = tasks.join_next().await {
        match part {
            Ok(part) => report.merge(part),
            Err(error) => report.error(&error.to_string()),
        }
    }
    Ok(report)
}

/// One stream; it opens a connection of its own where it was given none, or lost it.
async fn ask_on(
    plan: Arc<Plan>,
    mut connection: Option<Connection>,
    mut asks: Asks,
    left: Arc<AtomicU64>,
    until: Instant,
) -> Report {
    let mut report = Report::new(plan.protocol);
    let take = |left: u64| left.checked_sub(1);
    while Instant::now() < until {
        if !connection.as_ref().is_some_and(Connection::is_open) {
            connection = connect(&plan, &mut report, until).await;
        }
        let Some(open) = &mut connection else { break };
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            break;
        }
        let mut ask = asks.next();
        // The run's end cuts nothing: a response under way may finish.
        ask.deadline = plan.deadline;
        let exchange = open.get(&ask).await;
        if exchange.error.is_some() && plan.protocol == crate::Protocol::H1 {
            connection = None;
        }
        report.add(&exchange);
    }
    report
}

async fn connect(plan: &Plan, report: &mut Report, until: Instant) -> Option<Connection> {
    while Instant::now() < until {
        match Connection::open(&plan.server, plan.protocol).await {
            Ok(connection) => return Some(connection),
            Err(error @ ConnectionError::NeedsTls(_)) => {
                report.error(&error.to_string());
                return None;
            }
            Err(error) => {
                report.error(&format!("connect: {error}"));
                sleep(RETRY).await;
            }
        }
    }
    None
}
