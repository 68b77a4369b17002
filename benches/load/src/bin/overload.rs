//! `cargo xtask bench overload`: three times what the edge can serve on one core, in an open
//! loop, and then half of it again: how much is served, how soon all is well, and what memory it
//! takes.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{task::JoinHandle, time::sleep};
use weir_benches_content::{Content, Expected};
use weir_benches_load::{
    Connection, Protocol,
    attack::pin,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings, cpu,
        good::{Good, Seen},
        memory::{Resident, Watch},
        program,
        quota::Quota,
        rated::{self, Rated},
    },
    connection::Ask,
};
use weir_benches_testbed::Origin;

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// The server has a tenth of its core: clients check every byte, which costs more than sending
/// it, and shall ask for three times as much with the one core that is theirs.
const PART: u64 = 10;
const OBJECTS: u64 = 64;
const SIZE: u64 = 16 << 10;
const BUDGET: u64 = 512 << 20;
/// What fills the memory before, so that there is none to spare.
const FILLING: (u64, u64) = (640, 64);
const FILLING_SIZE: u64 = 1 << 20;
/// At the rated load, at three times as much, and at half of it; in full and in short.
const TIMES: ([u64; 3], [u64; 3]) = ([8, 12, 8], [2, 3, 3]);
const ROUNDS: (usize, usize) = (3, 1);
const REST: Duration = Duration::from_secs(2);
/// How often an object is asked for that shall be in memory, and how soon again.
const TRIES: usize = 20;
const AGAIN: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let options = Options::parse();
    pin(CLIENT_CORE);
    program::run("overload", 1, |_| run(options))
}

async fn run(options: Options) -> Result<bool, CampaignError> {
    let place = Place::new(&options)?;
    let origin = Origin::start().await?;
    // Removed after the edge has ended.
    let quota = Quota::new("overload", PART)?;
    let settings = Settings {
        workers: 1,
        core: Some(SERVER_CORE),
        group: Some(quota.path().to_owned()),
        disk: None,
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place.path(), &settings)?;
    let named = |content: Content| (edge.path(&format!("/{}", content.name())), content);
    let filling = if options.quick { FILLING.1 } else { FILLING.0 };
    let filling: Vec<_> =
        (0..filling).map(|id| named(Content::new(0xf1_0000 + id, 1, FILLING_SIZE))).collect();
    let objects: Vec<_> = (1..=OBJECTS).map(|id| named(Content::new(id, 1, SIZE))).collect();
    warm(&edge, filling).await?;
    warm(&edge, objects.clone()).await?;
    let mut good = Vec::new();
    for protocol in Protocol::ALL {
        good.push(Arc::new(Good::new(edge.server(protocol)?, protocol, objects.clone())));
    }
    let (step, halvings) =
        if options.quick { (Duration::from_millis(700), 1) } else { (Duration::from_secs(2), 4) };
    let mut rated = Vec::new();
    for good in &good {
        rated.push(rated::find(good, edge.id(), step, halvings).await?);
    }
    let times = if options.quick { TIMES.1 } else { TIMES.0 };
    let rounds = if options.quick { ROUNDS.1 } else { ROUNDS.0 };
    let mut worst = Worst { ratio: f64::MAX, ..Worst::default() };
    for round in 0..rounds {
        worst.round(round, &good, &rated, &edge, times).await?;
        edge.check()?;
        sleep(REST).await;
    }
    edge.stop()?;
    worst.figures(rounds as u64, &rated).finish(&options)
}

/// Each of them, one after the other: a server with a tenth of a core refuses some that come at
/// once.
async fn warm(edge: &Edge, objects: Vec<(String, Content)>) -> Result<(), CampaignError> {
    let server = edge.server(Protocol::H1)?;
    let mut connection = Connection::open(&server, Protocol::H1).await?;
    for (path, content) in objects {
        let mut tries = 0;
        loop {
            let ask = Ask::path(path.clone()).expect(Expected::all(&content));
            let exchange = connection.get(&ask).await;
            let right = exchange.verdict.is_some_and(|verdict| verdict.is_clean());
            if right && exchange.error.is_none() {
                break;
            }
            tries += 1;
            if tries == TRIES {
                let (status, error) = (exchange.status, exchange.error);
                let why = format!("cannot warm {path}: {status:?}, {error:?}");
                return Err(CampaignError::Unfit(why));
            }
            sleep(AGAIN).await;
            if exchange.error.is_some() || !connection.is_open() {
                connection = Connection::open(&server, Protocol::H1).await?;
            }
        }
    }
    Ok(())
}

