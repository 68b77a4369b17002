//! `cargo xtask bench metadata`: RAM of the metadata table for each object, how soon it answers
//! after a kill, and what a kill costs of it while thousands of objects a second come.
//!
//! Every measurement is a process of its own, this program again: memory is what the kernel
//! says it has more than before, allocator and all.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use weir_benches_load::campaign::{
    CampaignError, Figures, Options, Place,
    figures::median,
    memory::Resident,
    program,
    segments::{key, object},
};
use weir_edge_cache::{Cache, CacheConfig, OBJECT_BYTES, ObjectId};

/// Objects of the measured table, in full and in short.
const OBJECTS: (u64, u64) = (1_000_000, 100_000);
/// And of the large one, run where so much memory is free.
const MANY: u64 = 10_000_000;
const MANY_MEMORY: u64 = 6 << 30;
const ROUNDS: (usize, usize) = (5, 1);
/// Objects a second while it is killed, for so long.
const RATE: u64 = 10_000;
const LONG: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));
/// A process that nobody kills ends after so many.
const POURED_MAX: u64 = RATE * 60;
const ACCEPTED: Duration = Duration::from_secs(1);
/// A child that says nothing for so long has hung; 10^7 objects take minutes.
const PATIENCE: Duration = Duration::from_secs(1200);

#[derive(Debug, Parser)]
#[command(name = "bench-metadata")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Objects in the measured table.
    #[arg(long)]
    objects: Option<u64>,
    /// Leave the table of 10^7 objects out.
    #[arg(long)]
    no_many: bool,
    #[arg(long, hide = true)]
    child: Option<Measurement>,
    #[arg(long, hide = true)]
    state: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Measurement {
    Fill,
    Open,
    Pour,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.child {
        Some(measurement) => child(&arguments, measurement).map(|()| true),
        None => campaign(&arguments),
    };
    program::ended("metadata", outcome)
}

fn campaign(arguments: &Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let place = Place::new(options)?;
    let objects = arguments.objects.unwrap_or(if options.quick { OBJECTS.1 } else { OBJECTS.0 });
    let mut figures = Figures::of("metadata");
    let free = available()?;
    let many = !options.quick && !arguments.no_many && free >= MANY_MEMORY;
    sized(&mut figures, objects, many, free)?;
    recovery(&mut figures, place.path(), objects, many, options)?;
    kept(&mut figures, place.path(), options)?;
    figures.finish(options)
}

fn sized(figures: &mut Figures, objects: u64, many: bool, free: u64) -> Result<(), CampaignError> {
    let fill = |objects: u64| -> Result<Filled, CampaignError> {
        let mut words = Started::new(Measurement::Fill, objects, None)?;
        let filled = Filled::parse(&words.line()?)?;
        println!("{objects} objects: {filled:?}");
        Ok(filled)
    };
    let measured = fill(objects)?;
    let mut note = format!(
        "measured with {objects} objects: {} B resident, {} B as the table counts",
        measured.resident, measured.counted
    );
    let mut worst = measured.resident;
    if many {
        let large = fill(MANY)?;
        worst = worst.max(large.resident);
        note += &format!(
            "; and with 10^7, by run: {} B resident, {} B as the table counts. The larger counts",
            large.resident, large.counted
        );
    } else {
        note += &format!(
            "; 10^7 not run ({} MiB free): extrapolated as the same, since dictionaries and the \
             unpacked share grow slower than objects",
            free >> 20
        );
    }
    figures.add(
        "metadata.bytes_per_object",
        "RAM an object of the metadata table, all inclusive (hash table, allocator, eviction, \
         read counter, unpacked hot objects), after a fifth of them was replaced: key of 80 \
         characters, 900 objects a folder; ETag of 32 digits, Last-Modified, Content-Type, \
         Content-Length, Cache-Control, Accept-Ranges, Server; no tags; one chunk. A further \
         chunk costs the table nothing",
        (&format!("<= {OBJECT_BYTES}"), "B"),
        worst,
        if many { 2 } else { 1 },
        Some(note),
    );
    Ok(())
}

