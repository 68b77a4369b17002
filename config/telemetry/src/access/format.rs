//! How a line of the access log is written.

use std::io::Write;

use super::entry::Entry;

/// The forms that there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessFormat {
    /// One JSON object a line, with every field.
    #[default]
    Json,
    /// Combined Log Format, as Apache and nginx write it.
    Combined,
    /// W3C Extended Log File Format.
    W3c,
}

/// Fields of the W3C form; a file begins with them. A name with `x-` is of our own.
const W3C: &str = "#Version: 1.0\n#Software: weir\n#Fields: date time c-ip cs-method cs(Host) \
    cs-uri-stem cs-uri-query sc-status sc-bytes time-taken cs-version cs(User-Agent) cs(Referer) \
    x-cache x-service x-session x-range x-ttfb x-whole x-tls x-id x-cmcd\n";

impl AccessFormat {
    /// What a new file begins with.
    pub fn header(self) -> &'static str {
        if self == Self::W3c { W3C } else { "" }
    }

    /// Whether a line tells `Referer` and `User-Agent`.
    pub fn tells_agents(self) -> bool {
        self != Self::Json
    }

    /// Adds a line without its end; false where it cannot be written.
    pub fn write(self, entry: &Entry<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Json => serde_json::to_writer(out, entry).is_ok(),
            Self::Combined => combined(entry, out).is_ok(),
            Self::W3c => w3c(entry, out).is_ok(),
        }
    }
}

/// As the request line of each protocol would read.
fn version(entry: &Entry<'_>) -> &'static str {
    match entry.protocol {
        "h1" => "HTTP/1.1",
        "h2" => "HTTP/2.0",
        _ => "HTTP/3.0",
    }
}

fn combined(entry: &Entry<'_>, out: &mut Vec<u8>) -> std::io::Result<()> {
    match entry.client {
        Some(address) => write!(out, "{address} - ")?,
        None => write!(out, "- - ")?,
    }
    // The user, which is a session here.
    escaped(entry.sid.unwrap_or("-"), true, out);
    let Date { year, month, day, hour, minute, second } = Date::of(entry.time);
    let month = MONTHS[usize::from(month) - 1];
    write!(out, " [{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000] \"")?;
    escaped(entry.method, false, out);
    out.push(b' ');
    escaped(entry.path, false, out);
    write!(out, " {}\" {} ", version(entry), entry.status)?;
    match entry.bytes {
        0 => out.push(b'-'),
        bytes => write!(out, "{bytes}")?,
    }
    for text in [entry.referer, entry.agent] {
        out.extend_from_slice(b" \"");
        escaped(text.unwrap_or("-"), false, out);
        out.push(b'"');
    }
    Ok(())
}

/// Between quotes, as Apache escapes it: what could end the field, and what is no text. A field
/// without quotes has no blanks either.
fn escaped(text: &str, blanks: bool, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' ' if blanks => out.extend_from_slice(b"\\x20"),
            0x20..=0x7e => out.push(byte),
            _ => hex(b"\\x", byte, out),
        }
    }
}

fn w3c(entry: &Entry<'_>, out: &mut Vec<u8>) -> std::io::Result<()> {
    let Date { year, month, day, hour, minute, second } = Date::of(entry.time);
    write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} ")?;
    match entry.client {
        Some(address) => write!(out, "{address} ")?,
        None => out.extend_from_slice(b"- "),
    }
    let (stem, query) = entry.path.split_once('?').unwrap_or((entry.path, ""));
    for text in [entry.method, entry.host, stem, query] {
        word(text, out);
    }
    let seconds = entry.total_ms / 1e3;
    write!(out, "{} {} {seconds:.3} {} ", entry.status, entry.bytes, version(entry))?;
    let or = |text: Option<&'_ str>, out: &mut Vec<u8>| word(text.unwrap_or(""), out);
    or(entry.agent, out);
    or(entry.referer, out);
    word(entry.cache, out);
    or(entry.service, out);
    or(entry.sid, out);
    or(entry.range, out);
    write!(out, "{:.3} {} ", entry.ttfb_ms / 1e3, u8::from(entry.whole))?;
    or(entry.tls, out);
    write!(out, "{} ", entry.id)?;
    let said = entry.cmcd.map(|said| said.written()).unwrap_or_default();
    word(&said, out);
    // The blank after the last one.
    out.pop();
    Ok(())
}

/// A field without blanks, `-` where it is empty, and a blank after it.
fn word(text: &str, out: &mut Vec<u8>) {
    if text.is_empty() {
        out.push(b'-');
    }
    for byte in text.bytes() {
        match byte {
            b' ' => out.push(b'+'),
            0x21..=0x7e => out.push(byte),
            _ => hex(b"%", byte, out),
        }
    }
    out.push(b' ');
}

