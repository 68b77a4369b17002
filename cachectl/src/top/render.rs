//! A frame as lines of text that fit where they are shown.

use std::time::Duration;

use clap::ValueEnum;
use weir_config_admin::{HotObject, LogRecord, State, Verdict};

use super::frame::{DiskRate, Frame, OriginRate, Refused, ResultRate};
use crate::{
    logs::time,
    print::{bytes, count, level, percent, plain, table},
    time::{clock, span},
};

/// What the hottest objects are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Requests a second.
    #[default]
    Requests,
    /// Body bytes a second.
    Bytes,
}

impl Sort {
    pub(super) fn next(self) -> Self {
        if self == Self::Requests { Self::Bytes } else { Self::Requests }
    }

    fn as_str(self) -> &'static str {
        if self == Self::Requests { "requests" } else { "bytes" }
    }
}

/// Where a frame is shown.
pub(super) struct Place {
    columns: usize,
    /// Nothing where it may be as long as it is.
    rows: Option<usize>,
    /// What keys do, and what is wrong; nothing where there are none.
    keys: Option<String>,
}

impl Place {
    /// Not a terminal.
    pub(super) fn text() -> Self {
        Self { columns: 120, rows: None, keys: None }
    }

    pub(super) fn screen(
        columns: usize,
        rows: usize,
        paused: bool,
        every: Duration,
        note: &str,
    ) -> Self {
        let state = match (paused, note) {
            (true, _) => "paused".to_owned(),
            (false, "") => format!("every {} s", every.as_secs()),
            (false, note) => format!("no answer: {}", plain(note)),
        };
        let keys = Some(format!("q quit  s sort  p pause   {state}"));
        Self { columns: columns.max(20), rows: Some(rows.max(6)), keys }
    }
}

/// Rows of each list where there is no end of room.
const PLENTY: usize = 20;

pub(super) fn render(frame: &Frame, sort: Sort, place: &Place) -> Vec<String> {
    let mut lines = head(frame);
    let lists = lists(frame, sort);
    let room = place.rows.map(|rows| rows.saturating_sub(lines.len() + 1));
    let shares = shares(&lists, room);
    for ((title, rows), share) in lists.into_iter().zip(shares) {
        if share > 0 {
            lines.push(title);
            let rows: Vec<_> = rows.into_iter().take(share - 1).collect();
            lines.extend(table("  ", &rows).lines().map(str::to_owned));
        }
    }
    if let (Some(keys), Some(rows)) = (&place.keys, place.rows) {
        lines.resize(rows - 1, String::new());
        lines.push(keys.clone());
    }
    lines.into_iter().map(|line| cut(line, place.columns)).collect()
}

/// Lines of each list, its title with it. Short ones first have what they need; the rest is
/// shared.
fn shares(lists: &[(String, Vec<Vec<String>>)], room: Option<usize>) -> Vec<usize> {
    let needs: Vec<usize> = lists
        .iter()
        .map(|(_, rows)| if rows.is_empty() { 0 } else { rows.len().min(PLENTY) + 1 })
        .collect();
    let Some(mut room) = room else { return needs };
    let mut order: Vec<usize> = (0..needs.len()).filter(|at| needs[*at] > 0).collect();
    order.sort_by_key(|at| needs[*at]);
    let mut shares = vec![0; needs.len()];
    let mut left = order.len();
    for at in order {
        let share = needs[at].min(room / left);
        // A title alone tells nothing.
        shares[at] = if share < 2 { 0 } else { share };
        room -= shares[at];
        left -= 1;
    }
    shares
}

fn cut(line: String, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line;
    }
    let mut short: String = line.chars().take(columns - 1).collect();
    short.push('…');
    short
}

fn head(frame: &Frame) -> Vec<String> {
    let verdict = match frame.verdict {
        Verdict::Ok => "OK",
        Verdict::Degraded => "DEGRADED",
        Verdict::Down => "DOWN",
    };
    let state = match frame.state {
        State::Starting => "starting",
        State::Serving => "serving",
        State::Draining => "draining",
    };
    let (node, site) = (plain(&frame.node), plain(&frame.site));
    let up = span(frame.uptime_s);
    let protocols = frame.protocols.iter();
    let protocols = protocols.map(|one| {
        format!("{} {}/s on {}", plain(&one.name), rate(one.requests_s), count(one.connections))
    });
    let shown = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("within {}", time(seconds * 1e3)),
        None => "-".to_owned(),
    };
    let cache = &frame.cache;
    let disk = match cache.disk_limit {
        0 => String::new(),
        limit => format!("   disk {}", level(cache.disk_bytes, limit)),
    };
    let mut lines = vec![
        format!("{node}  {site}  {verdict}  {state} for {up}   {} UTC", short(frame.now_ms)),
        format!(
            "traffic  {}/s  {}/s  {} in flight   {}",
            rate(frame.requests_s),
            bytes(frame.bytes_s as u64),
            count(frame.in_flight),
            protocols.collect::<Vec<_>>().join(", "),
        ),
        format!(
            "hits     {} of requests, {} of bytes   errors {}",
            percent(frame.hit_ratio),
            percent(frame.byte_hit_ratio),
            percent(frame.error_ratio),
        ),
        format!("head     half {}, 99 % {}", shown(frame.ttfb_p50_s), shown(frame.ttfb_p99_s)),
        format!("cache    RAM {}{disk}", level(cache.memory_bytes, cache.memory_limit)),
    ];
    let results: Vec<_> = frame.results.iter().filter(|one| one.requests_s > 0.0).collect();
    let result = |one: &&ResultRate| {
        format!("{} {}/s {}/s", plain(&one.result), rate(one.requests_s), bytes(one.bytes_s as u64))
    };
    let results: Vec<_> = results.iter().map(result).collect();
    lines.push(format!(
        "tiers    {}",
        if results.is_empty() { "nothing is asked for".to_owned() } else { results.join(", ") }
    ));
    lines
}

