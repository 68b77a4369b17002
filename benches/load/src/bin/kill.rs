//! `cargo xtask bench kill`: the edge is killed again and again under clients that check every
//! byte; then, what of its disk tier is still there.
//!
//! Two scenes. In the first the disk tier is far smaller than what is asked for, and objects
//! change under their names, by purge and by time: whatever a kill leaves behind must not be
//! served as what it is not. In the second everything fits and nothing changes, so that every
//! byte that has to be fetched again was lost.

use std::{
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{task::JoinSet, time::sleep};
use weir_benches_load::{
    Protocol, Server,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings,
        careless::Careless,
        crowd::Crowd,
        figures::median,
        program,
        viewer::{Viewer, Way},
        world::{Purge, Seen, World},
    },
};
use weir_benches_testbed::Origin;

/// Kills of the first scene, of the second, and of the control; in full and in short.
const KILLS: [usize; 3] = [60, 12, 6];
const KILLS_SHORT: [usize; 3] = [3, 1, 1];
/// Clients at once; of every eight, four speak HTTP/1.1, three HTTP/2 and one HTTP/3.
const CLIENTS: usize = 64;
const PROTOCOLS: [Protocol; 8] = {
    use Protocol::{H1, H2, H3};
    [H1, H2, H1, H3, H1, H2, H1, H2]
};
/// Between two requests of a client: server and clients share two cores.
const PAUSE: Duration = Duration::from_millis(20);
/// Until the first kill.
const WARM: Duration = Duration::from_secs(2);
/// From the first 200 after a restart to the next kill, milliseconds.
const ALIVE: std::ops::Range<u64> = 100..1500;
/// Between two new versions of some object.
const CHANGE: Duration = Duration::from_millis(60);
/// A server that serves nothing from its cache for so long is broken.
const BACK: Duration = Duration::from_secs(15);
/// Objects of the first scene, about 1.5 MiB each: 1.4 times its disk tier of 256 MiB.
const OBJECTS: usize = 240;
/// New objects of the second scene between two kills, at most, and the time between two.
const GROWTH: usize = 80;
const GROW: Duration = Duration::from_millis(25);
/// What the disk tier may lose of a kill: what it accepted within this time before it.
const SETTLED: Duration = Duration::from_secs(1);
/// Findings that are printed of each scene.
const SHOWN: usize = 8;
/// Clients that fetch everything again after a kill.
const AUDITORS: usize = 8;

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("kill", 2, |_| run(&options))
}

/// A server that can be killed and started again.
trait Mortal {
    type Operator: Purge + Send + 'static;
    fn operator(&self) -> Self::Operator;
    fn kill(&mut self) -> Result<(), CampaignError>;
    /// When it began to start.
    async fn start_again(&mut self) -> Result<Instant, CampaignError>;
}

impl Mortal for Edge {
    type Operator = weir_benches_load::campaign::admin::Operator;

    fn operator(&self) -> Self::Operator {
        Self::operator(self)
    }

    fn kill(&mut self) -> Result<(), CampaignError> {
        Self::kill(self)
    }

    async fn start_again(&mut self) -> Result<Instant, CampaignError> {
        Self::start_again(self)
    }
}

impl Mortal for Careless {
    type Operator = weir_benches_load::campaign::careless::Purged;

    fn operator(&self) -> Self::Operator {
        self.purged()
    }

    fn kill(&mut self) -> Result<(), CampaignError> {
        Self::kill(self);
        Ok(())
    }

    async fn start_again(&mut self) -> Result<Instant, CampaignError> {
        let begun = Instant::now();
        Self::start_again(self).await?;
        Ok(begun)
    }
}

async fn run(options: &Options) -> Result<bool, CampaignError> {
    let place = Place::new(options)?;
    let [kills, keeps, controls] = if options.quick { KILLS_SHORT } else { KILLS };

    let origin = Arc::new(Origin::start().await?);
    let world = World::new(Arc::clone(&origin), options.seed << 20, OBJECTS, true);
    let settings = Settings {
        memory: "96 MiB",
        disk: Some("256 MiB"),
        concurrency: 32,
        deadline: "10s",
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place.path(), &settings)?;
    let ways = edge.ways(&PROTOCOLS)?;
    let returns = churn(&mut edge, &ways, &world, kills, options.seed).await?;
    edge.check()?;
    edge.stop()?;
    let churned = world.seen();
    say("changing objects, a small disk", &churned);

    let kept = keep(&place.path().join("keep"), keeps, options.seed).await?;
    say("lasting objects, a large disk", &kept.seen);

    let folder = place.path().join("careless");
    let world = World::new(Arc::clone(&origin), (options.seed << 20) + 500_000, OBJECTS, true);
    let mut careless = Careless::start(&folder, origin.address()).await?;
    let server = Server { address: careless.address(), name: "localhost".into(), tls: None };
    let way = Way { server: Arc::new(server), protocol: Protocol::H1, prefix: String::new() };
    churn(&mut careless, &[way], &world, controls, options.seed).await?;
    let control = world.seen();
    say("control (a careless cache)", &control);
    report(&returns, &churned, &kept, &control, controls).finish(options)
}

