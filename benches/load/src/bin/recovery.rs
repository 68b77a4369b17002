//! `cargo xtask bench recovery`: how soon a killed edge serves what it has on disk, by the number
//! of objects in its metadata table.
//!
//! A few objects are fetched through the edge; then the table is filled up by the library, as a
//! node has it after months, and the edge is started on it and killed, again and again.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use tokio::time::{sleep, timeout};
use weir_benches_content::{Content, Expected, Verdict};
use weir_benches_load::{
    Connection, Protocol,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings, figures::median, memory::Resident,
        program, segments, viewer::said,
    },
    connection::Ask,
};
use weir_benches_testbed::Origin;
use weir_edge_cache::{Cache, CacheConfig};

/// Objects in the table, the name of the figure, and the memory that the edge is given; the
/// second where it is asked for, the last in short.
const SIZES: [(u64, &str, &str); 3] =
    [(1_000_000, "1m", "1 GiB"), (10_000_000, "10m", "4 GiB"), (50_000, "50k", "512 MiB")];
/// Objects that are on disk, of a little more than a chunk.
const STORED: u64 = 48;
const SIZE: u64 = (1 << 20) + 100_000;
/// Kills, in full and in short.
const ROUNDS: (u64, u64) = (10, 2);
/// Between two attempts to connect to a server that is not there.
const RETRY: Duration = Duration::from_millis(2);
/// A server that serves nothing after so long is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Puts between two that wait for the state file.
const FLUSH: u64 = 50_000;

#[derive(Debug, Parser)]
#[command(name = "bench-recovery")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// With 10^7 objects, too: it takes minutes, 6 GiB of memory and 10 GiB of disk.
    #[arg(long)]
    many: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::run("recovery", 2, |_| campaign(&arguments))
}

async fn campaign(arguments: &Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let place = Place::new(options)?;
    let sizes = match (options.quick, arguments.many) {
        (true, _) => &SIZES[2..],
        (false, true) => &SIZES[..2],
        (false, false) => &SIZES[..1],
    };
    let mut figures = Figures::of("recovery");
    for (objects, name, memory) in sizes {
        let came = recover(&place.path().join(name), options, *objects, memory).await?;
        let worst = came.after.iter().copied().fold(0.0, f64::max);
        figures.add(
            format!("recovery.first_200_s.{name}"),
            "From the start of the process after a SIGKILL to the first body byte of a right 200 \
             of an object that is on disk, with so many objects in the metadata table; the worst \
             of all kills",
            ("< 1", "s"),
            worst,
            came.after.len() as u64,
            Some(format!(
                "median {:.3} s; {objects} objects in a state file of {} MiB; ready to all after \
                 {:.3} s (median); {} of {} stored objects came from disk; {} MiB resident",
                median(&came.after),
                came.state >> 20,
                median(&came.ready),
                came.from_disk,
                came.asked,
                came.resident >> 20
            )),
        );
    }
    figures.finish(options)
}

/// What came of one size.
#[derive(Debug, Default)]
struct Came {
    /// Seconds to the first 200, and until the edge called itself ready, kill by kill.
    after: Vec<f64>,
    ready: Vec<f64>,
    /// Bytes of the state file.
    state: u64,
    /// Of the objects on disk, asked for after each start.
    asked: u64,
    from_disk: u64,
    /// Bytes of memory at the end.
    resident: u64,
}