/// Begins a run at `factor` of the rated load, a third of it over each protocol.
fn begin(good: &[Arc<Good>], rated: &[Rated], factor: f64, seconds: u64) -> Vec<JoinHandle<Seen>> {
    let each = good.iter().zip(rated);
    each.map(|(good, rated)| {
        let (good, rate) = (Arc::clone(good), rated.rate * factor / 3.0);
        tokio::spawn(async move { good.run(rate, Duration::from_secs(seconds)).await })
    })
    .collect()
}

async fn end(runs: Vec<JoinHandle<Seen>>) -> Seen {
    let mut all = Seen::default();
    for run in runs {
        all.merge(run.await.unwrap_or_default());
    }
    all
}

#[derive(Default)]
struct Worst {
    ratio: f64,
    recover: f64,
    rss: f64,
    due: u64,
    notes: Vec<String>,
}

impl Worst {
    async fn round(
        &mut self,
        round: usize,
        good: &[Arc<Good>],
        rated: &[Rated],
        edge: &Edge,
        times: [u64; 3],
    ) -> Result<(), CampaignError> {
        let [at_rated, above, after] = times;
        let begun = Instant::now();
        let calm = end(begin(good, rated, 1.0, at_rated)).await;
        let calm_rate = goodput(&calm, begun, at_rated);
        let watch = Watch::over(edge.id());
        let (cpu_server, cpu_self) = (cpu::of_tree(edge.id())?, cpu::own(std::process::id())?);
        let begun = Instant::now();
        let storm = begin(good, rated, 3.0, above);
        sleep(Duration::from_secs(above)).await;
        // What is under way ends beside the half load, as it would.
        let fell = Instant::now();
        let share = |now: Duration, before: Duration| {
            (now - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
        };
        let server = share(cpu::of_tree(edge.id())?, cpu_server);
        let client = share(cpu::own(std::process::id())?, cpu_self);
        let half = begin(good, rated, 0.5, after);
        let storm = end(storm).await;
        let storm_rate = goodput(&storm, begun, above);
        let half = end(half).await;
        let last = half.bad.iter().max().map_or(Duration::ZERO, |last| *last - fell);
        let most = watch.end().now.max(Resident::of(edge.id())?.now);
        let ratio = storm_rate / calm_rate.max(1.0);
        let note = format!(
            "{calm_rate:.0} requests/s served right of {:.0} at the rated load, {storm_rate:.0} of \
             {:.0} at three times that ({} refused in so many words; core of the server {server:.0} \
             % busy, of the clients {client:.0} %), {} of {} at half of it",
            calm.due as f64 / at_rated as f64,
            storm.due as f64 / above as f64,
            storm.refused,
            half.ok,
            half.due
        );
        println!("round {round}: {note}; well again after {:.2} s", last.as_secs_f64());
        for word in storm.words.iter().chain(&half.words) {
            println!("    {word}");
        }
        self.ratio = self.ratio.min(ratio);
        self.recover = self.recover.max(last.as_secs_f64());
        self.rss = self.rss.max(most as f64 / BUDGET as f64);
        self.due += storm.due;
        self.notes.push(note);
        Ok(())
    }

    fn figures(&self, rounds: u64, rated: &[Rated]) -> Figures {
        let mut figures = Figures::of("overload");
        let each = Protocol::ALL.iter().zip(rated);
        let each: Vec<_> =
            each.map(|(protocol, rated)| format!("{protocol} {:.0}/s", rated.rate)).collect();
        let rated = format!("the server has a tenth of a core; rated: {}", each.join(", "));
        figures.add(
            "overload.3x.goodput_ratio",
            "Requests a second served right to the last byte at three times the rated load / at \
             the rated load, in an open loop, a third each over h1, h2 and h3; the worst round",
            (">= 0.9", "ratio"),
            self.ratio,
            self.due,
            Some(format!("{rated}; {}", self.notes.join("; "))),
        );
        figures.add(
            "overload.3x.recover_s",
            "From the fall to half of the rated load to the last request that failed or whose \
             first byte took longer than 50 ms; the worst round",
            ("< 2", "s"),
            self.recover,
            rounds,
            None,
        );
        figures.add(
            "overload.3x.rss_over_budget",
            "Most that was resident during it / `cache.memory`, 512 MiB, which was full before",
            ("<= 1.15", "ratio"),
            self.rss,
            rounds,
            None,
        );
        figures
    }
}

/// What was right and ended within the time, a second.
fn goodput(seen: &Seen, begun: Instant, seconds: u64) -> f64 {
    let until = begun + Duration::from_secs(seconds);
    let ended = seen.ended.iter().filter(|ended| **ended <= until);
    ended.count() as f64 / seconds as f64
}
