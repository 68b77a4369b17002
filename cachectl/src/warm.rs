//! `cachectl cache warm`: begins a job on the server and stays with it until it ends.

use std::{fs, path::Path, time::Duration};

use clap::{Args, ValueEnum};
use weir_config_admin::{
    CACHE_WARM, CACHE_WARM_CANCEL, Ladder, WarmCancel, WarmJob, WarmJobs, WarmNote, WarmRequest,
    WarmState,
};
use weir_config_units::BitRate;
use weir_edge_token::redact;

use crate::{
    Answer, World,
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, plain, table},
    time::span,
};

/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(500);
/// Looks between two lines where nobody watches.
const QUIET: u32 = 20;
/// Looks in a row that may fail before the job is left alone.
const PATIENCE: u32 = 5;
/// Longest file of URLs.
const FILE_MAX: u64 = 6 << 20;

#[derive(Debug, Args)]
pub(crate) struct Warm {
    /// As clients ask for it, with or without a token. A playlist (HLS, DASH) stands for all it
    /// lists; @FILE holds one a line.
    #[arg(
        value_name = "URL|PLAYLIST|@FILE",
        required_unless_present_any = ["jobs", "follow", "cancel"]
    )]
    what: Vec<String>,
    /// Renditions of a playlist: all of them, or the top rung with its audio.
    #[arg(long, value_enum, default_value = "all")]
    ladder: Rungs,
    /// What may come from upstreams for it, on average: 200Mbit.
    #[arg(long)]
    rate: Option<BitRate>,
    /// Pin what is fetched.
    #[arg(long)]
    pin: bool,
    /// Come back at once; the job goes on.
    #[arg(long)]
    detach: bool,
    /// List the jobs of the server.
    #[arg(long, conflicts_with_all = ["what", "follow", "cancel"])]
    jobs: bool,
    /// Stay with a job that runs.
    #[arg(long, value_name = "JOB", conflicts_with_all = ["what", "cancel"])]
    follow: Option<u64>,
    /// End a job that runs.
    #[arg(long, value_name = "JOB", conflicts_with = "what")]
    cancel: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rungs {
    All,
    Top,
}

pub(crate) fn warm(client: &Client, warm: &Warm, world: &mut World<'_>) -> Result<Answer, Failure> {
    if warm.jobs {
        let jobs: WarmJobs = client.get(CACHE_WARM)?;
        return Ok(Answer::new(render_jobs(&jobs), &jobs));
    }
    if let Some(job) = warm.cancel {
        client.post::<WarmJob>(CACHE_WARM_CANCEL, &WarmCancel { job })?;
        let job = ended(client, job, world)?;
        let note = match job.state {
            WarmState::Cancelled => format!("job {} is cancelled; what it fetched stays", job.job),
            _ => format!("job {} had ended before", job.job),
        };
        return Ok(answer(&job).code(Code::Ok).note(note));
    }
    if let Some(job) = warm.follow {
        return follow(client, job, world, false);
    }
    let request = WarmRequest {
        urls: urls(&warm.what)?,
        ladder: match warm.ladder {
            Rungs::All => Ladder::All,
            Rungs::Top => Ladder::Top,
        },
        rate_bits: warm.rate.map(BitRate::as_u64),
        pin: warm.pin,
    };
    let job: WarmJob = client.post(CACHE_WARM, &request)?;
    if warm.detach {
        let text =
            format!("job {} began; stay with it: cachectl cache warm --follow {0}\n", job.job);
        return Ok(Answer::new(text, &job));
    }
    follow(client, job.job, world, true)
}

/// The URLs of the arguments and of the files they name.
fn urls(what: &[String]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for one in what {
        match one.strip_prefix('@') {
            Some(path) => found.extend(lines(Path::new(path))?),
            None => found.push(url(one, "")?),
        }
    }
    match found.is_empty() {
        true => Err(Failure::new(Code::Usage, "the files name no URL")),
        false => Ok(found),
    }
}

fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let name = path.display();
    let cannot =
        |why: String| Failure::new(Code::Usage, format!("cannot read the URLs of {name}")).why(why);
    let long = fs::metadata(path).map_err(|error| cannot(error.to_string()))?.len();
    if long > FILE_MAX {
        let failure = cannot(format!("it is longer than {}", bytes(FILE_MAX)));
        return Err(failure.next("divide it, and warm the parts one after another"));
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            found.push(url(line, &format!(" (line {} of {name})", at + 1))?);
        }
    }
    Ok(found)
}

fn url(text: &str, place: &str) -> Result<String, Failure> {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Ok(text.to_owned());
    }
    let what = format!("not a URL: {}{place}", plain(&redact(text)));
    Err(Failure::new(Code::Usage, what)
        .why("it must begin with http:// or https:// and the host that clients name")
        .next("a file of URLs is @FILE"))
}

