//! Requests that are as large as they can be made.

use std::{fmt::Write, io, time::Duration};

use super::{
    Aim, Tally, hpack,
    wire::{self},
};
use crate::Protocol;

const EVERY: Duration = Duration::from_millis(20);
const URL: usize = 64 << 10;
/// One that no header section holds, and one that it does.
const RANGES: [usize; 2] = [10_000, 2_000];

pub(super) async fn urls(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let path = format!("{}{}", aim.target.small, "?".to_owned() + &"u".repeat(URL));
    ask(number, aim, tally, &path, None).await
}

pub(super) async fn ranges(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let mut value = "bytes=0-0".to_owned();
    for range in 1..RANGES[number / 2 % 2] {
        // Writing to a String cannot fail. Nothing is adjacent to anything.
        let _ = write!(value, ",{0}-{0}", 2 * range);
    }
    ask(number, aim, tally, &aim.target.small, Some(&value)).await
}

async fn ask(
    number: usize,
    aim: &Aim,
    tally: &Tally,
    path: &str,
    range: Option<&str>,
) -> io::Result<()> {
    let authority = aim.target.h1.authority();
    if number.is_multiple_of(2) {
        let stream = wire::tls(aim, Protocol::H1, None).await?;
        let range = range.map_or(String::new(), |value| format!("range: {value}\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n{range}\r\n");
        return wire::drip(stream, Protocol::H1, tally, &[], EVERY, |out| {
            out.extend_from_slice(request.as_bytes());
        })
        .await;
    }
    let stream = wire::tls(aim, Protocol::H2, None).await?;
    let mut section = hpack::request("GET", &authority, path);
    if let Some(value) = range {
        hpack::literal(&mut section, b"range", value.as_bytes());
    }
    let begin = wire::preface(&[(4, 0x7fff_ffff)], 0x7fff_0000);
    let mut next = 1;
    wire::drip(stream, Protocol::H2, tally, &begin, EVERY, |out| {
        wire::section(out, next, true, &section);
        next += 2;
    })
    .await
}