/// Kills under load. How long each restart took until a right 200 came from the cache, seconds.
async fn churn(
    server: &mut impl Mortal,
    ways: &[Way],
    world: &Arc<World>,
    kills: usize,
    seed: u64,
) -> Result<Vec<f64>, CampaignError> {
    let mut crowd = Crowd::gather(CLIENTS, ways, world, seed << 16, PAUSE);
    let operator = server.operator();
    let changing = Arc::clone(world);
    let mut choice = SmallRng::seed_from_u64(seed ^ 0x6368_616e_6765);
    crowd.join(|stop| async move {
        while !stop.asked() {
            let number = choice.random_range(0..changing.items.len());
            changing.publish(number, &operator).await;
            sleep(CHANGE).await;
        }
    });
    let mut moments = SmallRng::seed_from_u64(seed ^ 0x6b69_6c6c);
    sleep(WARM).await;
    let mut returns = Vec::with_capacity(kills);
    for _ in 0..kills {
        sleep(Duration::from_millis(moments.random_range(ALIVE))).await;
        server.kill()?;
        let begun = server.start_again().await?;
        returns.push(back(world, begun).await?.as_secs_f64());
    }
    // What the last restart serves is checked, too.
    sleep(Duration::from_millis(ALIVE.end)).await;
    crowd.leave().await;
    Ok(returns)
}

/// Waits for the first right 200 from the cache after a restart.
async fn back(world: &World, begun: Instant) -> Result<Duration, CampaignError> {
    world.await_first_200(begun);
    while begun.elapsed() < BACK {
        if let Some(after) = world.first_200() {
            return Ok(after);
        }
        sleep(Duration::from_millis(5)).await;
    }
    let message = format!("nothing came from the cache within {BACK:?} after a restart");
    Err(CampaignError::Unfit(message))
}

/// What the second scene came to.
struct Kept {
    /// After each kill: bytes that the disk tier had accepted for longer than a second, and
    /// those of them that had to be fetched again.
    rounds: Vec<(u64, u64)>,
    /// Bytes that it refused: nobody promised to keep them.
    refused: u64,
    returns: Vec<f64>,
    seen: Seen,
}

impl Kept {
    fn worst(&self) -> f64 {
        let ratio = |(settled, lost): &(u64, u64)| 1.0 - *lost as f64 / (*settled).max(1) as f64;
        self.rounds.iter().map(ratio).fold(1.0, f64::min)
    }
}

/// Objects are fetched one after the other, never twice, beside clients that read mixed ranges.
///
/// *Settled* at a kill are the bytes of all objects that had been fetched whole for more than a
/// second, now or in an earlier life, less what the disk tier has said it refused. *Lost* of
/// these is what the origin sends again when, after the restart, all of them are asked for.
/// Nothing is evicted, nothing changes, so nothing else can be the reason.
async fn keep(place: &Path, kills: usize, seed: u64) -> Result<Kept, CampaignError> {
    let origin = Arc::new(Origin::start().await?);
    let first = (seed << 20) + 100_000;
    let world = World::new(Arc::clone(&origin), first, GROWTH * kills.max(1), false);
    let settings = Settings {
        memory: "256 MiB",
        disk: Some("4 GiB"),
        concurrency: 64,
        deadline: "10s",
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place, &settings)?;
    let ways = edge.ways(&PROTOCOLS)?;
    let mut moments = SmallRng::seed_from_u64(seed ^ 0x6b65_6570);
    let mut kept = Kept { rounds: Vec::new(), refused: 0, returns: Vec::new(), seen: world.seen() };
    let mut settled = Vec::new();
    for round in 0..kills {
        let seeds = (seed << 16) + (round * CLIENTS) as u64;
        let mut crowd = Crowd::gather(CLIENTS / 4, &ways, &world, seeds, 5 * PAUSE);
        let mut grower = Viewer::new(ways[0].clone(), Arc::clone(&world), seed, Duration::ZERO);
        crowd.join(|stop| async move {
            for number in round * GROWTH..(round + 1) * GROWTH {
                if stop.asked() {
                    return;
                }
                grower.whole(number).await;
                sleep(GROW).await;
            }
        });
        sleep(Duration::from_millis(moments.random_range(1000..2000))).await;
        let snapshot = Instant::now();
        sleep(SETTLED + Duration::from_millis(moments.random_range(0..200))).await;
        settled.extend(world.completed_before(snapshot));
        settled.sort_unstable();
        settled.dedup();
        let refused = edge.metrics().await?.sum("edge_refused_bytes_total", "") as u64;
        edge.kill()?;
        crowd.stop();
        let begun = edge.start_again()?;
        crowd.leave().await;
        world.await_first_200(begun);
        edge.wait()?;
        let before: u64 = settled.iter().map(|number| world.sent(*number)).sum();
        audit(&ways[0], &world, &settled).await?;
        let after: u64 = settled.iter().map(|number| world.sent(*number)).sum();
        let size = |number: &usize| world.items[*number].content.size;
        let total: u64 = settled.iter().map(size).sum();
        if refused * 20 > total {
            return Err(CampaignError::Unfit(format!(
                "the disk tier refused {refused} bytes of {total}: what it kept says little"
            )));
        }
        let lost = (after - before).saturating_sub(refused);
        println!("kill {round}: {total} bytes settled, {lost} lost, {refused} refused before");
        kept.rounds.push((total - refused, lost));
        kept.refused += refused;
        kept.returns.extend(world.first_200().map(|after| after.as_secs_f64()));
    }
    edge.check()?;
    edge.stop()?;
    kept.seen = world.seen();
    Ok(kept)
}

