//! `cachectl trace`: one request, phase by phase.

use clap::{Args, Subcommand};
use weir_config_admin::{
    CacheVerdict, TRACE, Trace, TraceClient, TraceExchange, TraceOrder, TracePhase, TraceResult,
};
use weir_edge_token::redact;

use crate::{
    Answer,
    cache::{sections_of_decided, url},
    client::{Client, encoded},
    failure::{Code, Failure},
    logs::shown,
    print::{bytes, plain, table},
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct TraceArgs {
    /// A finished request, by the id that the access log and `logs tail` have for it.
    id: Option<String>,
    #[command(subcommand)]
    command: Option<TraceCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceCommand {
    /// Make a request through the node's own listener and tell what each phase took.
    Request(TraceRequest),
}

#[derive(Debug, Args)]
pub(crate) struct TraceRequest {
    /// As a client asks for it, with its token.
    url: String,
    /// Over HTTP/1.1.
    #[arg(long, conflicts_with_all = ["h2", "h3"])]
    h1: bool,
    /// Over HTTP/2 [default with https].
    #[arg(long, conflicts_with = "h3")]
    h2: bool,
    /// Over HTTP/3.
    #[arg(long)]
    h3: bool,
    /// A field of the request, as often as wanted.
    #[arg(short = 'H', long = "header", value_name = "Name: value")]
    headers: Vec<String>,
}

pub(crate) fn trace(client: &Client, args: &TraceArgs) -> Result<Answer, Failure> {
    match (&args.command, &args.id) {
        (Some(TraceCommand::Request(request)), _) => of_request(client, request),
        (None, Some(id)) => {
            let trace: Trace = client.get(&format!("{TRACE}?id={}", encoded(id)))?;
            Ok(Answer::new(finished(&trace), &trace))
        }
        (None, None) => Err(Failure::new(Code::Usage, "which request?")
            .next("cachectl trace ID, or cachectl trace request URL")),
    }
}

fn of_request(client: &Client, asked: &TraceRequest) -> Result<Answer, Failure> {
    url(&asked.url)?;
    if let Some(header) = asked.headers.iter().find(|header| !header.contains(':')) {
        let what = format!("not a header: {}", plain(header));
        return Err(Failure::new(Code::Usage, what).next("write -H 'Range: bytes=0-99'"));
    }
    let protocols = [(asked.h1, "h1"), (asked.h2, "h2"), (asked.h3, "h3")];
    let protocol = protocols.iter().find(|(wanted, _)| *wanted).map(|(_, name)| (*name).to_owned());
    let headers = asked.headers.clone();
    let order = TraceOrder { url: asked.url.clone(), protocol, headers };
    let mut result: TraceResult = client.post_slowly(TRACE, &order)?;
    result.explain.url = redact(&result.explain.url).into_owned();
    let bad = result.client.status.is_none_or(|status| status >= 500);
    let code = if bad || result.client.error.is_some() { Code::Unhealthy } else { Code::Ok };
    Ok(Answer::new(made(&result), &result).code(code))
}

fn made(result: &TraceResult) -> String {
    let TraceResult { explain, client, request } = result;
    let verdict = match explain.verdict {
        CacheVerdict::Hit => "HIT",
        CacheVerdict::Stale => "STALE",
        CacheVerdict::Miss => "MISS",
        CacheVerdict::Bypass => "BYPASS",
        CacheVerdict::Refused => "REFUSED",
    };
    let mut out = format!("before  {verdict}. {}\n", plain(&explain.why));
    out.push_str(&seen(client));
    match request {
        Some(trace) => out.push_str(&finished(trace)),
        None => out.push_str("server  no record of it: it did not come through\n"),
    }
    out.push_str(&sections_of_decided(&explain.decided));
    out
}

fn seen(client: &TraceClient) -> String {
    let status = client.status.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
    let tls = client.tls.as_ref().map(|tls| format!(", TLS {}", plain(tls))).unwrap_or_default();
    let over = match client.protocol.as_str() {
        "" => String::new(),
        protocol => format!(" over {}", plain(protocol)),
    };
    let mut out = format!(
        "client  {status}{over}{tls}, {}, from {}\n",
        bytes(client.bytes),
        plain(&client.address)
    );
    if let Some(error) = &client.error {
        out.push_str(&format!("        {}\n", plain(error)));
    }
    let row = |name: &str, took: Option<f64>| {
        took.map(|took| vec![name.to_owned(), format!("{:>9}", fine(took))])
    };
    let rows = [
        row("connect", client.connect_ms),
        row("TLS", client.tls_ms),
        row("head", client.head_ms),
        row("first byte", client.first_ms),
        row("end", client.total_ms),
    ];
    out.push_str(&table("  ", &rows.into_iter().flatten().collect::<Vec<_>>()));
    out
}

/// A finished request with its phases and what upstreams were asked.
fn finished(trace: &Trace) -> String {
    let mut out = format!("server  {}\n", shown(&trace.record));
    let phase = |phase: &TracePhase| {
        vec![
            plain(&phase.name),
            format!("{:>9}", fine(phase.took_ms)),
            format!("at {}", fine(phase.at_ms)),
            phase.note.as_deref().map(plain).unwrap_or_default(),
        ]
    };
    out.push_str(&table("  ", &trace.phases.iter().map(phase).collect::<Vec<_>>()));
    for exchange in &trace.upstream {
        out.push_str(&asked(exchange, &trace.record.id));
    }
    out
}

/// What an upstream was asked, as the request with that id came by it.
fn asked(exchange: &TraceExchange, own: &str) -> String {
    let range = exchange.range.as_ref().map(|range| format!(" {}", plain(range)));
    let status = match (exchange.status, &exchange.error) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(error)) => format!("{status}, {}", plain(error)),
        (None, Some(error)) => plain(error),
        (None, None) => "under way".to_owned(),
    };
    let at = match exchange.at_ms < 0.0 {
        true => format!("{} before", fine(-exchange.at_ms)),
        false => format!("at {}", fine(exchange.at_ms)),
    };
    let by = match &exchange.request {
        Some(other) if other != own => format!("{at}, by request {}", plain(other)),
        None if exchange.at_ms < 0.0 => format!("{at}, by another request"),
        _ => at,
    };
    let mut out = format!(
        "upstream {}  {} {}{}  {status}, {}  asked {by}\n",
        plain(&exchange.upstream),
        plain(&exchange.method),
        plain(&exchange.path),
        range.unwrap_or_default(),
        bytes(exchange.bytes),
    );
    let connection = match exchange.reused {
        Some(true) => "a kept connection",
        _ => "a new connection",
    };
    let row = |name: &str, after: Option<f64>, note: &str| {
        after.map(|after| vec![name.to_owned(), format!("{:>9}", fine(after)), note.to_owned()])
    };
    let rows = [
        row("connect", exchange.connected_ms, connection),
        row("head", exchange.head_ms, ""),
        row("first byte", exchange.first_ms, ""),
        row("end", exchange.ended_ms, ""),
    ];
    out.push_str(&table("  ", &rows.into_iter().flatten().collect::<Vec<_>>()));
    out
}

/// As phases are short: `12 µs`, `0.26 ms`, `12.4 ms`, `1.25 s`
fn fine(millis: f64) -> String {
    match millis {
        m if m < 0.1 => format!("{:.0} µs", m * 1e3),
        m if m < 10.0 => format!("{m:.2} ms"),
        m if m < 1000.0 => format!("{m:.1} ms"),
        m => format!("{:.2} s", m / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::fine;

    #[test]
    fn short_times() {
        let check = |millis, expected: &str| assert_eq!(fine(millis), expected);
        check(0.0, "0 µs");
        check(0.012, "12 µs");
        check(0.26, "0.26 ms");
        check(12.44, "12.4 ms");
        check(1250.0, "1.25 s");
    }
}