fn recovery(
    figures: &mut Figures,
    place: &Path,
    objects: u64,
    many: bool,
    options: &Options,
) -> Result<(), CampaignError> {
    let mut sizes = vec![(objects, if options.quick { ROUNDS.1 } else { ROUNDS.0 })];
    if many {
        sizes.push((MANY, 1));
    }
    for (objects, rounds) in sizes {
        let state = place.join(format!("metadata-{objects}.redb"));
        let mut filler = Started::new(Measurement::Fill, objects, Some(&state))?;
        filler.line()?;
        filler.kill();
        let mut opened = Vec::new();
        for round in 0..rounds {
            let mut opener = Started::new(Measurement::Open, objects, Some(&state))?;
            let found = Opened::parse(&opener.line()?)?;
            opener.kill();
            println!("{objects} objects, round {round}: {found:?}");
            if found.objects != objects {
                return Err(CampaignError::Unfit(format!(
                    "of {objects} objects {} were there after a kill",
                    found.objects
                )));
            }
            opened.push(found);
        }
        let middle = |of: fn(&Opened) -> f64| median(&opened.iter().map(of).collect::<Vec<_>>());
        let size = std::fs::metadata(&state).map_or(0, |file| file.len() >> 20);
        let which =
            if objects == MANY { "metadata.first_lookup_s.1e7" } else { "metadata.first_lookup_s" };
        figures.add(
            which,
            "From opening the state file of a killed process to the first object found in it",
            ("< 1", "s"),
            middle(|opened| opened.first),
            rounds as u64,
            Some(format!(
                "{objects} objects in {size} MiB; 1,000 lookups meanwhile took {:.3} s together; \
                 all were in RAM after {:.1} s",
                middle(|opened| opened.thousand),
                middle(|opened| opened.all),
            )),
        );
        std::fs::remove_file(&state)
            .map_err(|source| CampaignError::File { path: state.clone(), source })?;
    }
    Ok(())
}

/// What is left of objects put at a rate when the process is killed.
fn kept(figures: &mut Figures, place: &Path, options: &Options) -> Result<(), CampaignError> {
    let (long, rounds) = if options.quick { (LONG.1, ROUNDS.1) } else { (LONG.0, ROUNDS.0) };
    let (mut kept, mut accepted) = (0, 0);
    for round in 0..rounds {
        let state = place.join(format!("poured-{round}.redb"));
        let mut pourer = Started::new(Measurement::Pour, u64::MAX, Some(&state))?;
        let started = Instant::now();
        let mut said = Vec::new();
        while started.elapsed() < long {
            let line = pourer.line()?;
            said.push((Instant::now(), number(&line)?));
        }
        let killed = Instant::now();
        pourer.kill();
        let old = said.iter().filter(|(when, _)| killed - *when >= ACCEPTED);
        let old = old.map(|(_, count)| *count).max().unwrap_or(0);
        let mut opener = Started::new(Measurement::Open, old, Some(&state))?;
        let found = Opened::parse(&opener.line()?)?;
        opener.kill();
        println!("round {round}: {} of {old} kept", found.found);
        kept += found.found;
        accepted += old;
    }
    figures.add(
        "metadata.kept_ratio",
        format!(
            "Objects found after a SIGKILL, of those put longer than {} s before it at \
                 {RATE} objects a second",
            ACCEPTED.as_secs()
        ),
        (">= 0.99", "share"),
        if accepted == 0 { 0.0 } else { kept as f64 / accepted as f64 },
        rounds as u64,
        Some(format!("{kept} of {accepted}")),
    );
    Ok(())
}

#[derive(Debug)]
struct Filled {
    resident: f64,
    counted: f64,
}

impl Filled {
    fn parse(line: &str) -> Result<Self, CampaignError> {
        let [resident, counted] = numbers(line)?;
        Ok(Self { resident, counted })
    }
}

#[derive(Debug)]
struct Opened {
    /// Until the first object was found, and then for a thousand more, and until all were in
    /// RAM; seconds.
    first: f64,
    thousand: f64,
    all: f64,
    objects: u64,
    found: u64,
}

impl Opened {
    fn parse(line: &str) -> Result<Self, CampaignError> {
        let [first, thousand, all, objects, found] = numbers(line)?;
        Ok(Self { first, thousand, all, objects: objects as u64, found: found as u64 })
    }
}

fn number(line: &str) -> Result<u64, CampaignError> {
    let [number] = numbers(line)?;
    Ok(number as u64)
}

fn numbers<const N: usize>(line: &str) -> Result<[f64; N], CampaignError> {
    let parsed: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
    let parsed = parsed.ok().and_then(|numbers| <[f64; N]>::try_from(numbers).ok());
    parsed.ok_or_else(|| CampaignError::Unfit(format!("a measurement said `{}`", line.trim())))
}

