//! `cargo xtask bench rot`: bytes in the files of the disk tier change while it serves, and no
//! client may ever get one of them.
//!
//! Where an object's bytes lie is found by looking for their cells in the files, whatever their
//! format. Only damage to the one copy of a chunk that is then read from disk is counted: the
//! chunk either has to be fetched again, which is the damage being found, or it comes from the
//! disk tier, which is the damage being missed.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use tokio::time::sleep;
use weir_benches_content::{CELL, Checker, Content, Expected, Verdict};
use weir_benches_load::{
    Protocol,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings,
        cells::{self, Run},
        crowd::Crowd,
        program,
        viewer::{Viewer, said},
        world::{Seen, World},
    },
};
use weir_benches_testbed::Origin;

/// Damages that have to count, and objects to have enough chunks for them; in full and short.
const DAMAGES: (usize, usize) = (1000, 40);
const OBJECTS: (usize, usize) = (720, 60);
/// In one round, each of another object.
const ROUND: usize = 50;
/// Files that are cut in one round, at most.
const CUTS: usize = 4;
/// Clients that go on all the time.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(20);
const CHUNK: u64 = 1 << 20;
/// Rounds of asking until a chunk has left memory and is read from disk.
const PASSES: usize = 6;
/// Objects that are read between two of them, to push others out of memory: about 75 MiB, four
/// times the RAM tier.
const PUSH: usize = 50;
/// Until everything accepted is on the device.
const WRITTEN: Duration = Duration::from_secs(30);
/// Before a run, where a store may keep what it needs to know of it.
const BESIDE: u64 = 64;

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("rot", 2, |_| run(&options))
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Damage {
    /// One bit.
    Flip,
    /// Zeros from some place to its end: a write that did not get there, or a file that was cut
    /// and grew again.
    Tail,
    /// The file ends in the middle of it, where nothing of use is behind.
    Cut,
    /// A bit of what is kept beside it. Whether that is in use nobody knows from outside, so it
    /// is not counted.
    Beside,
}

/// A chunk that was damaged.
struct Hit {
    number: usize,
    /// Of the object.
    chunk: u64,
    damage: Damage,
    /// Body bytes of the object that the origin had sent before.
    sent: u64,
}

/// What damages came to.
#[derive(Debug, Default)]
struct Tally {
    /// By kind: found, missed, and never read from disk.
    kinds: HashMap<Damage, [u64; 3]>,
    /// What the checker finds in the damaged bytes as they lie in the files.
    raw: Verdict,
    checksum_failures: f64,
    disk_errors: f64,
}

