//! `cachectl status`

use weir_config_admin::{Overview, STATUS, State, Status, UpstreamState, Verdict};

use crate::{
    Answer,
    client::Client,
    failure::{Code, Failure},
    metrics::seconds,
    print::{bytes, count, counted, level, percent, plain, table},
    time::{span, utc},
};

pub(crate) fn status(client: &Client) -> Result<Answer, Failure> {
    let status: Status = client.get(STATUS)?;
    let code = if status.verdict == Verdict::Ok { Code::Ok } else { Code::Unhealthy };
    Ok(Answer::new(render(&status), &status).code(code))
}

fn render(status: &Status) -> String {
    let verdict = match status.verdict {
        Verdict::Ok => "OK",
        Verdict::Degraded => "DEGRADED",
        Verdict::Down => "DOWN",
    };
    let state = match status.state {
        State::Starting => "starting",
        State::Serving => "serving",
        State::Draining => "draining",
    };
    let mut out = format!(
        "{}   {verdict}   site {}, {state} for {}, weir {}\n",
        plain(&status.node),
        plain(&status.site),
        span(status.uptime_s),
        plain(&status.version),
    );
    let cache = &status.cache;
    let errors = match status.errors {
        0 => String::new(),
        errors => format!(", {} failed", count(errors)),
    };
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = match &status.overview {
        Some(overview) => lately(overview),
        None => Vec::new(),
    };
    rows.extend([
        row(
            "traffic",
            format!(
                "{}{errors}, {} sent, {}",
                counted(status.requests, "request"),
                bytes(status.bytes),
                counted(status.connections, "open connection")
            ),
        ),
        row(
            "hit ratio",
            format!(
                "{} of requests, {} of bytes",
                percent(status.hit_ratio),
                percent(status.byte_hit_ratio)
            ),
        ),
        row(
            "cache",
            format!(
                "{}, RAM {}",
                counted(cache.objects, "object"),
                level(cache.memory_bytes, cache.memory_limit)
            ),
        ),
    ]);
    if cache.disk_limit > 0 {
        rows.push(row("", format!("disk {}", level(cache.disk_bytes, cache.disk_limit))));
    }
    if cache.pinned_objects > 0 {
        let objects = counted(cache.pinned_objects, "object");
        rows.push(row("", format!("{objects} pinned, {}", bytes(cache.pinned_bytes))));
    }
    if cache.warming > 0 {
        let jobs = counted(cache.warming, "job");
        rows.push(row("", format!("warmed by {jobs}: cachectl cache warm --jobs")));
    }
    if cache.purge_epoch > 0 {
        let behind = match cache.purge_reclaimed_epoch < cache.purge_epoch {
            true => ", space is being reclaimed",
            false => "",
        };
        rows.push(row("", format!("purge epoch {}{behind}", count(cache.purge_epoch))));
    }
    if let Some(config) = &status.config {
        let waits = match config.restart.len() {
            0 => String::new(),
            some => format!(
                ", {} for a restart",
                match some {
                    1 => "1 key waits".to_owned(),
                    some => format!("{} wait", counted(some as u64, "key")),
                }
            ),
        };
        let back = if config.rolled_back { ", gone back to" } else { "" };
        let text = format!(
            "revision {} since {}{back}{waits}",
            config.revision,
            utc(config.since_unix_ms / 1000)
        );
        rows.push(row("configuration", text));
    }
    if let Some(fleet) = &status.fleet {
        let ago = fleet.heard_s.map(|ago| format!(", {} ago", span(ago))).unwrap_or_default();
        let why = fleet.trouble.as_deref().map(|why| format!(": {}", plain(why)));
        let wanted = match fleet.wanted.as_str() {
            "" | "serving" => String::new(),
            wanted => format!(", wanted {}", plain(wanted)),
        };
        let clock = fleet.clock_off_ms.map(|off| format!(", clock off by {} s", off / 1_000));
        let text = format!(
            "{} {}{ago}{wanted}{}{}",
            plain(&fleet.url),
            plain(&fleet.told),
            clock.unwrap_or_default(),
            why.unwrap_or_default(),
        );
        rows.push(row("control plane", text.trim().to_owned()));
    }
    if cache.fills > 0 {
        rows.push(row("", format!("{} under way", counted(cache.fills, "fill"))));
    }
    if !status.refused.is_empty() {
        let of = |metric: &str| {
            let kind = status.refused.iter().filter(|refusal| refusal.metric == metric);
            let (mut times, mut reasons) = (0, Vec::new());
            for refusal in kind {
                times += refusal.times;
                reasons.push(format!("{} {}", refusal.reason, count(refusal.times)));
            }
            (times, reasons.join(", "))
        };
        let mut first = "refused";
        for (metric, what) in [
            ("edge_connections_refused_total", "connection"),
            ("edge_http3_malformed_total", "malformed HTTP/3 message"),
            ("edge_http3_excess_total", "excessive HTTP/3 connection"),
        ] {
            let (times, reasons) = of(metric);
            if times > 0 {
                rows.push(row(first, format!("{}: {reasons}", counted(times, what))));
                first = "";
            }
        }
    }
    out.push_str(&table("  ", &rows));
    out.push_str(&protocols(status));
    out.push_str(&upstreams(status));
    out.push_str(&reasons(status));
    out
}

