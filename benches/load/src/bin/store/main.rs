//! `cargo xtask bench store`: the disk tier alone: CPU for each GB read and written, write
//! amplification, byte hit ratio, recovery after a kill, pins.
//!
//! Every measurement is a process of its own, this program again, with a store in a directory
//! of its own. The figures carry the engine's name: those of the engine before it (decision
//! 0019) were measured by the same work.

mod trace;
mod work;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::Parser;
use serde_json::Value;
use weir_benches_load::campaign::{CampaignError, Figures, Options, Place, figures::median};

use self::{trace::Trace, work::unfit};

const MIB: u64 = 1 << 20;
/// The store that is read and recovered, in full and in short.
const LARGE: (u64, u64) = (4096 * MIB, 512 * MIB);
/// The store that is written and asked.
const SMALL: (u64, u64) = (1024 * MIB, 256 * MIB);
/// Chunks of 1 MiB read, and MiB written.
const READ: (u64, u64) = (8192, 512);
const WRITTEN: (u64, u64) = (4096, 384);
/// Requests of a trace.
const REQUESTS: (u64, u64) = (90_000, 22_000);
const ROUNDS: (usize, usize) = (3, 1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measurement {
    Read,
    Write,
    Pour,
    Fill,
    Recover,
    Pin,
    Replay(Trace),
}

impl Measurement {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Pour => "pour",
            Self::Fill => "fill",
            Self::Recover => "recover",
            Self::Pin => "pin",
            Self::Replay(trace) => trace.name(),
        }
    }

    fn from_name(name: &str) -> Result<Self, String> {
        let replays = Trace::ALL.map(Self::Replay);
        let all = [Self::Read, Self::Write, Self::Pour, Self::Fill, Self::Recover, Self::Pin];
        let mut all = all.into_iter().chain(replays);
        all.find(|known| known.name() == name).ok_or_else(|| format!("no measurement `{name}`"))
    }
}

#[derive(Debug, Parser)]
#[command(name = "bench-store")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Where the stores are made: the disk to measure. A directory of the system's by default.
    #[arg(long)]
    on: Option<PathBuf>,
    /// This process is only one measurement.
    #[arg(long, hide = true, value_parser = Measurement::from_name)]
    child: Option<Measurement>,
    #[arg(long, hide = true, default_value_t = 0)]
    size: u64,
    #[arg(long, hide = true, default_value_t = 0)]
    amount: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.child {
        Some(measurement) => child(&arguments, measurement).map(|()| true),
        None => campaign(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("store: {}", error.chain());
            ExitCode::from(2)
        }
    }
}

fn child(arguments: &Arguments, measurement: Measurement) -> Result<(), CampaignError> {
    let Some(directory) = &arguments.on else {
        return Err(unfit("a measurement needs a directory"));
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (size, amount) = (arguments.size, arguments.amount);
    let work = work::measure(measurement, directory, size, amount, arguments.options.seed);
    let found = runtime.block_on(work)?;
    let mut out = std::io::stdout();
    writeln!(out, "{found}")?;
    out.flush()?;
    if measurement == Measurement::Fill {
        // Nothing is closed in order: whoever started this kills it.
        std::thread::park();
    }
    Ok(())
}

/// A campaign under way.
struct Campaign<'a> {
    options: &'a Options,
    place: &'a Path,
    figures: Figures,
}

