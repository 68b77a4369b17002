//! `cachectl cache stats | explain | purge | ls | get | pin | unpin | verify`

mod explain;
mod get;
mod ls;
mod named;
mod pin;
mod purge;
mod verify;

use weir_config_admin::{CACHE_STATS, CacheStats, DiskState, TierStats};

pub(crate) use self::{
    explain::{ExplainUrl, explain, sections_of_decided},
    get::get,
    ls::ls,
    named::url,
    pin::{pin, unpin},
    purge::purge,
    verify::verify,
};
use crate::{
    Answer,
    client::Client,
    failure::Failure,
    print::{bytes, count, counted, level, percent, plain, table},
};

pub(crate) fn stats(client: &Client) -> Result<Answer, Failure> {
    let stats: CacheStats = client.get(CACHE_STATS)?;
    Ok(Answer::new(render_stats(&stats), &stats))
}

fn render_stats(stats: &CacheStats) -> String {
    let hits = stats.hits_memory + stats.hits_disk;
    let all = hits + stats.misses + stats.bypasses;
    let ratio = (all > 0).then(|| hits as f64 / all as f64);
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = vec![
        row(
            "objects",
            format!("{}, {} under way", count(stats.objects), counted(stats.fills, "fill")),
        ),
        row(
            "hit ratio",
            format!(
                "{}   RAM {}, disk {}, missed {}, bypassed {}",
                percent(ratio),
                count(stats.hits_memory),
                count(stats.hits_disk),
                count(stats.misses),
                count(stats.bypasses)
            ),
        ),
        row(
            "fills",
            format!(
                "{} received, {} followed somebody else's",
                bytes(stats.fill_bytes),
                counted(stats.collapsed, "request")
            ),
        ),
        row(
            "checksums",
            match stats.checksum_failures {
                0 => "no failure".to_owned(),
                failures => format!("{}, fetched again", counted(failures, "failure")),
            },
        ),
        row("epoch", count(stats.purge_epoch)),
    ];
    if stats.pinned_limit > 0 {
        let level = level(stats.pinned_bytes, stats.pinned_limit);
        rows.push(row("pinned", format!("{}, {level}", counted(stats.pinned_objects, "object"))));
    }
    let mut tiers = vec![tier("RAM", "", &stats.memory)];
    for disk in &stats.disks {
        let name = plain(&disk.path);
        let state = match disk.state {
            DiskState::Online => "online",
            DiskState::Full => "FULL",
            DiskState::Opening => "opening",
            // What it holds is a miss, and nobody can look how much it is.
            DiskState::Offline => {
                let what = match disk.errors {
                    0 => "OFFLINE".to_owned(),
                    errors => format!("OFFLINE after {}", counted(errors, "error")),
                };
                let written = format!("{} written", bytes(disk.tier.written_bytes));
                let not = || "-".to_owned();
                tiers.push(vec![name, not(), not(), not(), written, not(), what]);
                continue;
            }
        };
        tiers.push(tier(&name, state, &disk.tier));
    }
    format!("{}tiers\n{}", table("", &rows), table("  ", &tiers))
}

fn tier(name: &str, state: &str, tier: &TierStats) -> Vec<String> {
    vec![
        name.to_owned(),
        level(tier.bytes, tier.limit),
        counted(tier.chunks, "chunk"),
        format!("{} evicted", count(tier.evictions)),
        format!("{} written", bytes(tier.written_bytes)),
        format!("{} refused", bytes(tier.refused_bytes)),
        state.to_owned(),
    ]
}
