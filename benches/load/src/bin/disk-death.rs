//! `cargo xtask bench disk-death`: four disks die one after another under load, and one is
//! filled by somebody else. Nobody may notice.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{task::JoinHandle, time::sleep};
use weir_benches_content::Content;
use weir_benches_load::{
    Plan, Protocol, Report,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings,
        admin::Operator,
        loops::{self, Loop},
        program,
    },
    run,
};
use weir_benches_testbed::Origin;

const DISKS: usize = 4;
/// XFS wants 300; the store has 256 of it.
const DISK_MIB: u64 = 400;
const STORE: &str = "256 MiB";
/// Together a little less than the disks hold, and ten times the RAM tier.
const OBJECTS: u64 = 400;
const SIZE: u64 = (1 << 20) + 500_000;
/// Before the first disk dies, and after each; in full and in short.
const WARM: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(4));
const AFTER: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(2));
/// A disk that is not offline by then is not going to be.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(why) = loops::enter() {
        return program::skipped("disk-death", &why);
    }
    program::run("disk-death", 2, |_| campaign(&options))
}

async fn campaign(options: &Options) -> Result<bool, CampaignError> {
    let place = Place::new(options)?;
    let origin = Origin::start().await?;
    let death = death(options, &place.path().join("death"), &origin).await?;
    let full = full(options, &place.path().join("full"), &origin).await?;
    let mut figures = Figures::of("disk-death");
    let slowest = death.offline.iter().copied().fold(0.0, f64::max);
    let trials = death.offline.len() as u64;
    figures.add(
        "disk.death.offline_s",
        "From the moment a disk dies under load (four XFS on loop devices, each cut off in turn) \
         until the edge's admin API says it is offline: the slowest of them",
        ("< 1", "s"),
        slowest,
        trials,
        Some(format!("each: {:.3?} s", death.offline)),
    );
    figures.add(
        "disk.death.failed_requests",
        "Requests that failed, were cut or had a wrong byte while four disks died one after \
         another, and after a restart with all of them dead",
        ("0", "requests"),
        death.failed as f64,
        death.requests,
        Some(format!(
            "{} of {} hit before, {} of {} after",
            death.hits.0, death.hits.1, death.hits.2, death.hits.3
        )),
    );
    figures.add(
        "disk.full.failed_requests",
        "Requests that failed, were cut or had a wrong byte while a foreign file took all the \
         room on the file systems of the cache",
        ("0", "requests"),
        full.failed as f64,
        full.requests,
        Some(format!(
            "no control: the room of the stores is taken at their start, and there is no way to \
             run them without it; at the end they said {}",
            full.said
        )),
    );
    figures.finish(options)
}

#[derive(Debug, Default)]
struct Outcome {
    /// States of the disks at the end.
    said: String,
    offline: Vec<f64>,
    failed: u64,
    requests: u64,
    /// Hits and requests with all disks, and with none.
    hits: (u64, u64, u64, u64),
}

impl Outcome {
    fn add(&mut self, report: &Report) {
        let good: u64 = [200, 206].iter().filter_map(|status| report.statuses.get(status)).sum();
        let bad = (report.requests - good).max(report.error_count());
        self.failed += bad + report.wrong.total();
        self.requests += report.requests;
        if bad > 0 || !report.wrong.is_clean() {
            println!("  {:?} {:?} {}", report.statuses, report.errors, report.wrong);
        }
    }
}

async fn death(options: &Options, place: &Path, origin: &Origin) -> Result<Outcome, CampaignError> {
    let disks = mounted(place)?;
    let mut edge = Edge::start(place, &settings(origin))?;
    let operator = edge.operator();
    let pick = |of: (Duration, Duration)| if options.quick { of.1 } else { of.0 };
    let mut outcome = Outcome::default();
    let warm = load(&edge, options.seed, pick(WARM)).await?;
    outcome.add(&finished(warm).await?);
    let before = finished(load(&edge, options.seed + 1, pick(AFTER)).await?).await?;
    outcome.add(&before);
    for (number, disk) in disks.iter().enumerate() {
        let seed = options.seed + 2 + number as u64;
        let running = load(&edge, seed, pick(AFTER) + Duration::from_secs(1)).await?;
        sleep(Duration::from_millis(500)).await;
        let died = Instant::now();
        disk.die()?;
        let offline = until_offline(&operator, number).await?;
        outcome.offline.push((offline - died).as_secs_f64());
        println!("disk {number}: offline after {:?}", offline - died);
        outcome.add(&finished(running).await?);
        edge.check()?;
    }
    // What was dead stays so, and nothing else changes.
    edge.kill()?;
    edge.start_again()?;
    edge.wait()?;
    let states = states(&operator).await?;
    if states.iter().any(|(state, _)| state != "offline") {
        return Err(CampaignError::Unfit(format!("dead disks came back: {states:?}")));
    }
    let after = finished(load(&edge, options.seed + 9, pick(AFTER)).await?).await?;
    outcome.add(&after);
    outcome.hits = (before.hits, before.requests, after.hits, after.requests);
    edge.stop()?;
    Ok(outcome)
}

