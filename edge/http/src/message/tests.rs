//! Tables of messages, and that neither bytes nor cuts make a difference they should not.

use proptest::{collection::vec, prelude::*};

use super::*;

const SECTION_MAX: usize = 1000;

fn var_int(number: u64) -> Vec<u8> {
    match number {
        0..0x40 => vec![number as u8],
        0x40..0x4000 => (number as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (number as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (number | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [var_int(kind), var_int(payload.len() as u64), payload.to_vec()].concat()
}

/// Literals, with lengths that fit one byte of seven or three bits and one more.
fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        assert!(name.len() < 7 + 128 && value.len() < 127);
        match u8::try_from(name.len()).unwrap() {
            short @ 0..7 => section.push(0x20 | short),
            long => section.extend([0x27, long - 7]),
        }
        section.extend_from_slice(name.as_bytes());
        section.push(value.len() as u8);
        section.extend_from_slice(value.as_bytes());
    }
    frame(HEADERS, &section)
}

fn get() -> Vec<(&'static str, &'static str)> {
    vec![(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")]
}

fn head(more: &[(&'static str, &'static str)]) -> Vec<u8> {
    headers(&[get().as_slice(), more].concat())
}

/// The verdict on a whole stream, in pieces of these lengths, repeated.
fn verdict(stream: &[u8], cuts: &[usize]) -> Result<(), Malformed> {
    let mut message = Message::new(SECTION_MAX);
    let (mut rest, mut cuts) = (stream, cuts.iter().cycle());
    while !rest.is_empty() {
        let cut = cuts.next().map_or(rest.len(), |cut| (*cut).clamp(1, rest.len()));
        let (piece, behind) = rest.split_at(cut);
        message.take(piece)?;
        assert!(message.section.len() <= SECTION_MAX);
        rest = behind;
    }
    message.end()
}

fn check(frames: &[Vec<u8>], expected: Result<(), Malformed>) {
    let stream = frames.concat();
    for cuts in [&[][..], &[1], &[2, 5]] {
        assert_eq!(verdict(&stream, cuts), expected, "{stream:02x?} cut {cuts:?}");
    }
}

#[test]
fn heads() {
    let ok = |fields: &[(&str, &str)]| check(&[headers(fields)], Ok(()));
    let no = |fields: &[(&str, &str)], why| check(&[headers(fields)], Err(why));
    let named = [(":method", "GET"), (":scheme", "https"), (":authority", "a:b@x"), (":path", "/")];
    no(&named, Malformed::Request);
    let and = |more: &[(&'static str, &'static str)]| [get().as_slice(), more].concat();
    ok(&get());
    ok(&and(&[("accept", "*/*"), ("te", "trailers"), ("x-_~", "A\tb")]));
    ok(&[(":path", "/"), (":scheme", "https"), (":method", "GET"), ("host", "x")]);
    ok(&[(":method", "CONNECT"), (":authority", "x:1")]);
    for (name, value) in get() {
        no(&and(&[(name, value)]), Malformed::PseudoRepeated);
        no(&and(&[("accept", "*/*"), (name, value)]), Malformed::PseudoMisplaced);
    }
    no(&and(&[(":status", "200")]), Malformed::PseudoUnknown);
    no(&and(&[(":protocol", "websocket")]), Malformed::PseudoUnknown);
    no(&and(&[(":", "")]), Malformed::PseudoUnknown);
    no(&get()[1..], Malformed::PseudoMissing);
    no(&get()[..3], Malformed::PseudoMissing);
    no(&[(":method", "GET"), (":path", "/"), ("host", "x")], Malformed::PseudoMissing);
    no(&[(":method", "CONNECT"), (":scheme", "https"), (":path", "/")], Malformed::PseudoMissing);
    no(&[], Malformed::PseudoMissing);
    for name in ["Accept", "a b", "", "a:", "\u{e9}"] {
        no(&and(&[(name, "1")]), Malformed::Field);
    }
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        no(&and(&[(name, "1")]), Malformed::ConnectionField);
    }
}

#[test]
fn bodies() {
    let check = |lengths: &[&'static str], frames: &[usize], expected| {
        let lengths: Vec<_> = lengths.iter().map(|value| ("content-length", *value)).collect();
        let data = frames.iter().map(|bytes| frame(DATA, &vec![b'x'; *bytes]));
        let stream: Vec<_> = std::iter::once(head(&lengths)).chain(data).collect();
        check(&stream, expected);
    };
    check(&[], &[], Ok(()));
    check(&[], &[5, 0, 6], Ok(()));
    check(&["0"], &[], Ok(()));
    check(&["0"], &[0], Ok(()));
    check(&["11", "11"], &[5, 6], Ok(()));
    for (lengths, frames) in [
        (&["10"][..], &[5][..]),
        (&["10"], &[]),
        (&["10"], &[5, 6]),
        (&["0"], &[1]),
        (&["0", "5"], &[]),
        (&["five"], &[]),
        (&["+5"], &[5]),
        (&["5, 5"], &[5]),
        (&[""], &[]),
        (&["99999999999999999999"], &[]),
    ] {
        check(lengths, frames, Err(Malformed::ContentLength));
    }
}

#[test]
fn frames() {
    let grease = frame(0x21 + 31 * 5, b"abc");
    let trailers = headers(&[("x-a", "1")]);
    let data = frame(DATA, b"12345");
    check(&[], Ok(()));
    check(
        &[grease.clone(), head(&[]), grease.clone(), data.clone(), trailers.clone(), grease],
        Ok(()),
    );
    let late = [head(&[("content-length", "6")]), data.clone(), trailers.clone()];
    check(&late, Err(Malformed::ContentLength));
    for wrong in [
        vec![data.clone()],
        vec![head(&[]), trailers.clone(), trailers.clone()],
        vec![head(&[]), trailers, data.clone()],
        vec![head(&[]), frame(0x5, b"\0\0\0")],
        vec![frame(0x41, b"")],
    ] {
        check(&wrong, Err(Malformed::FrameUnexpected));
    }
    for kind in [0x2, 0x3, 0x4, 0x6, 0x7, 0x8, 0x9, 0xd] {
        check(&[head(&[]), frame(kind, b"")], Err(Malformed::FrameUnexpected));
    }
    for cut in [vec![0x40], vec![0x00], vec![0x00, 5, b'1']] {
        check(&[head(&[]), cut], Err(Malformed::FrameCut));
    }
    // As much as is held, and a byte more: of headers, and of what nobody knows.
    let fill = |bytes| frame(0x21, &vec![0; bytes]);
    check(&[fill(SECTION_MAX), head(&[])], Ok(()));
    check(&[fill(SECTION_MAX + 1)], Err(Malformed::TooLarge));
    check(&[var_int(HEADERS), var_int(u64::MAX >> 2)], Err(Malformed::TooLarge));
}

#[test]
fn trailers() {
    let check = |name, value, expected| {
        check(&[head(&[]), frame(DATA, b"x"), headers(&[(name, value)])], expected);
    };
    check("x-checksum", "1", Ok(()));
    check(":path", "/", Err(Malformed::PseudoMisplaced));
    check("X-Upper", "1", Err(Malformed::Field));
    check("x-a", "1\r\nx-b: 2", Err(Malformed::Field));
    check("transfer-encoding", "chunked", Err(Malformed::ConnectionField));
}

#[test]
fn what_qpack_cannot_read() {
    // RFC 9204 §2.2: a table that is empty is referred to.
    check(&[frame(HEADERS, b"\x00\x00\xbf\xff\xff\x01")], Err(Malformed::Qpack));
    check(&[frame(HEADERS, b"")], Err(Malformed::Qpack));
    check(&[frame(HEADERS, b"\x00")], Err(Malformed::Qpack));
    check(&[head(&[]), frame(HEADERS, b"\x01\x00")], Err(Malformed::Qpack));
}

#[test]
fn control_streams() {
    let settings = |pairs: &[(u64, u64)]| {
        let numbers = pairs.iter().map(|(id, value)| [var_int(*id), var_int(*value)].concat());
        frame(0x4, &numbers.collect::<Vec<_>>().concat())
    };
    let check = |frames: &[Vec<u8>], expected| {
        let stream = frames.concat();
        for cut in [stream.len(), 1, 3] {
            let mut control = Control::new(SECTION_MAX);
            let verdict = stream.chunks(cut).try_for_each(|piece| control.take(piece));
            assert_eq!(verdict, expected, "{frames:02x?} in pieces of {cut}");
            assert_eq!(control.take(&[]), expected, "a verdict stays");
        }
    };
    let none = || settings(&[]);
    check(&[none(), frame(0xd, &[0]), frame(0x7, &[0]), frame(0xf0700, b"\0u=1")], Ok(()));
    check(&[settings(&[(1, 0), (6, 70_000), (7, 0), (0x21 + 31, 5)]), frame(0x21, b"")], Ok(()));
    // RFC 9114 §6.2.1
    check(&[frame(DATA, b"")], Err(Malformed::MissingSettings));
    check(&[frame(0x21, b""), none()], Err(Malformed::MissingSettings));
    // §7.2.1, §7.2.2, §7.2.4, §7.2.5, §7.2.8
    for kind in [DATA, HEADERS, 0x4, 0x5, 0x2, 0x6, 0x8, 0x9, 0x41] {
        check(&[none(), frame(kind, &[0, 0])], Err(Malformed::FrameUnexpected));
    }
    // §7.2.4 and §7.2.4.1
    check(&[settings(&[(6, 1), (6, 1)])], Err(Malformed::Settings));
    for id in [0, 2, 3, 4, 5] {
        check(&[settings(&[(id, 1)])], Err(Malformed::Settings));
    }
    check(&[frame(0x4, &var_int(6))], Err(Malformed::FrameLength));
    check(&[frame(0x4, &[0x40])], Err(Malformed::FrameLength));
    let many: Vec<_> = (0..65).map(|at| (0x100 + at, 0)).collect();
    check(&[settings(&many)], Err(Malformed::TooLarge));
    // §7.2.3: nothing was promised
    check(&[none(), frame(0xd, &[9]), frame(0x3, &[1])], Err(Malformed::Id));
    // §7.2.7 and §5.2
    check(&[none(), frame(0xd, &[5]), frame(0xd, &[5]), frame(0xd, &[7])], Ok(()));
    check(&[none(), frame(0xd, &[5]), frame(0xd, &[4])], Err(Malformed::Id));
    check(&[none(), frame(0x7, &[5]), frame(0x7, &[5]), frame(0x7, &[0])], Ok(()));
    check(&[none(), frame(0x7, &[5]), frame(0x7, &[6])], Err(Malformed::Id));
    // §7.1
    for kind in [0x3, 0x7, 0xd] {
        check(&[none(), frame(kind, &[])], Err(Malformed::FrameLength));
        check(&[none(), frame(kind, &[1, 1])], Err(Malformed::FrameLength));
        check(&[none(), frame(kind, &[0x40])], Err(Malformed::FrameLength));
    }
    check(&[var_int(0x4), var_int(1 << 30)], Err(Malformed::TooLarge));
}

#[test]
fn what_qpack_streams_may_say() {
    let check = |instructions: fn() -> Instructions, bytes: &[u8], expected, seen| {
        for cut in [bytes.len(), 1] {
            let mut stream = instructions();
            let verdict = bytes.chunks(cut).try_for_each(|piece| stream.take(piece));
            assert_eq!(verdict, expected, "{bytes:02x?} in pieces of {cut}");
            assert_eq!((stream.take(&[]), stream.seen()), (expected, seen), "{bytes:02x?}");
        }
    };
    let encoder =
        |bytes: &[u8], expected, seen| check(Instructions::encoder, bytes, expected, seen);
    let decoder =
        |bytes: &[u8], expected, seen| check(Instructions::decoder, bytes, expected, seen);
    // RFC 9204 §4.3.1: no capacity, twice
    encoder(&[0x20, 0x20], Ok(()), 2);
    for bytes in [&[0x21][..], &[0x3f, 0x01], &[0xc0, 0x00], &[0x41, b'a', 0x00], &[0x00]] {
        encoder(bytes, Err(Malformed::EncoderStream), 0);
    }
    // §4.4.2: streams 0, 62, 63 and a far one
    decoder(&[0x40, 0x7e, 0x7f, 0x00, 0x7f, 0xff, 0xff, 0x03, 0x44], Ok(()), 5);
    // §4.4.1, §4.4.3
    for bytes in [&[0x80][..], &[0x01], &[0x00]] {
        decoder(bytes, Err(Malformed::DecoderStream), 0);
    }
    decoder(&[[0x7f].as_slice(), &[0xff; 12]].concat(), Err(Malformed::DecoderStream), 1);
}

#[test]
fn a_verdict_stays() {
    let mut message = Message::new(SECTION_MAX);
    assert_eq!(message.take(&frame(DATA, b"")), Err(Malformed::FrameUnexpected));
    assert_eq!(message.take(&head(&[])), Err(Malformed::FrameUnexpected));
    assert_eq!(message.end(), Err(Malformed::FrameUnexpected));
}

#[test]
fn frames_that_mean_nothing_are_counted() {
    let stream = [frame(0x21, b"x"), head(&[]), frame(DATA, b""), frame(DATA, b"x")].concat();
    let mut message = Message::new(SECTION_MAX);
    assert_eq!(message.take(&stream), Ok(()));
    assert_eq!(message.idle(), 0, "two of a request may be");
    assert_eq!(message.take(&[frame(DATA, b""), frame(0x21, b"")].concat()), Ok(()));
    assert_eq!(message.idle(), 2);
}

#[test]
fn labels_follow_the_order_of_the_reasons() {
    for (at, of) in Excess::ALL.into_iter().enumerate() {
        assert_eq!(of as usize, at, "{}", of.as_str());
    }
    for (at, why) in Malformed::ALL.into_iter().enumerate() {
        assert_eq!(why as usize, at, "{}", why.as_str());
    }
}

/// Streams that come further than arbitrary bytes do.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let section = prop_oneof![
        Just(vec![0, 0, 0xd1, 0xd7, 0xc1]),
        vec(any::<u8>(), 0..40),
        vec(any::<u8>(), 0..20).prop_map(|more| [&[0, 0, 0xd1, 0xd7, 0xc1], &more[..]].concat()),
    ];
    let frames = prop_oneof![
        section.prop_map(|section| frame(HEADERS, &section)),
        vec(any::<u8>(), 0..30).prop_map(|data| frame(DATA, &data)),
        (0_u64..0x60, vec(any::<u8>(), 0..10)).prop_map(|(kind, data)| frame(kind, &data)),
        vec(any::<u8>(), 0..30),
    ];
    vec(frames, 0..6).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn cuts_change_nothing(stream in stream(), cuts in vec(1_usize..20, 1..8)) {
        let whole = verdict(&stream, &[]);
        prop_assert_eq!(verdict(&stream, &cuts), whole);
        prop_assert_eq!(verdict(&stream, &[1]), whole);
    }
}