/// Stays with a job until it ends. Ctrl-C cancels a job of ours, and leaves another's alone.
fn follow(
    client: &Client,
    number: u64,
    world: &mut World<'_>,
    ours: bool,
) -> Result<Answer, Failure> {
    let path = format!("{CACHE_WARM}?job={number}");
    let goes_on = format!("cachectl cache warm --follow {number}");
    let (mut looks, mut failures) = (0_u32, 0);
    loop {
        let job: WarmJob = match client.get(&path) {
            Ok(job) => job,
            // A busy server is asked again; the job does not depend on us.
            Err(failure) if failure.code == Code::Temporary && failures < PATIENCE => {
                failures += 1;
                (world.pause)(LOOK);
                continue;
            }
            Err(failure) if failure.code == Code::NotFound => return Err(failure),
            Err(failure) => return Err(failure.next(goes_on)),
        };
        failures = 0;
        show(&job, looks, world);
        if job.state != WarmState::Running {
            clear(world);
            return Ok(answer(&job));
        }
        looks = looks.wrapping_add(1);
        if !(world.pause)(LOOK) {
            continue;
        }
        clear(world);
        if !ours {
            let note = format!("left alone: the job goes on on the server; come back: {goes_on}");
            return Ok(answer(&job).code(Code::Partial).note(note));
        }
        client.post::<WarmJob>(CACHE_WARM_CANCEL, &WarmCancel { job: number })?;
        let job = ended(client, number, world)?;
        let note = "cancelled by Ctrl-C; what was fetched stays (--detach lets a job go on)";
        return Ok(answer(&job).code(Code::Partial).note(note));
    }
}

/// A job that was cancelled, when it has ended.
fn ended(client: &Client, number: u64, world: &mut World<'_>) -> Result<WarmJob, Failure> {
    loop {
        let job: WarmJob = client.get(&format!("{CACHE_WARM}?job={number}"))?;
        if job.state != WarmState::Running {
            return Ok(job);
        }
        // It looks up at least that often.
        (world.pause)(Duration::from_millis(50));
    }
}

/// Progress goes to stderr: a line that is written over where somebody watches.
fn show(job: &WarmJob, looks: u32, world: &mut World<'_>) {
    let line = progress(job);
    // Nobody reads any more when this fails.
    let _ = match world.ask {
        Some(_) => write!(world.stderr, "\r\x1b[K{line}").and_then(|()| world.stderr.flush()),
        None if looks > 0 && looks.is_multiple_of(QUIET) => writeln!(world.stderr, "{line}"),
        None => Ok(()),
    };
}

fn clear(world: &mut World<'_>) {
    if world.ask.is_some() {
        let _ = write!(world.stderr, "\r\x1b[K").and_then(|()| world.stderr.flush());
    }
}

fn progress(job: &WarmJob) -> String {
    let failed = match job.failed {
        0 => String::new(),
        failed => format!(", {} failed", count(failed)),
    };
    format!(
        "{} of {}, {} fetched at {}, {} here already{failed}",
        count(job.settled()),
        counted(job.objects, "object"),
        bytes(job.fetched_bytes),
        speed(job),
        bytes(job.had_bytes),
    )
}

fn speed(job: &WarmJob) -> String {
    let bits = job.fetched_bytes.saturating_mul(8) as f64;
    match job.elapsed_ms {
        0 => "-".to_owned(),
        millis => format!("{:.1} Mbit/s", bits / millis as f64 / 1000.0),
    }
}

fn answer(job: &WarmJob) -> Answer {
    let complete = job.failed == 0 && job.state != WarmState::Cancelled;
    let code = if complete { Code::Ok } else { Code::Partial };
    let answer = Answer::new(render(job), job).code(code);
    let mut notes = Vec::new();
    if job.live > 0 {
        let live = counted(job.live, "live playlist");
        notes.push(format!("{live} read once: what is listed later is not here"));
    }
    if !job.on_disk && job.fetched > 0 {
        notes.push("the server has no disk: it is in RAM, while there is room".to_owned());
    }
    match notes.is_empty() {
        true => answer,
        false => answer.note(notes.join("\n")),
    }
}

fn render(job: &WarmJob) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let state = match job.state {
        WarmState::Running => "runs for",
        WarmState::Done => "done in",
        WarmState::Cancelled => "cancelled after",
    };
    let mut rows = vec![
        row("job", format!("{}, {state} {}", job.job, lasted(job.elapsed_ms))),
        row(
            "objects",
            format!(
                "{}: {} fetched, {} here already, {} failed, {} skipped",
                count(job.objects),
                count(job.fetched),
                count(job.had),
                count(job.failed),
                count(job.skipped)
            ),
        ),
        row(
            "bytes",
            format!(
                "{} fetched at {}, {} here already",
                bytes(job.fetched_bytes),
                speed(job),
                bytes(job.had_bytes)
            ),
        ),
    ];
    if job.playlists > 0 {
        rows.push(row("playlists", count(job.playlists)));
    }
    if job.pin {
        rows.push(row("pinned", counted(job.pinned, "object")));
    }
    let mut out = table("", &rows);
    for (name, notes, all) in
        [("failed", &job.failures, job.failed), ("skipped", &job.skips, job.skipped)]
    {
        notes_of(&mut out, name, notes, all);
    }
    out
}

fn notes_of(out: &mut String, name: &str, notes: &[WarmNote], all: u64) {
    if notes.is_empty() {
        return;
    }
    out.push_str(name);
    out.push('\n');
    let lines: Vec<_> = notes.iter().map(|note| vec![plain(&note.url), plain(&note.why)]).collect();
    out.push_str(&table("  ", &lines));
    let more = all.saturating_sub(notes.len() as u64);
    if more > 0 {
        out.push_str(&format!("  and {} more\n", count(more)));
    }
}

fn lasted(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        _ => span(millis / 1000),
    }
}

fn render_jobs(jobs: &WarmJobs) -> String {
    let row = |job: &WarmJob| {
        let state = match job.state {
            WarmState::Running => "runs",
            WarmState::Done => "done",
            WarmState::Cancelled => "cancelled",
        };
        vec![job.job.to_string(), state.to_owned(), progress(job), plain(&job.url)]
    };
    let rows: Vec<_> = jobs.jobs.iter().map(row).collect();
    match rows.is_empty() {
        true => "nothing was warmed since the server started\n".to_owned(),
        false => table("", &rows),
    }
}