async fn full(options: &Options, place: &Path, origin: &Origin) -> Result<Outcome, CampaignError> {
    let disks = mounted(place)?;
    let mut edge = Edge::start(place, &settings(origin))?;
    let operator = edge.operator();
    let mut outcome = Outcome::default();
    let time = if options.quick { AFTER.1 } else { WARM.0 };
    // Some of what is asked for is there before the room is gone, and some comes after.
    let some = load(&edge, options.seed, AFTER.1).await?;
    outcome.add(&finished(some).await?);
    let running = load(&edge, options.seed + 1, time * 2).await?;
    for disk in &disks {
        disk.crowd()?;
    }
    outcome.add(&finished(running).await?);
    edge.check()?;
    let states = states(&operator).await?;
    outcome.said = states.iter().map(|(state, _)| &**state).collect::<Vec<_>>().join(", ");
    println!("disks with no room left: {states:?}");
    edge.stop()?;
    Ok(outcome)
}

fn mounted(place: &Path) -> Result<Vec<Loop>, CampaignError> {
    let cache = place.join("edge/cache");
    (0..DISKS)
        .map(|number| Loop::mount(place, &cache.join(format!("disk{number}")), number, DISK_MIB))
        .collect()
}

fn settings(origin: &Origin) -> Settings {
    Settings {
        memory: "128 MiB",
        disk: Some(STORE),
        disks: DISKS,
        concurrency: 32,
        deadline: "5s",
        ..Settings::new(origin.url())
    }
}

/// Starts clients that go on for so long, and check every byte.
async fn load(
    edge: &Edge,
    seed: u64,
    time: Duration,
) -> Result<JoinHandle<Result<Report, run::RunError>>, CampaignError> {
    let names = (0..OBJECTS).map(|number| Content::new(0xd15c + number, 1, SIZE).name());
    let plan = Plan {
        server: edge.server(Protocol::H2)?,
        protocol: Protocol::H2,
        connections: 4,
        streams: 4,
        paths: names.map(|name| edge.path(&format!("/{name}"))).collect(),
        ranges: 0.3,
        requests: u64::MAX,
        time,
        deadline: Duration::from_secs(20),
        versions: (1, 1),
        seed,
        headers: Vec::new(),
    };
    Ok(tokio::spawn(run::run(plan)))
}

async fn finished(
    load: JoinHandle<Result<Report, run::RunError>>,
) -> Result<Report, CampaignError> {
    let unfit = |why: String| CampaignError::Unfit(format!("the clients fell over: {why}"));
    load.await.map_err(|error| unfit(error.to_string()))?.map_err(|error| unfit(error.to_string()))
}

/// State and reason of each disk.
async fn states(operator: &Operator) -> Result<Vec<(String, String)>, CampaignError> {
    let answer = operator.get("/v1/disks").await?;
    let disks = answer["disks"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(disks.iter().map(|disk| (text(&disk["state"]), text(&disk["what"]))).collect())
}

/// When the edge first says that this disk is offline.
async fn until_offline(operator: &Operator, number: usize) -> Result<Instant, CampaignError> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let states = states(operator).await?;
        if let Some((state, what)) = states.get(number)
            && state == "offline"
        {
            println!("disk {number}: {what}");
            return Ok(Instant::now());
        }
        sleep(LOOK).await;
    }
    Err(CampaignError::Unfit(format!(
        "disk {number} is dead and not offline after {PATIENCE:?}: {:?}",
        states(operator).await?
    )))
}
