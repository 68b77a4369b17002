//! `cachectl cache ls`

use std::io;

use weir_config_admin::{CACHE_OBJECTS, ObjectPage, ObjectRow, Pin};

use super::named;
use crate::{
    Answer, World,
    cli::{Ls, Order},
    client::{Client, encoded},
    failure::{Code, Failure},
    print::{self, bytes, count, counted, plain, table},
    time::{span, utc},
};

/// Objects asked for at once: with the longest keys they are still below what an answer may be.
const PAGE: u64 = 250;

pub(crate) fn ls(
    client: &Client,
    ls: &Ls,
    json: bool,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let order = match (ls.hot, ls.cold, ls.sort) {
        (true, ..) => Order::Reads,
        (_, true, _) => Order::Unread,
        (.., Some(order)) => order,
        _ if ls.limit == 0 => Order::Any,
        _ => Order::Key,
    };
    let mut query = format!("?sort={}", order.as_str());
    if let Some(prefix) = &ls.prefix {
        named::beginning(prefix)?;
        query.push_str(&format!("&prefix={}", encoded(prefix)));
    }
    if ls.pinned {
        query.push_str("&pinned=1");
    }
    if ls.limit == 0 {
        return all(client, &query, json, world);
    }
    let mut found = ObjectPage::default();
    loop {
        let left = ls.limit - found.objects.len() as u64;
        let page = page(client, &query, left.min(PAGE), found.next.as_deref())?;
        found.objects.extend(page.objects);
        (found.next, found.loading) = (page.next, found.loading | page.loading);
        if found.next.is_none() || found.objects.len() as u64 >= ls.limit {
            break;
        }
    }
    let human = render(&found.objects, world.now);
    let answer = Answer::new(human, &found);
    let answer = match (&found.next, found.objects.is_empty()) {
        (Some(_), _) => answer.note("there are more: --limit N, or --limit 0 for all"),
        (None, true) => answer.note("nothing"),
        (None, false) => answer,
    };
    Ok(loading(answer, found.loading))
}

/// Page by page, as they come; nothing is kept.
fn all(client: &Client, query: &str, json: bool, world: &mut World<'_>) -> Result<Answer, Failure> {
    let (mut next, mut is_loading): (Option<String>, _) = (None, false);
    loop {
        let page = page(client, query, PAGE, next.as_deref())?;
        is_loading |= page.loading;
        if let Err(error) = write(&page, json, world) {
            return match error.kind() {
                // The reader has what it wanted.
                io::ErrorKind::BrokenPipe => Ok(Answer::silent()),
                _ => Err(Failure::new(Code::Failed, "cannot write to stdout").why(error)),
            };
        }
        next = page.next;
        if next.is_none() {
            return Ok(loading(Answer::silent(), is_loading));
        }
    }
}

fn write(page: &ObjectPage, json: bool, world: &mut World<'_>) -> io::Result<()> {
    if !json {
        return world.stdout.write_all(render(&page.objects, world.now).as_bytes());
    }
    for row in &page.objects {
        print::json(world.stdout, &print::value(row))?;
    }
    Ok(())
}

fn page(
    client: &Client,
    query: &str,
    limit: u64,
    cursor: Option<&str>,
) -> Result<ObjectPage, Failure> {
    let cursor = cursor.map(|cursor| format!("&cursor={}", encoded(cursor)));
    // Looking at 10^7 objects takes a second, on a busy node longer.
    let path = format!("{CACHE_OBJECTS}{query}&limit={limit}{}", cursor.unwrap_or_default());
    client.get_slowly(&path)
}

/// Says that the node does not know all it has.
pub(super) fn loading(answer: Answer, loading: bool) -> Answer {
    match loading {
        true => answer.code(Code::Partial).note(
            "the node has just started and still reads what it knows: this is a part of it. \
             run it again in a moment",
        ),
        false => answer,
    }
}

fn render(rows: &[ObjectRow], now: u64) -> String {
    let rows: Vec<_> = rows.iter().map(|row| line(row, now)).collect();
    table("", &rows)
}

fn line(row: &ObjectRow, now: u64) -> Vec<String> {
    let fresh = match u64::try_from(row.ttl_s) {
        _ if row.selects => "-".to_owned(),
        Ok(left) => format!("fresh {}", span(left)),
        Err(_) => format!("stale {}", span(row.ttl_s.unsigned_abs())),
    };
    let read = match row.read_unix_s {
        Some(at) => {
            let reads = counted(row.reads.unwrap_or_default(), "read");
            format!("{reads}, {} ago", span(now.saturating_sub(at)))
        }
        None => "never read".to_owned(),
    };
    vec![
        bytes(row.size),
        fresh,
        read,
        held(row),
        row.pin.map_or_else(|| "-".to_owned(), |pin| pinned(&pin)),
        name(row),
    ]
}

/// Where its bytes are.
pub(super) fn held(row: &ObjectRow) -> String {
    if row.selects {
        return "selects".to_owned();
    }
    let Some(chunks) = &row.chunks else { return "not looked for".to_owned() };
    match (chunks.total, chunks.anywhere()) {
        (0, _) => "no body".to_owned(),
        (total, _) if chunks.ram >= total => "RAM".to_owned(),
        (total, held) if held >= total => "disk".to_owned(),
        (_, 0) => "not held".to_owned(),
        (total, held) => format!("{} of {} chunks", count(held), count(total)),
    }
}

pub(super) fn pinned(pin: &Pin) -> String {
    match pin.until_unix_s {
        Some(until) => format!("pinned until {}", utc(until)),
        None => "pinned".to_owned(),
    }
}

/// The key, and what selects it among those of its URL.
pub(super) fn name(row: &ObjectRow) -> String {
    match &row.variant {
        Some(variant) => format!("{}   variant {:?}", plain(&row.key), plain(variant)),
        None => plain(&row.key),
    }
}
