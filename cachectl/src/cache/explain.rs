//! Why one URL is a hit or a miss, on one page.

use clap::Args;
use url::form_urlencoded::byte_serialize;
use weir_config_admin::{
    CACHE_EXPLAIN, CACHE_OBJECT_VERIFY, CacheVerdict, ChunkState, Decided, Explain, ExplainVariant,
    ObjectVerified, ObjectVerify, Tier, Verified,
};
use weir_edge_token::redact;

use super::named;
use crate::{
    Answer,
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, plain, table},
    time::{span, utc},
};

#[derive(Debug, Args)]
pub(crate) struct ExplainUrl {
    /// As a client asks for it, with or without its token.
    url: String,
    /// A field of the request, as often as wanted: it may select another variant, or want a
    /// fresher answer.
    #[arg(short = 'H', long = "header", value_name = "Name: value")]
    headers: Vec<String>,
    /// A HEAD request rather than GET: its answers may be stored for themselves.
    #[arg(long, short = 'I')]
    head: bool,
    /// Read what is stored back from the disks and check it.
    #[arg(long)]
    verify: bool,
}

pub(crate) fn explain(client: &Client, asked: &ExplainUrl) -> Result<Answer, Failure> {
    named::url(&asked.url)?;
    let encoded =
        |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let mut path = format!("{CACHE_EXPLAIN}?url={}", encoded(&asked.url));
    if asked.head {
        path.push_str("&method=HEAD");
    }
    for header in &asked.headers {
        if !header.contains(':') {
            let what = format!("not a header: {}", plain(header));
            return Err(Failure::new(Code::Usage, what).next("write -H 'Accept-Encoding: br'"));
        }
        path.push_str(&format!("&header={}", encoded(header)));
    }
    let mut explain: Explain = client.get(&path)?;
    explain.url = redact(&explain.url).into_owned();
    if asked.verify {
        explain.verified = verified(client, &explain)?;
    }
    let damaged = explain.verified.as_ref().is_some_and(|found| found.damaged > 0);
    let code = if damaged { Code::Unhealthy } else { Code::Ok };
    Ok(Answer::new(render(&explain), &explain).code(code))
}

/// Reads every copy back, step by step; nothing where nothing is stored.
fn verified(client: &Client, explain: &Explain) -> Result<Option<Verified>, Failure> {
    let (Some(id), Some(generation)) = (&explain.id, explain.generation) else { return Ok(None) };
    let mut found = Verified::default();
    let to = u32::try_from(explain.chunks.total).unwrap_or(u32::MAX);
    let mut from = Some(0).filter(|from| *from < to);
    while let Some(first) = from {
        let order = ObjectVerify { id: id.clone(), generation, from: first, to };
        let step: ObjectVerified = client.post(CACHE_OBJECT_VERIFY, &order)?;
        for copy in &step.copies {
            *match copy.state {
                ChunkState::Sound => &mut found.sound,
                ChunkState::Damaged => &mut found.damaged,
                ChunkState::Memory => &mut found.memory,
                ChunkState::Missing => &mut found.missing,
            } += 1;
        }
        // A server that does not get on is not asked for ever.
        from = step.next.filter(|next| *next > first);
    }
    Ok(Some(found))
}

fn render(explain: &Explain) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = vec![row("url", plain(&explain.url)), row("key", key(explain))];
    if let Some(service) = &explain.service {
        let rule = explain.rule.as_deref().map(|rule| format!(" ({})", plain(rule)));
        rows.push(row("service", format!("{}{}", plain(service), rule.unwrap_or_default())));
    }
    rows.push(row("place", place(explain)));
    if let Some(status) = explain.status {
        rows.push(row("status", status.to_string()));
    }
    if let Some(fresh) = fresh(explain) {
        rows.push(row("fresh", fresh));
    }
    if let Some(pin) = &explain.pin {
        rows.push(row(
            "pinned",
            match pin.until_unix_s {
                Some(until) => format!("until {}", utc(until)),
                None => "until it is unpinned or purged".to_owned(),
            },
        ));
    }
    if !explain.tags.is_empty() {
        rows.push(row("tags", plain(&explain.tags.join(", "))));
    }
    if !explain.vary.is_empty() {
        let text = format!(
            "{}: {}",
            plain(&explain.vary.join(", ")),
            counted(explain.variants.len() as u64, "variant")
        );
        rows.push(row("varies on", text));
    }
    if let Some(found) = &explain.verified {
        rows.push(row("checksums", checksums(found)));
    }
    if let Some(order) = &explain.purge {
        let mode = if order.soft { "softly" } else { "hard" };
        let what = format!("{} {}", plain(&order.kind), plain(&order.what));
        let purge = format!(
            "{mode} by {}, epoch {}, {}",
            what.trim_end(),
            count(order.epoch),
            utc(order.at)
        );
        rows.push(row("purged", purge));
    }
    if let Some(upstream) = &explain.upstream {
        rows.push(row("upstream", plain(upstream)));
    }
    let verdict = match explain.verdict {
        CacheVerdict::Hit => "HIT",
        CacheVerdict::Stale => "STALE",
        CacheVerdict::Miss => "MISS",
        CacheVerdict::Bypass => "BYPASS",
        CacheVerdict::Refused => "REFUSED",
    };
    rows.push(row("next", format!("{verdict}. {}", plain(&explain.why))));
    let mut out = table("", &rows);
    sections(explain, &mut out);
    out
}

