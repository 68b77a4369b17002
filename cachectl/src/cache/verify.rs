//! `cachectl cache verify`: disks read back. The node does a step whenever it is asked for one,
//! so that Ctrl-C ends all of it.

use std::time::Duration;

use serde::Serialize;
use weir_config_admin::{
    CACHE_SCRUB, DISKS, Damage, DiskReport, DiskState, Disks, ScrubRequest, ScrubStep,
};

use crate::{
    Answer, World,
    cli::{Rate, Scrub},
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, percent, plain, table},
};

/// The node itself waits for so long that a step takes its time.
const HELD: Duration = Duration::from_secs(1);

/// What a scrub of all disks found.
#[derive(Serialize)]
struct Report {
    disks: Vec<Scrubbed>,
    /// Disks that are not in use.
    skipped: Vec<String>,
    /// Somebody ended it.
    interrupted: bool,
}

/// What a scrub of one disk found.
#[derive(Default, Serialize)]
struct Scrubbed {
    disk: String,
    chunks: u64,
    bytes: u64,
    damaged_chunks: u64,
    /// At most a hundred.
    damaged: Vec<Damage>,
}

pub(crate) fn verify(
    client: &Client,
    scrub: &Scrub,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let mut report = Report { disks: Vec::new(), skipped: Vec::new(), interrupted: false };
    let names = match &scrub.disk {
        Some(disk) => vec![disk.clone()],
        None => {
            let all: Disks = client.get(DISKS)?;
            if all.disks.is_empty() {
                return Err(Failure::new(Code::NotFound, "this node has no disks")
                    .why("there is no [[cache.disk]] in its configuration"));
            }
            let in_use =
                |disk: &DiskReport| matches!(disk.state, DiskState::Online | DiskState::Full);
            let path = |disk: DiskReport| disk.path;
            let (used, not): (Vec<_>, Vec<_>) = all.disks.into_iter().partition(in_use);
            report.skipped = not.into_iter().map(path).collect();
            used.into_iter().map(path).collect()
        }
    };
    for name in names {
        let (disk, ended) = one(client, name, scrub.rate, world)?;
        report.disks.push(disk);
        if !ended {
            report.interrupted = true;
            break;
        }
    }
    let damaged: u64 = report.disks.iter().map(|disk| disk.damaged_chunks).sum();
    let code = match (damaged, report.skipped.is_empty()) {
        _ if report.interrupted => Code::Interrupted,
        (0, true) => Code::Ok,
        (0, false) => Code::Partial,
        _ => Code::Unhealthy,
    };
    Ok(Answer::new(render(&report), &report).code(code))
}

/// One disk, and whether it came to its end.
fn one(
    client: &Client,
    disk: String,
    Rate(rate): Rate,
    world: &mut World<'_>,
) -> Result<(Scrubbed, bool), Failure> {
    let mut done = Scrubbed { disk: disk.clone(), ..Scrubbed::default() };
    let mut request = ScrubRequest { disk, cursor: 0, rate };
    let mut told = 0;
    loop {
        let step: ScrubStep = client.post_slowly(CACHE_SCRUB, &request)?;
        done.disk = step.disk;
        done.chunks += step.chunks;
        done.bytes += step.bytes;
        done.damaged_chunks += step.damaged_chunks;
        let room = 100 - done.damaged.len().min(100);
        done.damaged.extend(step.damaged.into_iter().take(room));
        let Some(next) = step.next else { return Ok((done, true)) };
        request.cursor = next;
        let all = step.held_chunks.max(done.chunks).max(1);
        let percents = done.chunks * 100 / all;
        if percents > told {
            told = percents;
            let line = format!(
                "{}: {} of {}, {}, {} damaged\n",
                plain(&done.disk),
                percent(Some(done.chunks as f64 / all as f64)),
                counted(all, "chunk"),
                bytes(done.bytes),
                count(done.damaged_chunks)
            );
            // Progress that nobody can see is no reason to stop.
            let _ = world.stderr.write_all(line.as_bytes());
        }
        let due = Duration::try_from_secs_f64(step.bytes as f64 / rate as f64);
        if (world.pause)(due.unwrap_or(HELD).saturating_sub(HELD)) {
            return Ok((done, false));
        }
    }
}

fn render(report: &Report) -> String {
    let line = |disk: &Scrubbed| {
        let damaged = match disk.damaged_chunks {
            0 => "every chunk holds".to_owned(),
            damaged => format!("{} DAMAGED and dropped", count(damaged)),
        };
        vec![plain(&disk.disk), counted(disk.chunks, "chunk"), bytes(disk.bytes), damaged]
    };
    let rows: Vec<_> = report.disks.iter().map(line).collect();
    let mut out = table("", &rows);
    for disk in &report.disks {
        for damage in &disk.damaged {
            let chunk = damage.chunk.map(|chunk| format!("chunk {chunk} of ")).unwrap_or_default();
            let key = damage.key.as_deref().map_or_else(
                || "an object that nobody asks for any more, or that the damage hides".to_owned(),
                plain,
            );
            out.push_str(&format!("  ! {}: {chunk}{key}\n", plain(&disk.disk)));
        }
        let unnamed = disk.damaged_chunks - (disk.damaged.len() as u64).min(disk.damaged_chunks);
        if unnamed > 0 {
            out.push_str(&format!("  ! and {} more\n", count(unnamed)));
        }
    }
    if report.interrupted {
        out.push_str("interrupted: what was not read yet was not checked\n");
    }
    for disk in &report.skipped {
        out.push_str(&format!("{} is not in use and was left out\n", plain(disk)));
    }
    out
}