impl Campaign<'_> {
    /// Of full and short.
    fn pick<T>(&self, (full, short): (T, T)) -> T {
        if self.options.quick { short } else { full }
    }

    /// Runs one measurement and kills its process after its one line.
    fn run(
        &self,
        measurement: Measurement,
        directory: &Path,
        size: u64,
        amount: u64,
    ) -> Result<Value, CampaignError> {
        fs::create_dir_all(directory)?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--child", measurement.name()])
            .args(["--size", &size.to_string(), "--amount", &amount.to_string()])
            .args(["--seed", &self.options.seed.to_string()])
            .arg("--on")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(out).read_line(&mut line);
        // The stores that are to be recovered end like this; the others ended by themselves.
        let _ = process.kill();
        process.wait()?;
        read?;
        let name = measurement.name();
        let found: Value = serde_json::from_str(&line)
            .map_err(|_| unfit(format!("measuring `{name}` ended without a word")))?;
        println!("{name}: {found}");
        Ok(found)
    }

    /// As [`Campaign::run`], in a directory that is gone afterwards.
    fn run_once(
        &self,
        measurement: Measurement,
        size: u64,
        amount: u64,
    ) -> Result<Value, CampaignError> {
        let directory = self.place.join("store");
        let found = self.run(measurement, &directory, size, amount);
        fs::remove_dir_all(&directory)?;
        found
    }

    /// What every round found.
    fn rounds(
        &self,
        measurement: Measurement,
        size: u64,
        amount: u64,
    ) -> Result<Vec<Value>, CampaignError> {
        (0..self.pick(ROUNDS)).map(|_| self.run_once(measurement, size, amount)).collect()
    }

    fn reading(&mut self) -> Result<(), CampaignError> {
        let (size, amount) = (self.pick(LARGE), self.pick(READ));
        let found = self.rounds(Measurement::Read, size, amount)?;
        if found.iter().any(|found| number(found, "found") < number(found, "asked") * 0.99) {
            return Err(unfit("chunks were missing that a store had room for"));
        }
        let of = |name| middle(&found, name);
        self.figures.add(
            "store.extent.cpu_s_per_gb",
            "CPU of the whole process for each GB of 1 MiB chunks read from the disk and \
             verified, none of it in the page cache, 8 reads at a time",
            ("> 0", "CPU-s/GB"),
            of("cpu_s_per_gb"),
            found.len() as u64,
            Some(format!(
                "{:.2} GB/s; again with whatever the kernel kept: {:.3} CPU-s/GB, {:.2} GB/s",
                of("gb_per_s"),
                of("warm_cpu_s_per_gb"),
                of("warm_gb_per_s"),
            )),
        );
        Ok(())
    }

    fn writing(&mut self) -> Result<(), CampaignError> {
        let (size, amount) = (self.pick(SMALL), self.pick(WRITTEN));
        let found = self.rounds(Measurement::Write, size, amount)?;
        let of = |name| middle(&found, name);
        self.figures.add(
            "store.extent.write_amplification",
            "Bytes written to the store's files for each byte accepted, heads, padding, logs \
             and manifests included; chunks of 5 KB to 1 MiB into a full store",
            (">= 1", "ratio"),
            of("told"),
            found.len() as u64,
            Some(format!(
                "as the kernel counts for the process: {:.3} (what is overwritten before \
                 the kernel wrote it back is not written); {:.3} CPU-s/GB without the \
                 kernel's own threads, {:.2} GB/s, {} chunks lost",
                of("amplification"),
                of("cpu_s_per_gb"),
                of("gb_per_s"),
                of("lost"),
            )),
        );
        Ok(())
    }

    fn pouring(&mut self) -> Result<(), CampaignError> {
        let (size, amount) = (self.pick(SMALL), self.pick(WRITTEN));
        let found = self.rounds(Measurement::Pour, size, amount)?;
        if found.iter().any(|found| number(found, "lost") > 0.0) {
            return Err(unfit("a sound disk lost chunks"));
        }
        let of = |name| middle(&found, name);
        self.figures.add(
            "store.extent.write_cpu_s_per_gb",
            "CPU of the whole process for each GB of 1 MiB chunks written into a full store past \
             the page cache, 4 at a time, as fast as the disk takes them",
            ("> 0", "CPU-s/GB"),
            of("cpu_s_per_gb"),
            found.len() as u64,
            Some(format!(
                "{:.0} MB/s over {:.1} GB; a sync at the end took {:.3} s",
                of("mb_per_s"),
                of("gb"),
                of("sync_s"),
            )),
        );
        Ok(())
    }

    fn asking(&mut self) -> Result<(), CampaignError> {
        let (size, requests) = (self.pick(SMALL), self.pick(REQUESTS));
        for trace in Trace::ALL {
            let measurement = Measurement::Replay(trace);
            let found = self.run_once(measurement, size, requests)?;
            if number(&found, "failures") > 0.0 {
                return Err(unfit("a sound disk failed"));
            }
            self.figures.add(
                format!("store.extent.byte_hit_ratio.{}", trace.name()),
                format!(
                    "Bytes found on disk of bytes asked for, once it is full: {}",
                    trace.what()
                ),
                (">= 0", "share"),
                number(&found, "ratio"),
                1,
                Some(format!(
                    "{} requests, {:.1} GB counted, everything admitted; {:.0} s",
                    number(&found, "requests"),
                    number(&found, "gb"),
                    number(&found, "seconds"),
                )),
            );
        }
        Ok(())
    }

    fn recovering(&mut self) -> Result<(), CampaignError> {
        let size = self.pick(LARGE);
        let directory = self.place.join("store");
        let filled = self.run(Measurement::Fill, &directory, size, 0)?;
        let (mut seconds, mut there, mut sound) = (Vec::new(), 1.0_f64, true);
        for _ in 0..self.pick(ROUNDS) {
            let found = self.run(Measurement::Recover, &directory, size, 0)?;
            seconds.push(number(&found, "seconds"));
            there = there.min(number(&found, "there") / number(&found, "asked"));
            sound &= number(&found, "read") >= number(&found, "looked") * 0.99;
        }
        fs::remove_dir_all(&directory)?;
        if !sound {
            return Err(unfit("chunks were recovered that cannot be read"));
        }
        let bytes = number(&filled, "bytes");
        self.figures.add(
            "store.extent.recovery_s_per_10gb",
            "From opening the store of a killed process until it knows all its chunks, for \
             each 10 GB of chunks of 1 MiB; nothing in the page cache",
            ("> 0", "s"),
            median(&seconds) * 10e9 / bytes,
            seconds.len() as u64,
            Some(format!(
                "measured with {:.1} GB: {:.3} s; {:.1} % of them were there",
                bytes / 1e9,
                median(&seconds),
                there * 100.0
            )),
        );
        Ok(())
    }

    fn pinning(&mut self) -> Result<(), CampaignError> {
        let size = self.pick(SMALL);
        let found = self.run_once(Measurement::Pin, size, 0)?;
        let can = found["can"].as_bool().unwrap_or(false);
        self.figures.add(
            "store.extent.pinned_kept",
            "Share of pinned chunks, a tenth of the store, that are there after three times \
             its size came through",
            ("1", "share"),
            number(&found, "ratio"),
            1,
            Some(if can { "it can pin" } else { "it cannot pin" }.to_owned()),
        );
        Ok(())
    }
}

fn campaign(arguments: &Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let place = Place::new(options)?;
    let on = match &arguments.on {
        Some(disk) => {
            fs::create_dir_all(disk)?;
            Some(tempfile::Builder::new().prefix("weir-bench-").tempdir_in(disk)?)
        }
        None => None,
    };
    let place = on.as_ref().map_or(place.path(), |on| on.path());
    let mut campaign = Campaign { options, place, figures: Figures::of("store") };
    campaign.reading()?;
    campaign.writing()?;
    campaign.pouring()?;
    campaign.recovering()?;
    campaign.pinning()?;
    campaign.asking()?;
    campaign.figures.finish(options)
}

fn number(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap_or(0.0)
}

fn middle(found: &[Value], name: &str) -> f64 {
    median(&found.iter().map(|found| number(found, name)).collect::<Vec<_>>())
}
