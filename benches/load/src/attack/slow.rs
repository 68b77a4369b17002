//! Clients that take their time: with heads, bodies, and with reading.

use std::{io, time::Duration};

use super::{
    Aim, Tally, hpack,
    wire::{self, DATA, HEADERS},
};
use crate::Protocol;

const EVERY: Duration = Duration::from_secs(1);
/// What the kernel keeps for a client that does not read.
const RECEIVE: u32 = 4096;
/// Of a body that never comes.
const LENGTH: u32 = 1_000_000;

/// The half of them speak HTTP/1.1.
fn protocol(number: usize) -> Protocol {
    if number.is_multiple_of(2) { Protocol::H1 } else { Protocol::H2 }
}

pub(super) async fn headers(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let protocol = protocol(number);
    let stream = wire::tls(aim, protocol, None).await?;
    tally.add("connections", 1);
    let authority = aim.target.h1.authority();
    let small = &aim.target.small;
    if protocol == Protocol::H1 {
        let begin = format!("GET {small} HTTP/1.1\r\nhost: {authority}\r\n");
        return wire::drip(stream, protocol, tally, begin.as_bytes(), EVERY, |out| {
            out.extend_from_slice(b"x-more: y\r\n");
        })
        .await;
    }
    let mut begin = wire::preface(&[], 0);
    wire::frame(&mut begin, HEADERS, 0, 1, &hpack::request("GET", &authority, small));
    wire::drip(stream, protocol, tally, &begin, EVERY, |out| {
        let mut field = Vec::new();
        hpack::literal(&mut field, b"x-more", b"y");
        wire::frame(out, wire::CONTINUATION, 0, 1, &field);
    })
    .await
}

pub(super) async fn body(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let protocol = protocol(number);
    let stream = wire::tls(aim, protocol, None).await?;
    tally.add("connections", 1);
    let authority = aim.target.h1.authority();
    // To what takes bodies, and to what does not.
    let (method, path) =
        if number % 4 < 2 { ("POST", &aim.target.sink) } else { ("GET", &aim.target.small) };
    if protocol == Protocol::H1 {
        let begin = format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-length: {LENGTH}\r\n\r\n"
        );
        return wire::drip(stream, protocol, tally, begin.as_bytes(), EVERY, |out| out.push(b'x'))
            .await;
    }
    let mut begin = wire::preface(&[], 0);
    let mut section = hpack::request(method, &authority, path);
    hpack::literal(&mut section, b"content-length", LENGTH.to_string().as_bytes());
    wire::section(&mut begin, 1, false, &section);
    wire::drip(stream, protocol, tally, &begin, EVERY, |out| wire::frame(out, DATA, 0, 1, b"x"))
        .await
}

pub(super) async fn read(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    let protocol = protocol(number);
    let mut stream = wire::tls(aim, protocol, Some(RECEIVE)).await?;
    tally.add("connections", 1);
    let authority = aim.target.h1.authority();
    let large = &aim.target.large;
    if protocol == Protocol::H1 {
        let request = format!("GET {large} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        wire::send(&mut stream, request.as_bytes()).await?;
        tally.add("requests", 1);
    } else {
        // As much as may be, so that nothing but the socket holds the server back.
        let mut begin = wire::preface(&[(4, 0x7fff_ffff)], 0x7fff_0000);
        for request in 0..32 {
            let section = hpack::request("GET", &authority, large);
            wire::section(&mut begin, 1 + 2 * request, true, &section);
        }
        wire::send(&mut stream, &begin).await?;
        tally.add("requests", 32);
    }
    let mut read = 0;
    let mut beat = tokio::time::interval(EVERY);
    loop {
        beat.tick().await;
        match wire::sip(&mut stream, 64).await {
            Ok(0) => return Ok(()),
            Ok(bytes) => read += bytes,
            Err(error) => {
                tally.add("bytes read until cut", read as u64);
                return Err(error);
            }
        }
    }
}
