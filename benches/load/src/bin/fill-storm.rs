//! `cargo xtask bench fill-storm`: two hundred clients at once, each asking for what nobody has
//! asked for before, and how much memory the edge takes over its budget.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::task::JoinSet;
use weir_benches_content::{Content, Expected, Verdict};
use weir_benches_load::{
    Connection, Protocol,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings,
        memory::{Resident, Watch},
        program,
    },
    connection::Ask,
};
use weir_benches_testbed::Origin;

/// Half of them speak HTTP/1.1, half HTTP/2, each on a connection of its own.
const CLIENTS: usize = 200;
const BUDGET: u64 = 512 << 20;
/// Ten times the budget, and so more than ten times the RAM tier; in short, two times.
const WORKING_SET: (u64, u64) = (10 * BUDGET, 2 * BUDGET);
/// As segments and their parts have, in KiB.
const SIZES: [u64; 6] = [300, 900, 1024, 2500, 4000, 8200];
/// For one object while 200 share two cores with their origin.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("fill-storm", 2, |_| run(&options))
}

async fn run(options: &Options) -> Result<bool, CampaignError> {
    let place = Place::new(options)?;
    let origin = Origin::start().await?;
    let settings = Settings {
        memory: "512 MiB",
        // It is taken from the file system at the start; what is fetched fits either.
        disk: Some(if options.quick { "3 GiB" } else { "8 GiB" }),
        // As a configuration has that does not say: the most of the budget is the RAM tier's.
        concurrency: 64,
        deadline: "30s",
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place.path(), &settings)?;
    let idle = Resident::of(edge.id())?;
    let working_set = if options.quick { WORKING_SET.1 } else { WORKING_SET.0 };
    let mut objects = Vec::new();
    let mut bytes = 0;
    while bytes < working_set {
        let size = SIZES[objects.len() % SIZES.len()] << 10;
        let id = (options.seed << 20) + 700_000 + objects.len() as u64;
        objects.push(Content::new(id, 1, size));
        bytes += size;
    }
    let (objects, next) = (Arc::new(objects), Arc::new(AtomicUsize::new(0)));
    let watch = Watch::over(edge.id());
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let protocol = [Protocol::H1, Protocol::H2][number % 2];
        let (server, prefix) = (edge.server(protocol)?, edge.path(""));
        let (objects, next) = (Arc::clone(&objects), Arc::clone(&next));
        clients.spawn(async move {
            let mut connection =
                Connection::open(&server, protocol).await.map_err(|error| error.to_string())?;
            while let Some(content) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                let path = format!("{prefix}/{}", content.name());
                let ask = Ask { deadline: PATIENCE, ..Ask::path(path) };
                let exchange = connection.get(&ask.expect(Expected::all(content))).await;
                let right = exchange.verdict.as_ref().is_some_and(Verdict::is_clean);
                if !right || exchange.error.is_some() {
                    return Err(format!("{protocol} {}: {exchange:?}", content.name()));
                }
            }
            Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        let client = client.map_err(|error| CampaignError::Unfit(error.to_string()))?;
        client.map_err(|why| CampaignError::Unfit(format!("a client was not served: {why}")))?;
    }
    let took = begun.elapsed().as_secs_f64();
    let most = watch.end();
    let peak = Resident::of(edge.id())?.peak;
    let metrics = edge.metrics().await?;
    edge.check()?;
    edge.stop()?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (accepted, refused) =
        (metrics.sum("edge_admitted_bytes_total", ""), metrics.sum("edge_refused_bytes_total", ""));
    println!(
        "{} objects, {:.0} MiB in {took:.1} s; resident at start {:.0} MiB, at most {:.0} MiB, \
         {:.0} of them anonymous; RAM tier {:.0} MiB; disk tier accepted {:.0} MB, refused {:.0} MB",
        objects.len(),
        mib(bytes),
        mib(idle.now),
        mib(peak),
        mib(most.anonymous),
        metrics.sum("edge_cache_bytes", "tier=\"mem\"") / f64::from(1 << 20),
        accepted / 1e6,
        refused / 1e6
    );
    let mut figures = Figures::of("fill-storm");
    figures.add(
        "memory.fill_storm.rss_over_budget",
        "Peak resident memory of weir-edge / its budget (`cache.memory`, 512 MiB) while 200 \
         clients over HTTP/1.1 and HTTP/2 fetch what is not cached, ten times the budget in all, \
         with a disk tier",
        ("<= 1.15", "ratio"),
        peak as f64 / BUDGET as f64,
        1,
        Some(format!(
            "{:.0} MiB at most; {:.0} MiB at the start; {} objects in {took:.1} s, every byte \
             checked",
            mib(peak),
            mib(idle.now),
            objects.len()
        )),
    );
    figures.finish(options)
}
