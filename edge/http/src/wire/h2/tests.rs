//! Frames of connections, cut in many places, and what ends them.

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
/// `:method GET`, `:scheme https`, `:path /`.
const GET: &[u8] = b"\x82\x87\x84";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A connection up to its first request.
fn opened() -> Vec<u8> {
    [PREFACE, &frame(0x4, 0, 0, b"")].concat()
}

/// `frames` behind a preface and SETTINGS, cut in many ways.
fn check(frames: &[Vec<u8>], expected: Result<(), Verdict>) {
    let connection = [opened(), frames.concat()].concat();
    for step in [1, 2, 3, 7, 9, 10, 33, connection.len()] {
        let mut read = Frames::new(Limits { block: 40 });
        let mut take = |piece: &[u8]| read.take(piece, Duration::ZERO, 0);
        let seen = connection.chunks(step).try_for_each(&mut take);
        assert_eq!(seen, expected, "{frames:02x?} in steps of {step}");
    }
}

fn fault(frames: &[Vec<u8>], fault: Fault) {
    check(frames, Err(Verdict::Fault(fault)));
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, GET)
}

fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, GET)
}

#[test]
fn what_clients_send() {
    check(&[get(1), get(3)], Ok(()));
    check(&[post(1), frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"")], Ok(()));
    // Padding, priority, both.
    check(&[frame(HEADERS, PADDED | 0x5, 1, b"\x02\x82\x87\x84pp")], Ok(()));
    check(&[frame(HEADERS, PRIORITY | 0x5, 1, b"\0\0\0\0\x10\x82\x87\x84")], Ok(()));
    check(&[frame(HEADERS, PADDED | PRIORITY | 0x5, 1, b"\x01\0\0\0\0\x10\x82p")], Ok(()));
    // A block in pieces, trailers, and a type that nobody knows.
    let pieces = [
        frame(HEADERS, 0, 1, b"\x82"),
        frame(CONTINUATION, 0, 1, b"\x87"),
        frame(CONTINUATION, END_HEADERS, 1, b"\x84"),
    ];
    check(&pieces, Ok(()));
    check(&[post(1), frame(HEADERS, 0x5, 1, b"\x00\x01a\x01b"), get(3)], Ok(()));
    check(&[frame(0xaa, 0xff, 77, b"grease"), get(1)], Ok(()));
    // PRIORITY, RST_STREAM, SETTINGS and its acknowledgement, PING, GOAWAY, WINDOW_UPDATE.
    let others = [
        get(1),
        frame(0x2, 0, 3, b"\0\0\0\0\x10"),
        frame(0x3, 0, 1, b"\0\0\0\x08"),
        frame(0x4, 0, 0, b"\0\x04\0\0\xff\xff\0\x02\0\0\0\0"),
        frame(0x4, ACK, 0, b""),
        frame(0x6, 0, 0, b"12345678"),
        frame(0x8, 0, 0, b"\0\0\0\x01"),
        frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
        frame(0x7, 0, 0, b"\0\0\0\0\0\0\0\0bye"),
    ];
    check(&others, Ok(()));
    // The reserved bit of a stream is nobody's.
    check(&[frame(HEADERS, 0x5, 1 | 1 << 31, GET)], Ok(()));
}