async fn recover(
    place: &Path,
    options: &Options,
    objects: u64,
    memory: &'static str,
) -> Result<Came, CampaignError> {
    let origin = Origin::start().await?;
    let settings = Settings {
        memory,
        disk: Some("256 MiB"),
        concurrency: 16,
        deadline: "10s",
        // Some room to spare: the table's parts are never full to the last place at once.
        objects: Some(objects + objects / 16 + 1024),
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place, &settings)?;
    let first = (options.seed << 20) + 900_000;
    let stored: Vec<_> = (0..STORED).map(|number| Content::new(first + number, 1, SIZE)).collect();
    for content in &stored {
        let mut connection = Connection::open(&edge.server(Protocol::H1)?, Protocol::H1).await?;
        ask(&mut connection, &edge, content).await?;
    }
    // A drained edge has written everything.
    edge.rest()?;
    let begun = Instant::now();
    fill(&edge.state(), objects).await?;
    println!("{objects} objects were put within {:.0?}", begun.elapsed());
    let mut came = Came::default();
    let rounds = if options.quick { ROUNDS.1 } else { ROUNDS.0 };
    for round in 0..rounds {
        let begun = edge.start_again()?;
        let after = first_200(&edge, &stored[(round % STORED) as usize], begun).await?;
        edge.wait()?;
        came.ready.push(begun.elapsed().as_secs_f64());
        came.after.push(after.as_secs_f64());
        let mut connection = Connection::open(&edge.server(Protocol::H1)?, Protocol::H1).await?;
        for content in &stored {
            came.asked += 1;
            came.from_disk += u64::from(ask(&mut connection, &edge, content).await?);
        }
        came.resident = Resident::of(edge.id())?.now;
        println!("kill {round}: first 200 after {after:.3?}");
        edge.check()?;
        edge.kill()?;
    }
    came.state = std::fs::metadata(edge.state()).map_or(0, |file| file.len());
    // The first answer of each life put its object into RAM.
    if came.from_disk + rounds < came.asked {
        return Err(CampaignError::Unfit(format!(
            "of {} objects that were on disk only {} came from there",
            came.asked, came.from_disk
        )));
    }
    Ok(came)
}

/// Fills the table of an edge that does not run.
async fn fill(state: &Path, objects: u64) -> Result<(), CampaignError> {
    let unfit = |why: String| CampaignError::Unfit(format!("the state file: {why}"));
    let config = CacheConfig {
        memory_bytes: 16 << 20,
        state: Some(state.to_owned()),
        metadata_objects_max: usize::try_from(objects + objects / 16 + 1024).unwrap_or(usize::MAX),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let cache = Cache::open_at(&config, None, now).map_err(|error| unfit(error.to_string()))?;
    cache.recovered().await;
    let there = cache.stats().objects;
    if there < STORED {
        return Err(unfit(format!("of {STORED} objects that were fetched {there} are in it")));
    }
    for number in 0..objects.saturating_sub(there) {
        cache.put_object(segments::object(number, cache.next_generation()));
        // The file shall follow, and not gather all of it in memory.
        if number % FLUSH == 0 {
            cache.flush().await;
        }
    }
    cache.flush().await;
    let held = cache.stats().objects;
    cache.close().await;
    if held != objects {
        return Err(unfit(format!("{held} of {objects} objects fitted")));
    }
    Ok(())
}

/// Asks until an object comes from disk, from the moment the process was started.
async fn first_200(
    edge: &Edge,
    content: &Content,
    begun: Instant,
) -> Result<Duration, CampaignError> {
    let server = edge.server(Protocol::H1)?;
    let whole = format!("{}/{}", edge.path(""), content.name());
    while begun.elapsed() < PATIENCE {
        let opening = Connection::open(&server, Protocol::H1);
        let Ok(Ok(mut connection)) = timeout(PATIENCE, opening).await else {
            sleep(RETRY).await;
            continue;
        };
        let ask = Ask { deadline: PATIENCE, ..Ask::path(&whole) };
        let exchange = connection.get(&ask.expect(Expected::all(content))).await;
        let right = exchange.verdict.as_ref().is_some_and(Verdict::is_clean);
        if let (true, None, Some(first)) = (right, &exchange.error, exchange.first_byte) {
            if !said(&exchange, "disk") {
                let message = format!("{} came from elsewhere: {:?}", whole, exchange.headers);
                return Err(CampaignError::Unfit(message));
            }
            return Ok(first - begun);
        }
    }
    Err(CampaignError::Unfit(format!("nothing was served within {PATIENCE:?} of a start")))
}

/// Whether an object came from disk; it has to come whole.
async fn ask(
    connection: &mut Connection,
    edge: &Edge,
    content: &Content,
) -> Result<bool, CampaignError> {
    let path = format!("{}/{}", edge.path(""), content.name());
    let ask = Ask { deadline: PATIENCE, ..Ask::path(&path) };
    let exchange = connection.get(&ask.expect(Expected::all(content))).await;
    if exchange.error.is_some() || !exchange.verdict.as_ref().is_some_and(Verdict::is_clean) {
        return Err(CampaignError::Unfit(format!("{path} is not served right: {exchange:?}")));
    }
    Ok(said(&exchange, "disk"))
}