fn hex(before: &[u8], byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(before);
    out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A second of the Gregorian calendar, in UTC.
struct Date {
    year: u64,
    month: u8,
    day: u8,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Date {
    /// Counted in years that begin in March, so that the leap day is the last one; 400 years
    /// have 146,097 days.
    fn of(unix_millis: u64) -> Self {
        let seconds = unix_millis / 1000;
        // 1970-01-01 is day 719,468 after 0000-03-01.
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: era * 400 + year + u64::from(month <= 2),
            month: month as u8,
            day: day as u8,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::AccessFormat;
    use crate::access::{
        cmcd::Cmcd,
        entry::{Entry, RequestId},
    };

    fn check(format: AccessFormat, entry: &Entry<'_>, expected: &Expect) {
        let mut line = Vec::new();
        assert!(format.write(entry, &mut line));
        let line = String::from_utf8(line).unwrap();
        assert!(!line.contains('\n'), "{line}");
        expected.assert_eq(&line);
    }

    #[test]
    fn a_line_of_each_form() {
        let mut said = Cmcd::default();
        said.of_field("br=3200,sid=\"a b\",bs");
        let entry = Entry {
            // 2024-02-29T23:59:58.750Z
            time: 1_709_251_198_750,
            id: RequestId(0xaa),
            protocol: "h2",
            tls: Some("1.3"),
            client: Some("192.0.2.0".parse().unwrap()),
            method: "GET",
            host: "cdn.example",
            path: "/t/-/vod/a\"b/s.m4s?x=1&y=é",
            status: 206,
            bytes: 1_048_576,
            whole: true,
            cache: "hit_mem",
            service: Some("film"),
            sid: Some("demo 1"),
            range: Some("bytes=0-1048575"),
            ttfb_ms: 0.25,
            total_ms: 1250.5,
            cmcd: Some(&said),
            referer: Some("https://play.example/?a=\"\n"),
            agent: Some("Mozilla/5.0 (X11; Linux x86_64)"),
        };
        let bare = Entry {
            protocol: "h1",
            tls: None,
            client: None,
            host: "",
            path: "/",
            status: 404,
            bytes: 0,
            whole: false,
            service: None,
            sid: None,
            range: None,
            cmcd: None,
            referer: None,
            agent: None,
            ..entry
        };
        check(
            AccessFormat::Json,
            &entry,
            &expect![[
                r#"{"time":1709251198750,"id":"00000000000000aa","protocol":"h2","tls":"1.3","client":"192.0.2.0","method":"GET","host":"cdn.example","path":"/t/-/vod/a\"b/s.m4s?x=1&y=é","status":206,"bytes":1048576,"whole":true,"cache":"hit_mem","service":"film","sid":"demo 1","range":"bytes=0-1048575","ttfb_ms":0.25,"total_ms":1250.5,"cmcd":{"br":3200,"bs":true,"sid":"a b"}}"#
            ]],
        );
        check(
            AccessFormat::Json,
            &bare,
            &expect![[
                r#"{"time":1709251198750,"id":"00000000000000aa","protocol":"h1","tls":null,"client":null,"method":"GET","host":"","path":"/","status":404,"bytes":0,"whole":false,"cache":"hit_mem","service":null,"sid":null,"range":null,"ttfb_ms":0.25,"total_ms":1250.5}"#
            ]],
        );
        check(
            AccessFormat::Combined,
            &entry,
            &expect![[
                r#"192.0.2.0 - demo\x201 [29/Feb/2024:23:59:58 +0000] "GET /t/-/vod/a\"b/s.m4s?x=1&y=\xc3\xa9 HTTP/2.0" 206 1048576 "https://play.example/?a=\"\x0a" "Mozilla/5.0 (X11; Linux x86_64)""#
            ]],
        );
        check(
            AccessFormat::Combined,
            &bare,
            &expect![[r#"- - - [29/Feb/2024:23:59:58 +0000] "GET / HTTP/1.1" 404 - "-" "-""#]],
        );
        check(
            AccessFormat::W3c,
            &entry,
            &expect![[
                r#"2024-02-29 23:59:58 192.0.2.0 GET cdn.example /t/-/vod/a"b/s.m4s x=1&y=%c3%a9 206 1048576 1.250 HTTP/2.0 Mozilla/5.0+(X11;+Linux+x86_64) https://play.example/?a="%0a hit_mem film demo+1 bytes=0-1048575 0.000 1 1.3 00000000000000aa br=3200,bs,sid="a+b""#
            ]],
        );
        check(
            AccessFormat::W3c,
            &bare,
            &expect![
                "2024-02-29 23:59:58 - GET - / - 404 0 1.250 HTTP/1.1 - - hit_mem - - - 0.000 0 - 00000000000000aa -"
            ],
        );
        let fields = AccessFormat::W3c.header().lines().last().unwrap().split(' ').skip(1).count();
        let mut line = Vec::new();
        AccessFormat::W3c.write(&entry, &mut line);
        assert_eq!(line.split(|byte| *byte == b' ').count(), fields);
    }
}