#[test]
fn frames_have_a_place_and_a_size() {
    for (kind, flags, stream, payload, expected) in [
        (DATA, 0, 0, b"a".as_slice(), Fault::FrameOrder),
        (DATA, 0, 2, b"a", Fault::FrameOrder),
        (DATA, PADDED, 1, b"", Fault::FrameSize),
        (HEADERS, 0x5, 0, GET, Fault::FrameOrder),
        (HEADERS, 0x5, 2, GET, Fault::FrameOrder),
        (HEADERS, PADDED | 0x5, 1, b"\x04\x82pp", Fault::FrameValue),
        (HEADERS, PADDED | 0x5, 1, b"", Fault::FrameSize),
        (HEADERS, PRIORITY | 0x5, 1, b"\0\0\0\0", Fault::FrameSize),
        (0x2, 0, 0, b"\0\0\0\0\0", Fault::FrameOrder),
        (0x2, 0, 1, b"\0\0\0\0", Fault::FrameSize),
        (0x3, 0, 0, b"\0\0\0\0", Fault::FrameOrder),
        (0x3, 0, 1, b"\0\0\0", Fault::FrameSize),
        (0x4, 0, 1, b"", Fault::FrameOrder),
        (0x4, ACK, 0, b"\0\0\0\0\0\0", Fault::FrameSize),
        (0x4, 0, 0, b"\0\0\0", Fault::FrameSize),
        (0x4, 0, 0, b"\0\x02\0\0\0\x02", Fault::FrameValue),
        (0x4, 0, 0, b"\0\x04\x80\0\0\0", Fault::Window),
        (0x4, 0, 0, b"\0\x05\0\0\0\x01", Fault::FrameValue),
        (0x5, END_HEADERS, 1, b"\0\0\0\x02", Fault::FrameOrder),
        (0x6, 0, 1, b"12345678", Fault::FrameOrder),
        (0x6, 0, 0, b"1234567", Fault::FrameSize),
        (0x7, 0, 1, b"\0\0\0\0\0\0\0\0", Fault::FrameOrder),
        (0x7, 0, 0, b"\0\0\0\0", Fault::FrameSize),
        (0x8, 0, 0, b"\0\0\0\0", Fault::FrameValue),
        (0x8, 0, 1, b"\0\0\x01", Fault::FrameSize),
        (CONTINUATION, END_HEADERS, 1, GET, Fault::FrameOrder),
        (HEADERS, 0x5, 1, b"\xff\xff\x01", Fault::Compression),
        (0xbb, 0, 0, &[0; 16_385], Fault::FrameSize),
    ] {
        fault(&[frame(kind, flags, stream, payload)], expected);
    }
}

#[test]
fn a_connection_begins_with_settings() {
    let check = |first: Vec<u8>| {
        let mut read = Frames::new(Limits { block: 40 });
        let seen = read.take(&[PREFACE, &first].concat(), Duration::ZERO, 0);
        assert_eq!(seen, Err(Verdict::Fault(Fault::FrameOrder)), "{first:02x?}");
    };
    check(get(1));
    check(frame(0x4, ACK, 0, b""));
    check(frame(0x6, 0, 0, b"12345678"));
}

#[test]
fn field_blocks_stay_together() {
    let begun = || frame(HEADERS, 0, 1, b"\x82");
    fault(&[begun(), get(3)], Fault::FrameOrder);
    fault(&[begun(), frame(DATA, 0, 1, b"a")], Fault::FrameOrder);
    fault(&[begun(), frame(CONTINUATION, END_HEADERS, 3, b"\x87")], Fault::FrameOrder);
    fault(&[begun(), frame(0xaa, 0, 1, b"")], Fault::FrameOrder);
    // §8.1: what a request does not end with.
    for trailers in [b"\x84".as_slice(), b"\x00\x05:path\x01/", b"\x00\x01a\x01b\x82"] {
        fault(&[post(1), frame(HEADERS, 0x5, 1, trailers)], Fault::Trailers);
        let cut = [
            post(1),
            frame(HEADERS, END_STREAM, 1, &trailers[..1]),
            frame(CONTINUATION, END_HEADERS, 1, &trailers[1..]),
        ];
        fault(&cut, Fault::Trailers);
    }
}

/// How many of `frame` one connection may send at once, each behind `between`.
fn allowed(frame: &[u8], between: impl Fn(u32) -> Vec<u8>, now: u64, sent: u64) -> (u32, Flood) {
    let mut read = Frames::new(Limits { block: 1 << 16 });
    read.take(&opened(), Duration::ZERO, 0).unwrap();
    for at in 0.. {
        read.take(&between(at), Duration::from_secs(now), sent).unwrap();
        match read.take(frame, Duration::from_secs(now), sent) {
            Ok(()) => {}
            Err(Verdict::Flood(flood)) => return (at, flood),
            Err(fault) => panic!("{fault:?}"),
        }
    }
    unreachable!("a flood has no end")
}

