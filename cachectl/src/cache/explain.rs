//! Why one URL is a hit or a miss, on one page.

use weir_config_admin::{CacheVerdict, Explain, Tier};

use crate::{
    print::{bytes, count, plain, table},
    time::{span, utc},
};

pub(super) fn render(explain: &Explain) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = vec![row("url", plain(&explain.url)), row("key", key(explain))];
    if let Some(service) = &explain.service {
        let rule = explain.rule.as_deref().map(|rule| format!(" ({})", plain(rule)));
        rows.push(row("service", format!("{}{}", plain(service), rule.unwrap_or_default())));
    }
    rows.push(row("place", place(explain)));
    if let Some(fresh) = fresh(explain) {
        rows.push(row("fresh", fresh));
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
    if !explain.stored_headers.is_empty() {
        out.push_str("headers\n");
        let header =
            |(name, value): &(String, String)| vec![format!("{}:", plain(name)), plain(value)];
        let headers: Vec<_> = explain.stored_headers.iter().map(header).collect();
        out.push_str(&table("  ", &headers));
    }
    out
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
    let ttl = explain.ttl_s.map(|ttl| match u64::try_from(ttl) {
        Ok(left) => format!("fresh for {}", span(left)),
        Err(_) => format!("stale for {}", span(ttl.unsigned_abs())),
    });
    let parts: Vec<_> = [age, ttl].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("   "))
}
