//! `cargo xtask bench abuse`: good clients at half of what the edge can serve on one core, and
//! beside them one attack after the other. The good ones shall not notice.

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use weir_benches_content::Content;
use weir_benches_load::{
    Protocol,
    attack::{self, Attack, Raid, Tally, Target},
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings,
        figures::median,
        good::{Good, Seen},
        memory::{Resident, Watch},
        program,
        rated::{self, Rated},
    },
    tls,
};
use weir_benches_testbed::Origin;

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// Good clients ask for these, which are in memory.
const OBJECTS: u64 = 64;
const SIZE: u64 = 16 << 10;
/// What attacks ask for that want much.
const LARGE: u64 = 8 << 20;
const ROUNDS: (usize, usize) = (3, 1);
/// In the short form a window is so much of the full one, at most this long, and so many of an
/// attack's connections come.
const SHORT: Duration = Duration::from_secs(1);
const SHORT_SHARE: f64 = 0.1;
/// Each protocol has a third of half of what it could have alone.
const PART: f64 = 0.5 / 3.0;
/// Between two windows, for what an attack left to go.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(300));

/// One attack after the other, beside good clients.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Only this attack, such as rapid_reset; nothing goes to the scorecard.
    #[arg(long)]
    only: Option<Attack>,
    /// Do not look for the rated load: this many requests a second over each protocol.
    #[arg(long)]
    rate: Option<f64>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    arguments.options.no_record |= arguments.only.is_some() || arguments.rate.is_some();
    // Everything but the server, which says its own core.
    attack::pin(CLIENT_CORE);
    program::run("abuse", 1, |_| run(arguments))
}

/// The edge and who asks it.
struct World {
    edge: Edge,
    good: Vec<Arc<Good>>,
    rates: Vec<f64>,
    target: Arc<Target>,
    /// A core for attackers alone, where there is one.
    raiders: Option<usize>,
}

async fn run(arguments: Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let place = Place::new(options)?;
    let origin = Origin::start().await?;
    let settings = Settings {
        workers: 1,
        core: Some(SERVER_CORE),
        disk: None,
        extra: "[[service]]\nid = \"site\"\npath_prefix = \"/\"\npreset = \"proxy\"\n\
                upstreams = [\"origin\"]\n"
            .into(),
        ..Settings::new(origin.url())
    };
    let edge = Edge::start(place.path(), &settings)?;
    let objects: Vec<(String, Content)> = (1..=OBJECTS)
        .map(|id| Content::new(id, 1, SIZE))
        .map(|content| (edge.path(&format!("/{}", content.name())), content))
        .collect();
    let mut good = Vec::new();
    for protocol in Protocol::ALL {
        good.push(Arc::new(Good::new(edge.server(protocol)?, protocol, objects.clone())));
    }
    let large = Content::new(0x1a46e, 1, LARGE);
    let target = Arc::new(Target {
        h1: edge.server(Protocol::H1)?,
        h2: edge.server(Protocol::H2)?,
        h3: tls::small_hello(&edge.certificates().ca)?,
        small: objects[0].0.clone(),
        large: edge.path(&format!("/{}", large.name())),
        sink: "/sink".to_owned(),
    });
    let raiders = (cores > 2).then_some(2);
    let mut world = World { edge, good, rates: Vec::new(), target, raiders };
    world.warm(&objects, large).await?;
    let rated = world.rate(&arguments).await?;

    let mut figures = Figures::of("abuse");
    let rounds = if options.quick { ROUNDS.1 } else { ROUNDS.0 };
    for attack in Attack::ALL {
        if arguments.only.is_some_and(|only| only != attack) {
            continue;
        }
        let mut outcome = Outcome::default();
        for round in 0..rounds {
            world.round(attack, round, options.quick, &mut outcome).await?;
        }
        world.edge.check()?;
        outcome.figures(attack, rounds as u64, cores, &mut figures);
    }
    if arguments.only.is_none() && arguments.rate.is_none() {
        rated_figures(&rated, cores, &mut figures);
    }
    world.edge.stop()?;
    figures.finish(options)
}

impl World {
    /// Everything is in memory and right.
    async fn warm(
        &self,
        objects: &[(String, Content)],
        large: Content,
    ) -> Result<(), CampaignError> {
        let all = [(self.target.large.clone(), large)].into_iter().chain(objects.iter().cloned());
        let server = self.edge.server(Protocol::H1)?;
        let clients = Arc::new(Good::new(server, Protocol::H1, all.collect()));
        let seen = clients.run(100.0, Duration::from_secs(2)).await;
        if seen.ok != seen.due {
            return Err(CampaignError::Unfit(format!("cannot warm: {:?}", seen.words)));
        }
        Ok(())
    }

    async fn rate(&mut self, arguments: &Arguments) -> Result<Vec<Rated>, CampaignError> {
        let quick = arguments.options.quick;
        let (step, halvings) =
            if quick { (Duration::from_millis(400), 0) } else { (Duration::from_secs(2), 4) };
        let mut all = Vec::new();
        for good in &self.good {
            let rated = match arguments.rate {
                Some(rate) => Rated { rate, ..Rated::default() },
                None => rated::find(good, self.edge.id(), step, halvings).await?,
            };
            println!(
                "rated over {}: {:.0}/s, core {:.0} % busy",
                good.protocol(),
                rated.rate,
                rated.busy * 100.0
            );
            self.rates.push(rated.rate * PART);
            all.push(rated);
        }
        Ok(all)
    }

    /// All good clients together, for a while.
    async fn window(&self, time: Duration) -> Vec<Seen> {
        let runs = self.good.iter().zip(&self.rates).map(|(good, rate)| {
            let (good, rate) = (Arc::clone(good), *rate);
            tokio::spawn(async move { good.run(rate, time).await })
        });
        let mut all = Vec::new();
        for run in runs.collect::<Vec<_>>() {
            all.push(run.await.unwrap_or_default());
        }
        all
    }