#[test]
fn floods_end() {
    let nothing = |_| Vec::new();
    let check = |frame: Vec<u8>, expected: (u32, Flood)| {
        assert_eq!(allowed(&frame, nothing, 0, 0), expected, "{frame:02x?}");
    };
    // One SETTINGS began the connection.
    check(frame(0x4, 0, 0, b""), (31, Flood::Settings));
    check(frame(0x4, ACK, 0, b""), (31, Flood::Settings));
    check(frame(0x6, 0, 0, b"12345678"), (64, Flood::Ping));
    check(frame(0x6, ACK, 0, b"12345678"), (64, Flood::Ping));
    check(frame(0x2, 0, 1, b"\0\0\0\0\x10"), (256, Flood::Priority));
    check(frame(0x10, 0, 0, b"\0\0\0\x01u=1"), (256, Flood::Priority));
    check(frame(0x8, 0, 0, b"\0\0\0\x01"), (1024, Flood::WindowUpdate));
    check(frame(DATA, 0, 1, b""), (64, Flood::EmptyData));
    check(frame(DATA, 0, 1, b"x"), (1024, Flood::SmallData));
    check(frame(0xaa, 0, 0, b""), (128, Flood::Unknown));
    check(frame(0x7, 0, 0, b"\0\0\0\0\0\0\0\0"), (128, Flood::Unknown));
}

/// CVE-2023-44487: each request is taken back at once.
#[test]
fn rapid_reset_ends() {
    let reset = frame(0x3, 0, 1, b"\0\0\0\x08");
    let (resets, flood) = allowed(&reset, |at| get(2 * at + 1), 0, 0);
    assert_eq!((resets, flood), (266, Flood::Reset));
    // One of four asked may be taken back for ever.
    let four = |at: u32| (0..4).flat_map(|one| get(8 * at + 2 * one + 1)).collect();
    let mut read = Frames::new(Limits { block: 40 });
    read.take(&opened(), Duration::ZERO, 0).unwrap();
    for at in 0..5000 {
        let asked: Vec<u8> = four(at);
        read.take(&asked, Duration::ZERO, 0).unwrap();
        read.take(&reset, Duration::ZERO, 0).unwrap();
    }
}

/// What there is a reason for is not a flood.
#[test]
fn budgets_grow() {
    let nothing = |_| Vec::new();
    let ping = frame(0x6, 0, 0, b"12345678");
    assert_eq!(allowed(&ping, nothing, 3, 0).0, 64 + 30);
    assert_eq!(allowed(&ping, nothing, 3600, 0).0, 64 + 64);
    assert_eq!(allowed(&ping, nothing, 0, 1 << 20).0, 64 + 16);
    let window = frame(0x8, 0, 0, b"\0\0\0\x01");
    assert_eq!(allowed(&window, nothing, 0, 128 << 10).0, 1024 + 1024);
    // Two for each frame of 16 KiB over 64 MiB are far below it.
    assert!(allowed(&window, nothing, 1, 1 << 26).0 > 2 * (1 << 26) / 16_384);
}

#[test]
fn a_field_block_is_bounded() {
    let flood = Err(Verdict::Flood(Flood::Continuation));
    check(&[frame(HEADERS, 0x5, 1, &[0x82; 41])], flood);
    check(&[frame(HEADERS, 0, 1, &[0x82; 20]), frame(CONTINUATION, 0, 1, &[0x82; 21])], flood);
    // Each frame is small, and the block has no end.
    let mut endless = vec![frame(HEADERS, 0, 1, b"\x82")];
    endless.extend((0..5).map(|_| frame(CONTINUATION, 0, 1, b"")));
    check(&endless, Ok(()));
    endless.push(frame(CONTINUATION, 0, 1, b""));
    check(&endless, flood);
}
