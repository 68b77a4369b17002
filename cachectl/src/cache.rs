//! `cachectl cache stats | explain | purge`

mod explain;

use url::form_urlencoded::byte_serialize;
use weir_config_admin::{
    CACHE_EXPLAIN, CACHE_PURGE, CACHE_STATS, CacheStats, DiskState, Explain, PurgeRequest,
    PurgeResult, TierStats,
};
use weir_edge_token::redact;

use crate::{
    Answer, World,
    cli::PurgeCommand,
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, level, percent, plain, table},
};

pub(crate) fn stats(client: &Client) -> Result<Answer, Failure> {
    let stats: CacheStats = client.get(CACHE_STATS)?;
    Ok(Answer::new(render_stats(&stats), &stats))
}

pub(crate) fn explain(client: &Client, url: &str) -> Result<Answer, Failure> {
    let encoded: String = byte_serialize(url.as_bytes()).collect();
    let mut explain: Explain = client.get(&format!("{CACHE_EXPLAIN}?url={encoded}"))?;
    explain.url = redact(&explain.url).into_owned();
    Ok(Answer::new(explain::render(&explain), &explain))
}

pub(crate) fn purge(
    client: &Client,
    command: PurgeCommand,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let PurgeCommand::Url { url, dry_run, yes } = command;
    let ask = |dry_run| {
        let request = PurgeRequest { url: url.clone(), dry_run };
        client.post::<PurgeResult>(CACHE_PURGE, &request)
    };
    if dry_run || yes {
        let result = ask(dry_run)?;
        return Ok(Answer::new(render_purge(&result), &result));
    }
    let Some(person) = world.ask.as_deref_mut() else {
        return Err(Failure::new(Code::Usage, "nobody is there to confirm the purge")
            .why("stdin or stderr is no terminal")
            .next("see what would go with --dry-run, then run it with --yes"));
    };
    let preview = ask(true)?;
    let question = format!(
        "purge {}, {} ({})? [y/N] ",
        counted(preview.objects, "object"),
        bytes(preview.bytes),
        plain(&redact(&url))
    );
    let answer = person(&question)
        .map_err(|error| Failure::new(Code::Failed, "cannot read the answer").why(error))?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        return Err(Failure::new(Code::Refused, "not confirmed; nothing changed"));
    }
    let result = ask(false)?;
    Ok(Answer::new(render_purge(&result), &result))
}

fn render_purge(result: &PurgeResult) -> String {
    let verb = if result.dry_run { "would purge" } else { "purged" };
    let mut out = format!("{verb} {}, {}", counted(result.objects, "object"), bytes(result.bytes));
    if !result.dry_run {
        out.push_str(&format!(" (purge epoch {})", result.epoch));
    }
    out.push('\n');
    for key in &result.sample {
        out.push_str(&format!("  {}\n", plain(key)));
    }
    if result.dry_run {
        out.push_str("nothing changed. run again without --dry-run.\n");
    }
    out
}

fn render_stats(stats: &CacheStats) -> String {
    let hits = stats.hits_memory + stats.hits_disk;
    let all = hits + stats.misses + stats.bypasses;
    let ratio = (all > 0).then(|| hits as f64 / all as f64);
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let rows = [
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
    let mut tiers = vec![tier("RAM", "", &stats.memory)];
    for disk in &stats.disks {
        let state = match disk.state {
            DiskState::Online => "online".to_owned(),
            DiskState::Offline => format!("OFFLINE after {}", counted(disk.errors, "error")),
        };
        tiers.push(tier(&plain(&disk.path), &state, &disk.tier));
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