/// What decided, one thing a line; nothing where nothing did.
pub(crate) fn sections_of_decided(decided: &[Decided]) -> String {
    let rows = self::decided(decided);
    if rows.is_empty() { String::new() } else { format!("decided by\n{}", table("  ", &rows)) }
}

fn decided(decided: &[Decided]) -> Vec<Vec<String>> {
    let row = |one: &Decided| vec![plain(&one.what), plain(&one.value), plain(&one.by)];
    decided.iter().map(row).collect()
}

/// Lists below the table, each where there is anything in it.
fn sections(explain: &Explain, out: &mut String) {
    let mut section = |name: &str, rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            out.push_str(name);
            out.push('\n');
            out.push_str(&table("  ", &rows));
        }
    };
    section("variants", explain.variants.iter().map(variant).collect());
    section("decided by", decided(&explain.decided));
    let run = |run: &weir_config_admin::ChunkRun| {
        let chunks = match run.first == run.last {
            true => format!("{}", run.first),
            false => format!("{}-{}", run.first, run.last),
        };
        let mut places: Vec<String> = run.ram.then(|| "RAM".to_owned()).into_iter().collect();
        places.extend(run.disks.iter().map(|disk| plain(disk)));
        let places = if places.is_empty() { "not held".to_owned() } else { places.join(", ") };
        vec![chunks, places]
    };
    section("chunks", explain.runs.iter().map(run).collect());
    let header = |(name, value): &(String, String)| vec![format!("{}:", plain(name)), plain(value)];
    section("headers", explain.stored_headers.iter().map(header).collect());
}

fn variant(variant: &ExplainVariant) -> Vec<String> {
    let field = |(name, value): &(String, Option<String>)| match value {
        Some(value) => plain(&format!("{name}: {value}")),
        None => plain(&format!("no {name}")),
    };
    let selects: Vec<_> = variant.selects.iter().map(field).collect();
    let chunks = &variant.chunks;
    vec![
        if variant.chosen { "this".to_owned() } else { String::new() },
        selects.join(", "),
        variant.status.to_string(),
        bytes(variant.size),
        left(variant.ttl_s),
        format!("of {} chunks {} in RAM, {} on disk", chunks.total, chunks.ram, chunks.disk),
    ]
}

fn checksums(found: &Verified) -> String {
    let mut parts = vec![format!("{} on disk sound", counted(found.sound, "chunk"))];
    for (number, what) in
        [(found.damaged, "DAMAGED"), (found.memory, "in RAM only"), (found.missing, "not held")]
    {
        if number > 0 {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    parts.join(", ")
}

fn key(explain: &Explain) -> String {
    let key = plain(&explain.key);
    if explain.dropped_query.is_empty() {
        return key;
    }
    let dropped: Vec<_> =
        explain.dropped_query.iter().map(|key| format!("\"{}\"", plain(key))).collect();
    format!("{key}   dropped from the query: {}", dropped.join(", "))
}

fn place(explain: &Explain) -> String {
    let tier = match explain.tier {
        Tier::Memory => "RAM",
        Tier::Disk => "disk",
        Tier::Partial => "in part",
        Tier::None => "not held",
    };
    let size = explain.size.map(|size| format!("   {} ({} B)", bytes(size), count(size)));
    let chunks = &explain.chunks;
    let held = match chunks.total {
        0 => String::new(),
        total => format!("   of {total} chunks {} in RAM, {} on disk", chunks.ram, chunks.disk),
    };
    format!("{tier}{}{held}", size.unwrap_or_default())
}

fn fresh(explain: &Explain) -> Option<String> {
    let age = explain.age_s.map(|age| format!("age {}", span(age)));
    let parts: Vec<_> = [age, explain.ttl_s.map(left)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("   "))
}

fn left(ttl: i64) -> String {
    match u64::try_from(ttl) {
        Ok(left) => format!("fresh for {}", span(left)),
        Err(_) => format!("stale for {}", span(ttl.unsigned_abs())),
    }
}
