//! `cachectl logs`: access records, as they come.

use std::{io, sync::mpsc::RecvTimeoutError, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use weir_config_admin::{
    LOG_FILTER_MAX, LOG_LAST_MAX, LOGS, LOGS_ROTATE, LogLost, LogRecord, LogRotated,
};

use crate::{
    Answer, World,
    client::{Client, Line, encoded},
    failure::{Code, Failure},
    print::{self, bytes, counted, plain},
    time::clock,
};

/// How long Ctrl-C may go unnoticed.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub(crate) enum LogsCommand {
    /// The last requests that the filter takes, and with --follow those to come.
    Tail(Tail),
    /// Begin a new access log, or open the one that logrotate moved away by its name again.
    Rotate,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Which requests: 'status>=500 and ttfb>200ms'. Fields of the access record; = != < <= > >=,
    /// ~ and !~ (contains); and, or, not, brackets; 200ms, 64KiB, 5xx, null.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// How many of those that are over, at most 1024.
    #[arg(short = 'n', long = "last", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(0..=LOG_LAST_MAX as i64))]
    last: u16,
    /// Go on with those to come, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// A line of JSON for each.
    #[arg(long)]
    ndjson: bool,
}

pub(crate) fn logs(
    client: &Client,
    command: &LogsCommand,
    json: bool,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let LogsCommand::Tail(tail) = command else { return rotate(client) };
    let mut path = format!("{LOGS}?last={}", tail.last);
    if let Some(filter) = &tail.filter {
        // Said here: a request as long as some of them is refused for its length alone.
        if filter.len() > LOG_FILTER_MAX {
            return Err(Failure::new(Code::Usage, "the filter is too long").why(format!(
                "it has {}, and may have {LOG_FILTER_MAX}",
                counted(filter.len() as u64, "byte")
            )));
        }
        path.push_str(&format!("&filter={}", encoded(filter)));
    }
    if tail.follow {
        path.push_str("&follow=1");
    }
    let mut records: Vec<Value> = Vec::new();
    let whole = json && !tail.follow && !tail.ndjson;
    let ended = each(client, &path, world, |line, world| {
        if whole {
            records.extend(serde_json::from_str::<Value>(line));
            return Ok(());
        }
        show(line, json || tail.ndjson, world)
    })?;
    let answer = match whole {
        true => Answer::new(String::new(), &json!({ "records": records })),
        false => Answer::silent(),
    };
    match ended {
        Ended::Whole | Ended::Enough => Ok(answer),
        Ended::Pressed => Ok(answer.code(Code::Interrupted)),
    }
}

fn rotate(client: &Client) -> Result<Answer, Failure> {
    let done: LogRotated = client.post(LOGS_ROTATE, &json!({}))?;
    let path = plain(&done.path);
    let human = match done.rotated {
        true => format!("a new {path} is written, the one before is {path}.1\n"),
        false => format!("{path} is opened again; the server does not rotate it itself\n"),
    };
    Ok(Answer::new(human, &done))
}

enum Ended {
    Whole,
    /// Whoever reads stdout wants no more.
    Enough,
    /// Ctrl-C.
    Pressed,
}

fn each(
    client: &Client,
    path: &str,
    world: &mut World<'_>,
    mut take: impl FnMut(&str, &mut World<'_>) -> io::Result<()>,
) -> Result<Ended, Failure> {
    let lines = client.lines(path).map_err(below)?;
    loop {
        match lines.recv_timeout(LOOK) {
            // Nothing happened for a while.
            Ok(Line::Text(line)) if line.is_empty() => {}
            Ok(Line::Text(line)) => match take(&line, world) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(Ended::Enough);
                }
                Err(error) => {
                    return Err(Failure::new(Code::Failed, "cannot write to stdout").why(error));
                }
            },
            Ok(Line::Broken(failure)) => return Err(failure),
            Ok(Line::End) | Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Whole),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if (world.pause)(Duration::ZERO) {
            return Ok(Ended::Pressed);
        }
    }
}

/// The marks below a filter stay below it.
fn below(failure: Failure) -> Failure {
    let why = failure.why.map(|why| why.replace('\n', "\n        "));
    Failure { why, ..failure }
}

fn show(line: &str, json: bool, world: &mut World<'_>) -> io::Result<()> {
    if let Ok(LogLost { lost }) = serde_json::from_str(line) {
        if json {
            return print::json(world.stdout, &json!({ "lost": lost }));
        }
        let lost = counted(lost, "record");
        return writeln!(world.stderr, "{lost} missing here: this end does not keep up");
    }
    if json {
        let Ok(record) = serde_json::from_str::<Value>(line) else { return Ok(()) };
        return print::json(world.stdout, &record);
    }
    let Ok(record) = serde_json::from_str::<LogRecord>(line) else { return Ok(()) };
    writeln!(world.stdout, "{}", shown(&record))?;
    world.stdout.flush()
}

/// One request on a line, what is looked for most first.
pub(crate) fn shown(record: &LogRecord) -> String {
    let LogRecord { protocol, status, cache, method, host, path, .. } = record;
    let scheme = if record.tls.is_some() { "https" } else { "http" };
    let cut = if record.whole { "" } else { " cut" };
    let client = record.client.as_deref().unwrap_or("-");
    plain(&format!(
        "{}  {protocol} {status} {cache:<11} {:>10}{cut:<4}  {:>8} {:>8}  {method} \
         {scheme}://{host}{path}  {client}  {}",
        clock(record.time),
        bytes(record.bytes),
        time(record.ttfb_ms),
        time(record.total_ms),
        record.id,
    ))
}

/// `0.4 ms`, `12 ms`, `1.25 s`
pub(crate) fn time(millis: f64) -> String {
    match millis {
        m if m < 10.0 => format!("{m:.1} ms"),
        m if m < 1000.0 => format!("{m:.0} ms"),
        m => format!("{:.2} s", m / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times() {
        let check = |millis, expected: &str| assert_eq!(time(millis), expected);
        check(0.0, "0.0 ms");
        check(0.26, "0.3 ms");
        check(12.4, "12 ms");
        check(1250.0, "1.25 s");
    }
}
