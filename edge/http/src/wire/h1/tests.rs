//! Bytes of connections, cut in every place, and what is wrong in them.

use super::*;

/// `connection` cut in every place says the same: whole, or a fault at its byte.
fn check(connection: &[u8], expected: Result<(), (usize, Fault)>) {
    let shown = String::from_utf8_lossy(connection);
    for step in 1..=connection.len() {
        let mut requests = Requests::default();
        let mut at = 0;
        let seen = connection.chunks(step).try_for_each(|piece| {
            let seen = requests.take(piece).map_err(|(before, fault)| (at + before, fault));
            at += piece.len();
            seen
        });
        assert_eq!(seen, expected, "{shown:?} in steps of {step}");
    }
}

fn good(connection: &str) {
    check(connection.as_bytes(), Ok(()));
}

/// The fault of `before` + `rest` lies at the first byte of `rest`.
fn bad(before: &str, rest: &str, fault: Fault) {
    check(format!("{before}{rest}").as_bytes(), Err((before.len(), fault)));
}

#[test]
fn what_clients_send() {
    good("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    good("GET / HTTP/1.1\r\nHost:x\r\nX-Empty:\r\nA: \t b\tc \r\n\r\nGET /2 HTTP/1.0\r\n\r\n");
    good("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3 \r\n\r\na\n\0GET / HTTP/1.1\r\n\r\n");
    good("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    // RFC 9112 §2.2: empty lines before a request.
    good("\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    good("GET /\u{e4} HTTP/1.1\r\nx: \u{fc}\r\n\r\n");
    good("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n");
}

#[test]
fn chunked_bodies() {
    let post = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
    for body in [
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "A\r\n0123456789\r\n00\r\nx-trailer: 1\r\n\r\n",
        "1;name\r\na\r\n1 ; name=\"v\"\r\nb\r\n0;\r\n\r\n",
    ] {
        good(&format!("{post}{body}"));
        good(&format!("{post}{body}GET / HTTP/1.1\r\n\r\n"));
    }
    bad(post, "\r\n", Fault::Chunk);
    bad(post, "+3\r\nabc\r\n", Fault::Chunk);
    bad(post, "-3\r\n", Fault::Chunk);
    bad(post, " 3\r\n", Fault::Chunk);
    bad(post, "x\r\n", Fault::Chunk);
    bad(post, ";a\r\n", Fault::Chunk);
    bad(&format!("{post}0"), "x3\r\nabc\r\n", Fault::Chunk);
    bad(&format!("{post}3"), "_\r\nabc\r\n", Fault::Chunk);
    bad(&format!("{post}3 "), "3\r\n", Fault::Chunk);
    bad(&format!("{post}3 "), "\r\nabc\r\n", Fault::Chunk);
    bad(&format!("{post}3"), "\nabc\r\n", Fault::LineEnd);
    bad(&format!("{post}3;a"), "\nabc\r\n", Fault::LineEnd);
    bad(&format!("{post}3;a\r"), "abc\r\n", Fault::LineEnd);
    bad(&format!("{post}3;a"), "\0\r\n", Fault::Chunk);
    bad(&format!("{post}3\r"), "abc", Fault::LineEnd);
    // Longer and shorter than said.
    bad(&format!("{post}3\r\nabc"), "d\r\n", Fault::Chunk);
    bad(&format!("{post}3\r\nab\r"), "x\r\n", Fault::Chunk);
    bad(&format!("{post}3\r\nabc"), "\n0\r\n\r\n", Fault::Chunk);
    bad(&format!("{post}3\r\nabc\r"), "0\r\n\r\n", Fault::Chunk);
    // 2^64 and zeros without end.
    bad(&format!("{post}1000000000000000"), "0\r\n", Fault::Chunk);
    bad(&format!("{post}0000000000000000"), "3\r\n", Fault::Chunk);
    bad(&format!("{post}3;{}", "a".repeat(255)), "a\r\n", Fault::Chunk);
    // Trailers that would be read as fields of a head.
    let trailers = format!("{post}0\r\n");
    bad(&format!("{trailers}content-length: 5"), "\r\n", Fault::Trailers);
    bad(&format!("{trailers}transfer-encoding: chunked"), "\r\n", Fault::Trailers);
    bad(&format!("{trailers}a"), " : b\r\n", Fault::FieldName);
    bad(&trailers, "\nGET", Fault::LineEnd);
}

#[test]
fn where_bodies_end() {
    let fault = |fields: &str, fault| {
        let connection = format!("POST / HTTP/1.1\r\n{fields}");
        bad(&connection, "\r\n\r\n", fault);
    };
    fault("content-length: 3\r\ntransfer-encoding: chunked", Fault::BothLengths);
    fault("Transfer-Encoding: chunked\r\nContent-Length: 3", Fault::BothLengths);
    fault("content-length: 3\r\ncontent-length: 3", Fault::ContentLength);
    fault("content-length: 3\r\ncontent-length: 4", Fault::ContentLength);
    for value in ["", "+3", "-3", "3, 3", "3,4", "0x3", "3 4", "three", "18446744073709551616"] {
        fault(&format!("content-length: {value}"), Fault::ContentLength);
    }
    for value in [
        "",
        "gzip",
        "identity",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked,",
        ",chunked",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "chunked;q=1",
        "chun ked",
    ] {
        fault(&format!("transfer-encoding: {value}"), Fault::TransferEncoding);
    }
    bad("POST / HTTP/1.1\r\ntransfer-encoding: chunked", "\u{b}\r\n", Fault::FieldValue);
    fault("transfer-encoding: chunked\r\ntransfer-encoding: chunked", Fault::TransferEncoding);
    // RFC 9112 §6.1: HTTP/1.0 knows no codings.
    let old = "POST / HTTP/1.0\r\ntransfer-encoding: chunked";
    bad(old, "\r\n\r\n", Fault::TransferEncoding);
    // A name that is nearly one frames nothing.
    good("POST / HTTP/1.1\r\nx-content-length: 3\r\ncontent_length: 4\r\n\r\n");
    good("GET / HTTP/1.1\r\ntransfer-encoding-x: gzip\r\n\r\n");
}

#[test]
fn lines() {
    bad("GET / HTTP/1.1", "\nhost: x\r\n\r\n", Fault::LineEnd);
    bad("GET / HTTP/1.1\r", "host: x\r\n\r\n", Fault::LineEnd);
    bad("GET / HTTP/1.1\r\nhost: x", "\n\r\n", Fault::LineEnd);
    bad("GET / HTTP/1.1\r\nhost: x\r", " y: 1\r\n\r\n", Fault::LineEnd);
    bad("GET / HTTP/1.1\r\nhost", "\r\n\r\n", Fault::LineEnd);
    bad("GET / HTTP/1.1\r\nhost: x\r\n", "\n", Fault::LineEnd);
    bad("GET / HTTP/1.1\r\nhost: x\r\n\r", "\r\n", Fault::LineEnd);
    bad("", "\nGET / HTTP/1.1\r\n\r\n", Fault::LineEnd);
    bad("\r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n", Fault::LineEnd);
    bad("\r", "GET / HTTP/1.1\r\n\r\n", Fault::LineEnd);
    bad("GET / HTTP/1.1\r\n", " host: x\r\n\r\n", Fault::Folded);
    bad("GET / HTTP/1.1\r\nhost: x\r\n", "\tx-more: 1\r\n\r\n", Fault::Folded);
}

#[test]
fn request_lines_and_fields() {
    bad("GET / HTTP/1.1", " \r\n\r\n", Fault::RequestLine);
    bad("GET ", " / HTTP/1.1\r\n\r\n", Fault::RequestLine);
    bad("", " / HTTP/1.1\r\n\r\n", Fault::RequestLine);
    bad("GET /", "\r\n\r\n", Fault::RequestLine);
    bad("GET", "\r\n\r\n", Fault::RequestLine);
    bad("G", "{T / HTTP/1.1\r\n\r\n", Fault::RequestLine);
    for version in ["HTTP/|2.0", "HTTP/1.|2", "|http/1.1", "HTTP/1.1|1", "HTTP|1", "HTTP/1|\r"] {
        let (before, rest) = version.split_once('|').unwrap();
        bad(&format!("GET / {before}"), &format!("{rest}\r\n\r\n"), Fault::Version);
    }
    for target in ["/a|#b", "/a?b|#", "/|<", "/?a|>", "/a|`", "/?|\"", "|#", "http://[::1|"] {
        let (before, rest) = target.split_once('|').unwrap();
        bad(&format!("GET {before}"), &format!("{rest} HTTP/1.1\r\n\r\n"), Fault::Target);
    }
    bad("GET /a ", "b HTTP/1.1\r\n\r\n", Fault::Version);
    good("GET /\"{}? HTTP/1.1\r\n\r\nGET /?`{}? HTTP/1.1\r\n\r\nGET http://x/?a HTTP/1.0\r\n\r\n");
    bad("GET", "\t/ HTTP/1.1\r\n\r\n", Fault::RequestLine);
    bad("GET /", "\0 HTTP/1.1\r\n\r\n", Fault::RequestLine);
    bad("GET /", "\x7f HTTP/1.1\r\n\r\n", Fault::RequestLine);
    let head = "GET / HTTP/1.1\r\n";
    bad(&format!("{head}host"), " : x\r\n\r\n", Fault::FieldName);
    bad(&format!("{head}content-length"), "\t: 3\r\n\r\n", Fault::FieldName);
    bad(head, ": x\r\n\r\n", Fault::FieldName);
    bad(&format!("{head}ho"), "(st: x\r\n\r\n", Fault::FieldName);
    bad(&format!("{head}ho"), "\0st: x\r\n\r\n", Fault::FieldName);
    bad(&format!("{head}ho"), "\u{e4}: x\r\n\r\n", Fault::FieldName);
    bad(&format!("{head}a: b"), "\0c\r\n\r\n", Fault::FieldValue);
    bad(&format!("{head}a: b"), "\u{b}c\r\n\r\n", Fault::FieldValue);
    bad(&format!("{head}a: "), "\x7f\r\n\r\n", Fault::FieldValue);
    bad(&format!("{head}content-length: "), "\x0c3\r\n\r\n", Fault::FieldValue);
}

#[test]
fn heads_are_bounded() {
    let check = |connection: String, expected: Result<(), (usize, Fault)>| {
        for step in [1, 2, 7, 13, 64, connection.len()] {
            let mut requests = Requests::new(Limits { fields: 2, bytes: 64 });
            let mut at = 0;
            let seen = connection.as_bytes().chunks(step).try_for_each(|piece| {
                let seen = requests.take(piece).map_err(|(before, fault)| (at + before, fault));
                at += piece.len();
                seen
            });
            assert_eq!(seen, expected, "{connection:?} in steps of {step}");
        }
    };
    let line = "GET / HTTP/1.1\r\n";
    check(format!("{line}a: b\r\nc: d\r\n\r\n").repeat(9), Ok(()));
    check(
        format!("{line}a: b\r\nc: d\r\ne: f\r\n\r\n"),
        Err((line.len() + 12, Fault::TooManyFields)),
    );
    // Exactly as much as it may, and a byte more.
    let head = |value: usize| format!("{line}a: {}\r\n\r\n", "x".repeat(value));
    check(head(64 - 16 - 3 - 4).repeat(3), Ok(()));
    check(head(64 - 16 - 3 - 3), Err((64, Fault::HeadTooLarge)));
    check(head(1000), Err((64, Fault::HeadTooLarge)));
    check(format!("GET /{}", "x".repeat(100)), Err((64, Fault::TargetTooLong)));
    // Neither bodies nor blank lines are of a head; trailers have the same bounds.
    check("\r\n\r\n".to_owned() + &head(64 - 16 - 3 - 4), Ok(()));
    let post = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("50\r\n{}\r\n", "x".repeat(0x50));
    check(format!("{post}{}0\r\na: b\r\n\r\n", chunk.repeat(5)), Ok(()));
    let three = "a: b\r\nc: d\r\ne: f\r\n\r\n";
    check(format!("{post}0\r\n{three}"), Err((post.len() + 3 + 12, Fault::TooManyFields)));
}