    /// A window without the attack, and one with it.
    async fn round(
        &mut self,
        attack: Attack,
        round: usize,
        quick: bool,
        outcome: &mut Outcome,
    ) -> Result<(), CampaignError> {
        let time = if quick { attack.window().min(SHORT) } else { attack.window() };
        let share = if quick { SHORT_SHARE } else { 1.0 };
        let calm = self.window(time).await;
        let before = Resident::of(self.edge.id())?;
        let watch = Watch::over(self.edge.id());
        let raid = Raid::begin(attack, Arc::clone(&self.target), share, self.raiders);
        let stormy = self.window(time).await;
        let tally = raid.end();
        let most = watch.end();
        let grown = most.now.saturating_sub(before.now) as f64 / 1e6;
        for (calm, stormy) in calm.iter().zip(&stormy) {
            println!(
                "{attack} round {round}: p99 {:.2} ms without, {:.2} ms with it; ok {:.5} and {:.5}",
                calm.p99_ms(),
                stormy.p99_ms(),
                calm.ok_ratio(),
                stormy.ok_ratio()
            );
            for word in stormy.words.iter().chain(&calm.words) {
                println!("    {word}");
            }
        }
        println!("{attack} round {round}: grew by {grown:.1} MB; {tally}");
        outcome.tally.merge(&tally);
        outcome.grown.push(grown);
        outcome.calm.push(calm);
        outcome.stormy.push(stormy);
        tokio::time::sleep(if quick { REST.1 } else { REST.0 }).await;
        Ok(())
    }
}

/// What the rounds of an attack came to.
#[derive(Default)]
struct Outcome {
    calm: Vec<Vec<Seen>>,
    stormy: Vec<Vec<Seen>>,
    grown: Vec<f64>,
    tally: Tally,
}

impl Outcome {
    /// For each protocol the median over the rounds of p99 with / p99 without.
    fn ratios(&self) -> Vec<f64> {
        (0..Protocol::ALL.len())
            .map(|at| {
                let rounds = self.calm.iter().zip(&self.stormy);
                let each = rounds.map(|(calm, stormy)| stormy[at].p99_ms() / calm[at].p99_ms());
                median(&each.collect::<Vec<f64>>())
            })
            .collect()
    }

    fn p99(windows: &[Vec<Seen>]) -> String {
        let of = |at: usize| {
            let all: Vec<f64> = windows.iter().map(|window| window[at].p99_ms()).collect();
            format!("{} {:.2}", Protocol::ALL[at], median(&all))
        };
        (0..Protocol::ALL.len()).map(of).collect::<Vec<_>>().join(", ")
    }

    fn figures(&self, attack: Attack, rounds: u64, cores: usize, figures: &mut Figures) {
        let sum = |windows: &[Vec<Seen>]| {
            let all = windows.iter().flatten();
            all.fold((0, 0, 0), |(due, ok, bytes), seen| {
                (due + seen.due, ok + seen.ok, bytes + seen.bytes)
            })
        };
        let (due, ok, bytes) = sum(&self.stormy);
        let (calm_due, calm_ok, _) = sum(&self.calm);
        let shared = if cores > 2 { "a core of its own" } else { "the core of the good clients" };
        let what = attack.describe();
        let seconds = attack.window().as_secs();
        let attacked = format!("in {rounds} windows of {seconds} s, from {shared}: {}", self.tally);
        figures.add(
            format!("abuse.{attack}.good_clients_ok_ratio"),
            format!(
                "Requests of good clients (half of the rated load, over h1, h2 and h3) that were \
                 served right to the last byte, beside: {what}"
            ),
            ("1", "share"),
            ok as f64 / due.max(1) as f64,
            due,
            Some(format!(
                "{ok} of {due}, {:.1} GB checked; without the attack {calm_ok} of {calm_due}; \
                 {attacked}",
                bytes as f64 / 1e9
            )),
        );
        let ratios = self.ratios();
        figures.add(
            format!("abuse.{attack}.p99_ratio"),
            format!(
                "99th percentile of their time to the first byte with the attack / without, \
                 median over rounds, the worst of h1, h2 and h3, beside: {what}"
            ),
            ("<= 2", "ratio"),
            ratios.iter().copied().fold(0.0, f64::max),
            rounds,
            Some(format!(
                "with it {} ms, without {} ms",
                Self::p99(&self.stormy),
                Self::p99(&self.calm)
            )),
        );
        figures.add(
            format!("abuse.{attack}.rss_growth_mb"),
            format!(
                "Most that was resident during it over what was before, the worst round: {what}"
            ),
            ("<= 64", "MB"),
            self.grown.iter().copied().fold(0.0, f64::max),
            rounds,
            None,
        );
    }
}

fn rated_figures(rated: &[Rated], cores: usize, figures: &mut Figures) {
    for (protocol, rated) in Protocol::ALL.iter().zip(rated) {
        figures.add(
            format!("abuse.rated.{protocol}"),
            format!(
                "Requests a second over {protocol}, of objects of 16 KiB in memory, in an open \
                 loop, with all of them right and the 99th percentile of the time to the first \
                 byte below {} ms; the server has one core",
                rated::P99_MS
            ),
            ("> 0", "requests/s"),
            rated.rate,
            1,
            Some(format!(
                "p99 {:.1} ms, the server's core {:.0} % busy at that rate; the clients, which \
                 check every byte, have {} for themselves",
                rated.p99_ms,
                rated.busy * 100.0,
                if cores > 2 { "the others" } else { "the one other" }
            )),
        );
    }
}