/// The eight figures: what is delivered and how well, then what it costs.
fn lately(seen: &Overview) -> Vec<Vec<String>> {
    let rate = |bytes_a_second: f64| format!("{}/s", bytes(bytes_a_second as u64));
    let first = seen.ttfb_p99_s.map_or_else(|| "-".to_owned(), seconds);
    // One in ten thousand is worth a digit.
    let failed = seen.error_ratio.map_or_else(|| "-".to_owned(), |r| format!("{:.2} %", r * 100.0));
    let delivered = format!(
        "{} sent, {} of bytes from the cache, 99 % of first bytes within {first}, {failed} failed",
        rate(seen.traffic),
        percent(seen.hit_ratio),
    );
    let disks = match seen.disks {
        Some(_) => format!(", {} of disks in use", percent(seen.disks)),
        None => String::new(),
    };
    let scarcest = match (&seen.scarcest, seen.saturation) {
        (Some(what), Some(_)) => format!(", {} of {}", percent(seen.saturation), plain(what)),
        _ => String::new(),
    };
    let costs = format!(
        "{} from upstreams{disks}, {} of the memory budget{scarcest}",
        rate(seen.origin_load),
        percent(seen.memory),
    );
    let over = format!("last {:.0} s", seen.over_s);
    vec![vec![over, delivered], vec![String::new(), costs]]
}

fn protocols(status: &Status) -> String {
    if status.protocols.is_empty() {
        return String::new();
    }
    let row = |protocol: &weir_config_admin::Protocol| {
        vec![
            plain(&protocol.name),
            counted(protocol.requests, "request"),
            format!("{} sent", bytes(protocol.bytes)),
            format!("{} open", count(protocol.connections)),
        ]
    };
    let rows: Vec<_> = status.protocols.iter().map(row).collect();
    format!("  protocols\n{}", table("    ", &rows))
}

fn upstreams(status: &Status) -> String {
    if status.upstreams.is_empty() {
        return String::new();
    }
    let row = |upstream: &weir_config_admin::Upstream| {
        let state = match upstream.state {
            UpstreamState::Unknown => "not asked yet",
            UpstreamState::Ok => "ok",
            UpstreamState::Failing => "failing",
        };
        vec![
            plain(&upstream.id),
            plain(&upstream.kind),
            state.to_owned(),
            counted(upstream.requests, "request"),
            format!("{} failed", count(upstream.errors)),
            format!("{} received", bytes(upstream.bytes)),
            upstream.last_error.as_deref().map(plain).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = status.upstreams.iter().map(row).collect();
    format!("  upstreams\n{}", table("    ", &rows))
}

fn reasons(status: &Status) -> String {
    if status.reasons.is_empty() {
        return String::new();
    }
    let mut out = match status.verdict {
        Verdict::Down => "  why down\n".to_owned(),
        _ => "  why degraded\n".to_owned(),
    };
    for reason in &status.reasons {
        out.push_str(&format!("    ! {}", plain(&reason.what)));
        if let Some(next) = &reason.next {
            out.push_str(&format!("   -> {}", plain(next)));
        }
        out.push('\n');
    }
    out
}