impl Tally {
    /// Of those that count: found, missed, never read.
    fn counted(&self) -> [u64; 3] {
        let mut sum = [0; 3];
        for (_, counts) in self.kinds.iter().filter(|(kind, _)| **kind != Damage::Beside) {
            for (sum, count) in sum.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        sum
    }
}

async fn run(options: &Options) -> Result<bool, CampaignError> {
    let place = Place::new(options)?;
    let (wanted, objects) =
        if options.quick { (DAMAGES.1, OBJECTS.1) } else { (DAMAGES.0, OBJECTS.0) };
    let origin = Arc::new(Origin::start().await?);
    let world = World::new(Arc::clone(&origin), (options.seed << 20) + 200_000, objects, false);
    // As little RAM as there may be, so that nearly everything is read from disk.
    let settings = Settings {
        memory: "70 MiB",
        disk: Some(if options.quick { "512 MiB" } else { "4 GiB" }),
        concurrency: 40,
        deadline: "10s",
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place.path(), &settings)?;
    let ways = edge.ways(&Protocol::ALL)?;
    // What the disk tier refuses, or takes only when asked for twice, comes the second time.
    for _ in 0..2 {
        let mut viewer = Viewer::new(ways[0].clone(), Arc::clone(&world), 0, Duration::ZERO);
        for number in 0..objects {
            viewer.whole(number).await;
        }
    }
    let mut targets = locate(&edge, &world).await?;
    println!("{} chunks lie in the files exactly once", targets.len());
    if targets.len() < wanted {
        let message = format!("{} chunks are too few for {wanted} damages", targets.len());
        return Err(CampaignError::Unfit(message));
    }
    let before = edge.metrics().await?;

    let crowd = Crowd::gather(CLIENTS, &ways, &world, options.seed << 16, PAUSE);
    let mut rng = SmallRng::seed_from_u64(options.seed ^ 0x726f_7400);
    // The order of a scan is no seeded one.
    targets.sort_by_key(|(_, run)| run.chunk());
    targets.shuffle(&mut rng);
    let mut tally = Tally::default();
    let mut prober = Viewer::new(ways[0].clone(), Arc::clone(&world), 1, Duration::ZERO);
    while tally.counted()[0] + tally.counted()[1] < wanted as u64 && !targets.is_empty() {
        let hits = damage(&world, &mut targets, &mut rng, &mut tally)?;
        probe(&world, hits, &mut prober, &mut rng, &mut tally).await;
        edge.check()?;
    }
    crowd.leave().await;
    let after = edge.metrics().await?;
    let since = |family| after.sum(family, "") - before.sum(family, "");
    tally.checksum_failures = since("edge_cache_checksum_failures_total");
    tally.disk_errors = since("edge_disk_errors_total");
    edge.check()?;
    edge.stop()?;
    let seen = world.seen();
    say(&tally, &seen);
    report(&tally, &seen, wanted).finish(options)
}

/// Chunks and where their only copies lie, once everything is on the device.
async fn locate(edge: &Edge, world: &World) -> Result<Vec<((usize, u64), Run)>, CampaignError> {
    let begun = Instant::now();
    let mut last = None;
    loop {
        sleep(Duration::from_millis(500)).await;
        let now = edge.metrics().await?.sum("edge_disk_written_bytes_total", "");
        if last == Some(now) || begun.elapsed() > WRITTEN {
            break;
        }
        last = Some(now);
    }
    let numbers: HashMap<u64, usize> = world
        .items
        .iter()
        .enumerate()
        .map(|(number, item)| (item.content.object, number))
        .collect();
    let folder = edge.disk();
    let runs = cells::scan(&folder)
        .map_err(|source| CampaignError::File { path: folder.clone(), source })?;
    let cells = |object: u64, chunk: u64| {
        let range = place_of(&world.items[*numbers.get(&object)?].content, chunk);
        Some((range.end - range.start) / CELL as u64)
    };
    let only = cells::only_copies(runs, cells).into_iter();
    let known =
        only.filter_map(|((object, chunk), run)| Some(((*numbers.get(&object)?, chunk), run)));
    Ok(known.collect())
}

/// The bytes of a chunk.
fn place_of(content: &Content, chunk: u64) -> std::ops::Range<u64> {
    let start = chunk * CHUNK;
    start.min(content.size)..(start + CHUNK).min(content.size)
}

/// Damages some chunks, each of another object.
fn damage(
    world: &World,
    targets: &mut Vec<((usize, u64), Run)>,
    rng: &mut SmallRng,
    tally: &mut Tally,
) -> Result<Vec<Hit>, CampaignError> {
    let mut hits: Vec<Hit> = Vec::new();
    let mut last: HashMap<&Path, &Run> = HashMap::new();
    for (_, run) in targets.iter() {
        let last = last.entry(&run.file).or_insert(run);
        if run.at > last.at {
            *last = run;
        }
    }
    let mut cut: Vec<Run> = last.into_values().cloned().collect();
    cut.sort_by(|a, b| a.file.cmp(&b.file));
    cut.shuffle(rng);
    cut.truncate(CUTS);
    // They come first, while their objects are untouched.
    targets.sort_by_key(|(_, run)| cut.contains(run));
    let mut at = targets.len();
    while at > 0 {
        at -= 1;
        let ((number, chunk), run) = &targets[at];
        let cuts = cut.contains(run);
        if hits.iter().any(|hit| hit.number == *number) || (hits.len() >= ROUND && !cuts) {
            continue;
        }
        let damage = match rng.random_range(0..20) {
            _ if cuts => Damage::Cut,
            0 => Damage::Beside,
            1..=6 => Damage::Tail,
            _ => Damage::Flip,
        };
        let hit = Hit { number: *number, chunk: *chunk, damage, sent: world.sent(*number) };
        let range = place_of(&world.items[*number].content, *chunk);
        let file = |source| CampaignError::File { path: run.file.clone(), source };
        // What has moved since it was found is left alone.
        if spoil(run, damage, rng).map_err(file)? {
            let content = &world.items[*number].content;
            let raw = raw(run, range.end - range.start).map_err(file)?;
            tally.raw.merge(&Checker::check(Expected::range(content, range), &raw));
            hits.push(hit);
        }
        targets.swap_remove(at);
    }
    Ok(hits)
}

/// Whether it did something.
fn spoil(run: &Run, damage: Damage, rng: &mut SmallRng) -> io::Result<bool> {
    let file = File::options().read(true).write(true).open(&run.file)?;
    let mut cell = [0; CELL];
    let number = rng.random_range(0..run.cells);
    let at = run.at + number * CELL as u64;
    file.read_exact_at(&mut cell, at)?;
    let expected = weir_benches_content::Cell { index: run.first.index + number, ..run.first };
    if cell != expected.encode() {
        return Ok(false);
    }
    let flip = |at: u64, rng: &mut SmallRng| -> io::Result<()> {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        byte[0] ^= 1 << rng.random_range(0..8);
        file.write_all_at(&byte, at)
    };
    match damage {
        Damage::Flip => flip(at + rng.random_range(0..CELL as u64), rng)?,
        Damage::Beside if run.at < BESIDE => return Ok(false),
        Damage::Beside => flip(run.at - 1 - rng.random_range(0..BESIDE), rng)?,
        Damage::Tail => {
            let zeros = vec![0; usize::try_from(run.end() - at).expect("at most a chunk")];
            file.write_all_at(&zeros, at)?;
        }
        Damage::Cut => file.set_len(at)?,
    }
    // A direct read sees what is on the device; a buffered one shares our page cache.
    file.sync_all()?;
    Ok(true)
}

/// What would be served if nobody looked: the run's bytes as they lie there, and what the last
/// cell leaves over.
fn raw(run: &Run, length: u64) -> io::Result<Vec<u8>> {
    let file = File::open(&run.file)?;
    let mut bytes = vec![0; usize::try_from(length).expect("at most a chunk")];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], run.at + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Asks for damaged chunks until each has come from disk or from the origin, and pushes them
/// out of memory between two tries.
async fn probe(
    world: &World,
    hits: Vec<Hit>,
    prober: &mut Viewer,
    rng: &mut SmallRng,
    tally: &mut Tally,
) {
    let mut waiting = hits;
    for _ in 0..PASSES {
        for _ in 0..PUSH {
            let number = rng.random_range(0..world.items.len());
            prober.whole(number).await;
        }
        let mut left = Vec::new();
        for hit in waiting {
            let range = place_of(&world.items[hit.number].content, hit.chunk);
            let exchange = prober.part(hit.number, range).await;
            let fetched = world.sent(hit.number) > hit.sent;
            let from_disk = exchange.is_some_and(|exchange| {
                exchange.error.is_none() && said(&exchange, "hit") && said(&exchange, "disk")
            });
            let place = match (fetched, from_disk) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => {
                    left.push(hit);
                    continue;
                }
            };
            tally.kinds.entry(hit.damage).or_default()[place] += 1;
            if place == 1 && hit.damage != Damage::Beside {
                println!("missed: {:?} of {:?}", hit.damage, world.items[hit.number].path);
            }
        }
        waiting = left;
        if waiting.is_empty() {
            return;
        }
    }
    for hit in waiting {
        tally.kinds.entry(hit.damage).or_default()[2] += 1;
    }
}