/// Lists with their titles, in the order in which they are shown.
fn lists(frame: &Frame, sort: Sort) -> Vec<(String, Vec<Vec<String>>)> {
    let mut hottest = frame.hottest.clone();
    if sort == Sort::Bytes {
        hottest.sort_by(|a, b| b.bytes_s.total_cmp(&a.bytes_s));
    }
    vec![
        ("why".to_owned(), frame.reasons.iter().map(|one| vec![plain(&one.what)]).collect()),
        ("disks".to_owned(), frame.disks.iter().map(disk).collect()),
        ("origins".to_owned(), frame.origins.iter().map(origin).collect()),
        ("refused".to_owned(), frame.refused.iter().map(refused).collect()),
        (format!("hottest by {}", sort.as_str()), hottest.iter().map(hot).collect()),
        ("slowest of the last minute".to_owned(), frame.slowest.iter().map(slow).collect()),
    ]
}

fn disk(disk: &DiskRate) -> Vec<String> {
    vec![
        plain(&disk.disk),
        disk.state.to_owned(),
        bytes(disk.used_bytes),
        format!("reads {}/s", bytes(disk.read_bytes_s as u64)),
        format!("writes {}/s", bytes(disk.written_bytes_s as u64)),
        format!("{} failed", count(disk.errors)),
    ]
}

fn origin(origin: &OriginRate) -> Vec<String> {
    vec![
        plain(&origin.origin),
        origin.circuit.to_owned(),
        format!("{}/s", rate(origin.requests_s)),
        format!("{}/s", bytes(origin.bytes_s as u64)),
        format!("{}/s failed", rate(origin.failed_s)),
        format!("{}/s withheld", rate(origin.withheld_s)),
    ]
}

fn refused(refused: &Refused) -> Vec<String> {
    vec![plain(&refused.reason), format!("{}/s", rate(refused.each_s)), count(refused.total)]
}

fn hot(hot: &HotObject) -> Vec<String> {
    vec![
        format!("{:>8}/s", rate(hot.requests_s)),
        format!("{:>10}/s", bytes(hot.bytes_s as u64)),
        plain(&hot.name),
    ]
}

fn slow(record: &LogRecord) -> Vec<String> {
    vec![
        short(record.time),
        format!("{:>7}", time(record.ttfb_ms)),
        record.status.to_string(),
        plain(&record.cache),
        plain(&record.id),
        plain(&format!("{}{}", record.host, record.path)),
    ]
}

/// `16:50:12`
fn short(unix_millis: u64) -> String {
    clock(unix_millis).chars().take(8).collect()
}

/// `0`, `0.4`, `12`, `18 412`
fn rate(each_s: f64) -> String {
    match each_s {
        r if r <= 0.0 => "0".to_owned(),
        r if r < 10.0 => format!("{r:.1}"),
        r => count(r.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::{rate, shares};

    #[test]
    fn rates() {
        let check = |each_s, expected: &str| assert_eq!(rate(each_s), expected);
        check(0.0, "0");
        check(0.42, "0.4");
        check(18_412.4, "18 412");
    }

    #[test]
    fn room_is_shared() {
        let check = |rows: &[usize], room, expected: &[usize]| {
            let list = |rows: &usize| (String::new(), vec![vec![String::new()]; *rows]);
            let lists: Vec<_> = rows.iter().map(list).collect();
            assert_eq!(shares(&lists, room), expected, "{rows:?} in {room:?}");
        };
        check(&[0, 1, 30], None, &[0, 2, 21]);
        check(&[0, 1, 30], Some(10), &[0, 2, 8]);
        check(&[9, 1, 9], Some(12), &[5, 2, 5]);
        check(&[1, 1, 1], Some(3), &[0, 0, 3 - 1]);
        check(&[5, 5], Some(0), &[0, 0]);
    }
}