/// A child that measures; killed at the latest when this is dropped.
struct Started {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Started {
    fn new(
        measurement: Measurement,
        objects: u64,
        state: Option<&Path>,
    ) -> Result<Self, CampaignError> {
        let name = format!("{measurement:?}").to_lowercase();
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.args(["--child", &name, "--objects", &objects.to_string()]);
        if let Some(state) = state {
            command.arg("--state").arg(state);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().expect("it is piped");
        // A few lines at a time; a child that nobody reads any more is killed.
        let (sender, lines) = std::sync::mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    fn line(&mut self) -> Result<String, CampaignError> {
        self.lines
            .recv_timeout(PATIENCE)
            .map_err(|_| CampaignError::Unfit("a measurement ended or hung without a word".into()))
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.kill();
    }
}

fn available() -> Result<u64, CampaignError> {
    let path = PathBuf::from("/proc/meminfo");
    let text =
        std::fs::read_to_string(&path).map_err(|source| CampaignError::File { path, source })?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .ok_or_else(|| CampaignError::Unfit("/proc/meminfo is not as expected".into()))
}

fn child(arguments: &Arguments, measurement: Measurement) -> Result<(), CampaignError> {
    let objects = arguments.objects.unwrap_or(OBJECTS.1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match measurement {
        Measurement::Fill => runtime.block_on(fill(objects, arguments.state.clone())),
        Measurement::Open => runtime.block_on(open(objects, arguments.state.clone())),
        Measurement::Pour => pour(arguments.state.clone()),
    }
}

/// A table with some room to spare: it is about what objects take, and shards are never full
/// to the last place at once.
fn cache(objects: u64, state: Option<PathBuf>) -> Result<Cache, CampaignError> {
    let room = objects + objects / 16 + 1024;
    let config = CacheConfig {
        memory_bytes: 16 << 20,
        state,
        metadata_objects_max: usize::try_from(room).unwrap_or(usize::MAX),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    Cache::open_at(&config, None, now).map_err(|error| CampaignError::Unfit(error.to_string()))
}

async fn fill(objects: u64, state: Option<PathBuf>) -> Result<(), CampaignError> {
    let before = Resident::of(std::process::id())?;
    let durable = state.is_some();
    let cache = cache(objects, state)?;
    for number in 0..objects {
        cache.put_object(object(number, cache.next_generation()));
        // The state file shall follow, and not gather all of it in memory.
        if durable && number % 50_000 == 0 {
            cache.flush().await;
        }
    }
    for number in (0..objects).step_by(5) {
        let object = object(number, cache.next_generation());
        let (id, key) = (object.id, object.key.clone());
        cache.put_object(object);
        if cache.object(&id, &key).is_none() {
            return Err(CampaignError::Unfit("an object is gone that was just put".into()));
        }
        if durable && number % 50_000 == 0 {
            cache.flush().await;
        }
    }
    cache.flush().await;
    let stats = cache.stats();
    if stats.objects != objects {
        let lost = objects - stats.objects;
        return Err(CampaignError::Unfit(format!("{lost} of {objects} objects did not fit")));
    }
    let after = Resident::of(std::process::id())?;
    let more = after.anonymous.saturating_sub(before.anonymous) as f64;
    say(&format!("{} {}", more / objects as f64, stats.metadata_bytes as f64 / objects as f64))?;
    // Killed here where a state file is to be left behind as a kill leaves it.
    if durable {
        #[expect(clippy::disallowed_methods, reason = "it waits to be killed")]
        std::thread::sleep(PATIENCE);
    }
    Ok(())
}

async fn open(objects: u64, state: Option<PathBuf>) -> Result<(), CampaignError> {
    let from = Instant::now();
    // There may be more than are looked for.
    let cache = cache(objects.max(POURED_MAX), state)?;
    let look = |number: u64| {
        let key = key(number);
        cache.object(&ObjectId::of(&key), &key).is_some()
    };
    let nth = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % objects.max(1);
    let mut found_first = false;
    for n in 0..1000 {
        found_first |= look(nth(n));
        if found_first {
            break;
        }
    }
    let first = from.elapsed();
    (0..1000).for_each(|n| {
        look(nth(n));
    });
    let thousand = from.elapsed() - first;
    cache.recovered().await;
    let all = from.elapsed();
    let found = (0..objects).filter(|number| look(*number)).count();
    let seconds = |time: Duration| time.as_secs_f64();
    say(&format!(
        "{} {} {} {} {found}",
        seconds(first),
        seconds(thousand),
        seconds(all),
        cache.stats().objects
    ))
}

/// Puts at a rate, and says every now and then how many were put.
fn pour(state: Option<PathBuf>) -> Result<(), CampaignError> {
    let cache = cache(POURED_MAX, state)?;
    let from = Instant::now();
    for number in 0..POURED_MAX {
        cache.put_object(object(number, cache.next_generation()));
        if (number + 1) % (RATE / 20) == 0 {
            say(&(number + 1).to_string())?;
            let due = Duration::from_secs_f64((number + 1) as f64 / RATE as f64);
            #[expect(clippy::disallowed_methods, reason = "a rate is a matter of time")]
            std::thread::sleep(due.saturating_sub(from.elapsed()));
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<(), CampaignError> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