/// Asks for these objects, and does not give up on one.
async fn audit(way: &Way, world: &Arc<World>, numbers: &[usize]) -> Result<(), CampaignError> {
    let mut tasks = JoinSet::new();
    for share in 0..AUDITORS {
        let mine: Vec<usize> = numbers.iter().copied().skip(share).step_by(AUDITORS).collect();
        let mut viewer = Viewer::new(way.clone(), Arc::clone(world), 0, Duration::ZERO);
        tasks.spawn(async move {
            for number in mine {
                let mut tries = 0;
                while !viewer.whole(number).await {
                    tries += 1;
                    if tries == 20 {
                        return Some(number);
                    }
                }
            }
            None
        });
    }
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Some(number)) = ended {
            let path = &world.items[number].path;
            let message = format!("{path} does not come whole after a restart");
            return Err(CampaignError::Unfit(message));
        }
    }
    Ok(())
}

fn say(who: &str, seen: &Seen) {
    println!(
        "{who}: {} answers ({} hits, {} unchanged), {} cut, {} refused, {:.2} GB checked; {}",
        seen.answers,
        seen.hits,
        seen.unchanged,
        seen.cut,
        seen.refused,
        seen.checked as f64 / 1e9,
        seen.wrong
    );
    for finding in seen.findings.iter().take(SHOWN) {
        println!("  {finding}");
    }
}

fn report(
    returns: &[f64],
    churned: &Seen,
    kept: &Kept,
    control: &Seen,
    controls: usize,
) -> Figures {
    let mut figures = Figures::of("kill");
    let kills = (returns.len() + kept.rounds.len()) as u64;
    let mut wrong = churned.wrong;
    wrong.merge(&kept.seen.wrong);
    let checked = (churned.checked + kept.seen.checked) as f64 / 1e9;
    let what = "Wrong bytes passed off as right over SIGKILLs at seeded moments under 64 clients \
                with whole, range and conditional requests over HTTP/1.1, 2 and 3, while objects \
                change by purge and by time; other objects' bytes, torn, stale (older than an \
                acknowledged purge, or than its lifetime), flipped, short and long";
    let note = format!("{checked:.1} GB checked, {} answers cut", churned.cut + kept.seen.cut);
    figures.add("wrong_bytes.kill", what, ("0", "bytes"), wrong.total() as f64, kills, Some(note));
    figures.add(
        "wrong_bytes.kill.control",
        "The same clients against a cache that writes files in place, checks nothing and forgets \
         purges when it dies: wrong bytes that they see",
        ("> 0", "bytes"),
        control.wrong.total() as f64,
        controls as u64,
        Some(control.wrong.to_string()),
    );
    let all: Vec<f64> = returns.iter().chain(&kept.returns).copied().collect();
    figures.add(
        "recovery.first_200_s",
        "From the start of the process after a SIGKILL to the first body byte of a right 200 \
         from the disk tier, with 64 clients coming back at once; the worst of all",
        ("< 1", "s"),
        all.iter().copied().fold(0.0, f64::max),
        all.len() as u64,
        Some(format!("median {:.3} s", median(&all))),
    );
    let settled: u64 = kept.rounds.iter().map(|(settled, _)| settled).sum();
    let lost: u64 = kept.rounds.iter().map(|(_, lost)| lost).sum();
    figures.add(
        "recovery.kept_ratio",
        "Of the bytes that the disk tier had accepted for longer than 1 s at a SIGKILL, the \
         share that needs no fetch afterwards; the worst of all kills",
        (">= 0.99", "ratio of bytes"),
        kept.worst(),
        kept.rounds.len() as u64,
        Some(format!(
            "over all kills {lost} of {settled} bytes were fetched again; {} bytes had been \
             refused before and are not counted",
            kept.refused
        )),
    );
    figures.checked("kill", checked, kills);
    figures
}
