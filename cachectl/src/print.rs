//! Numbers, tables and JSON as people and programs read them.

use std::io::{self, Write};

use serde_json::{Map, Value};
use weir_config_units::ByteSize;

use crate::SCHEMA;

/// Our own types as JSON.
pub(crate) fn value(data: &impl serde::Serialize) -> Value {
    serde_json::to_value(data).expect("our own types become JSON")
}

/// One object with the schema in it, on one line.
pub(crate) fn json(out: &mut dyn Write, data: &Value) -> io::Result<()> {
    let mut object = Map::new();
    object.insert("schema".to_owned(), SCHEMA.into());
    if let Value::Object(fields) = data {
        object.extend(fields.clone());
    }
    // JSON escapes what is below a blank; the others can only be in strings.
    let mut text = Value::Object(object).to_string();
    if text.contains(is_unseen) {
        let code = |c: char| match is_unseen(c) {
            true => {
                c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
            false => c.to_string(),
        };
        text = text.chars().map(code).collect();
    }
    writeln!(out, "{text}")?;
    out.flush()
}

/// `18 412`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `18 412 objects`, `1 object`
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// `41.2 GiB`
pub(crate) fn bytes(number: u64) -> String {
    ByteSize::bytes(number).rounded()
}

/// `12.0 MiB of 512 MiB (2.3 %)`
pub(crate) fn level(used: u64, limit: u64) -> String {
    match limit {
        0 => bytes(used),
        _ => format!("{} of {} ({})", bytes(used), bytes(limit), part(used, limit)),
    }
}

fn part(used: u64, limit: u64) -> String {
    percent(Some(used as f64 / limit as f64))
}

/// `97.4 %`, or `-` when there is nothing to tell.
pub(crate) fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

/// Columns as wide as their widest cell; the last one is not filled up.
pub(crate) fn table(indent: &str, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<_> = (0..columns).map(|column| wide(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(indent);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What is no letter to see and changes what is seen: control characters, line breaks of Unicode,
/// and marks that turn the direction of text around or take no room (Unicode UTR 36, "bidirectional
/// text spoofing"). A path with them would look like another one.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// What a server says may be what a client said: it must not write to the terminal, nor look like
/// something else.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

/// What an argument or a server wrote into an error, so that it does not write to the terminal:
/// lines stay lines.
pub(crate) fn harmless(text: &str) -> String {
    let escape = |c: char| match c {
        '\n' => "\n".to_owned(),
        c if is_unseen(c) => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{harmless, json, plain};

    #[test]
    fn what_is_not_seen_is_told() {
        let check = |text: &str, as_plain: &str, as_harmless: &str, as_json: &str| {
            assert_eq!(plain(text), as_plain);
            assert_eq!(harmless(text), as_harmless);
            let mut out = Vec::new();
            json(&mut out, &json!({ "x": text })).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(&format!("\"x\":\"{as_json}\"")), "{out}");
            // However it is written, it is the same text.
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(read["x"], text);
        };
        check("/vod/é/日本/seg", "/vod/é/日本/seg", "/vod/é/日本/seg", "/vod/é/日本/seg");
        check("a\u{1b}[31m", "a\u{fffd}[31m", "a\\u{1b}[31m", "a\\u001b[31m");
        check("a\u{9b}b", "a\u{fffd}b", "a\\u{9b}b", "a\\u009bb");
        // Right-to-left override, isolates, a blank without width, a line break of Unicode.
        check("\u{202e}4s.m", "\u{fffd}4s.m", "\\u{202e}4s.m", "\\u202e4s.m");
        check("\u{2066}x\u{2069}", "\u{fffd}x\u{fffd}", "\\u{2066}x\\u{2069}", "\\u2066x\\u2069");
        check(
            "a\u{200b}b\u{2028}c",
            "a\u{fffd}b\u{fffd}c",
            "a\\u{200b}b\\u{2028}c",
            "a\\u200bb\\u2028c",
        );
        // A tag beyond 16 bits is a pair in JSON.
        check("a\u{e0041}", "a\u{fffd}", "a\\u{e0041}", "a\\udb40\\udc41");
    }
}
