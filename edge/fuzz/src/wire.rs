//! Connections of HTTP/1.1 and HTTP/2 as their bytes tell them (RFC 9112, RFC 9113).

use std::time::Duration;

use weir_edge_http::{
    Fault,
    wire::{
        Verdict,
        h1::Requests,
        h2::{Frames, Limits},
    },
};

use crate::fields::prefix;

/// Small, so that inputs reach it.
const BLOCK: usize = 200;

/// What every input goes on from: the client's preface, and SETTINGS.
const OPENED: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(crate) fn h1(input: &[u8]) {
    let ([cut], connection) = prefix::<1>(input);
    let seen = |cut: usize| {
        let mut requests = Requests::default();
        let mut at = 0;
        connection.chunks(cut.max(1)).try_for_each(|piece| {
            let seen = requests.take(piece);
            let seen = seen.map_err(|(before, fault)| {
                assert!(before < piece.len(), "a fault has its byte");
                (at + before, fault)
            });
            at += piece.len();
            seen
        })
    };
    let whole: Result<(), (usize, Fault)> = seen(connection.len());
    assert_eq!(seen(usize::from(cut)), whole, "in pieces of {cut}");
    assert_eq!(seen(1), whole, "byte by byte");
}

pub(crate) fn h2(input: &[u8]) {
    let ([cut], connection) = prefix::<1>(input);
    let seen = |cut: usize| {
        let mut frames = Frames::new(Limits { block: BLOCK });
        let mut take = |piece: &[u8]| frames.take(piece, Duration::ZERO, 0);
        take(OPENED).expect("nothing is wrong with it");
        let seen: Result<(), Verdict> = connection.chunks(cut.max(1)).try_for_each(take);
        (seen, frames.opened())
    };
    let whole = seen(connection.len());
    assert_eq!(seen(usize::from(cut)), whole, "in pieces of {cut}");
    assert_eq!(seen(1), whole, "byte by byte");
    assert!(whole.1 <= 0x7fff_ffff, "a stream has 31 bits");
}