fn say(tally: &Tally, seen: &Seen) {
    let mut kinds: Vec<_> = tally.kinds.iter().collect();
    kinds.sort();
    for (kind, [found, missed, unread]) in kinds {
        println!("{kind:?}: {found} found, {missed} missed, {unread} never read from disk");
    }
    println!(
        "{} checksum failures and {} disk errors were counted; {} answers ({} hits), {} cut, \
         {} refused, {:.2} GB checked; {}",
        tally.checksum_failures,
        tally.disk_errors,
        seen.answers,
        seen.hits,
        seen.cut,
        seen.refused,
        seen.checked as f64 / 1e9,
        seen.wrong
    );
    println!("as they lie in the files: {}", tally.raw);
    for finding in seen.findings.iter().take(8) {
        println!("  {finding}");
    }
}

fn report(tally: &Tally, seen: &Seen, wanted: usize) -> Figures {
    let mut figures = Figures::of("rot");
    let [found, missed, unread] = tally.counted();
    let live = found + missed;
    figures.add(
        "wrong_bytes.rot",
        "Wrong bytes passed off as right while bits flip, tails turn to zeros and files are cut in \
         the disk tier that serves; whole and range requests over HTTP/1.1, 2 and 3",
        ("0", "bytes"),
        seen.wrong.total() as f64,
        live,
        Some(format!("{:.1} GB checked", seen.checked as f64 / 1e9)),
    );
    figures.add(
        "wrong_bytes.rot.control",
        "Wrong bytes that the same checker finds in the damaged chunks as they lie in the files: \
         what would be served without verification",
        ("> 0", "bytes"),
        tally.raw.total() as f64,
        live,
        Some(tally.raw.to_string()),
    );
    // The node must say so, too: what it does not count nobody sees.
    let told = (tally.checksum_failures + tally.disk_errors).min(found as f64);
    figures.add(
        "rot.detected_ratio",
        "Of the damages that hit the only copy of a chunk which was then read from disk, the share \
         that was found, counted by the node, and fetched again",
        ("1", "ratio of damages"),
        told / (live.max(1)) as f64,
        live,
        Some(format!(
            "{found} fetched again, {missed} not, {} checksum failures and {} read errors counted; \
             {unread} more were not read from disk",
            tally.checksum_failures, tally.disk_errors
        )),
    );
    figures.add(
        "rot.live_hits",
        "Damages that hit live data which was later read from disk",
        (&format!(">= {wanted}"), "damages"),
        live as f64,
        1,
        None,
    );
    figures.checked("rot", seen.checked as f64 / 1e9, live);
    figures
}
