//! What a player says of itself with each request: Common Media Client Data (CTA-5004), from the
//! query key `CMCD` and from the four header fields. Only what the standard names is kept, each
//! key once, so that a record stays small whatever a client sends.

use serde::{Serialize, Serializer, ser::SerializeMap};

/// Longest data of a request that is looked at, decoded bytes.
const DATA_MAX: usize = 2048;
/// Longest text kept of a value.
const TEXT_MAX: usize = 128;

/// How the value of a key is written (CTA-5004 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Integer,
    Decimal,
    Flag,
    Token,
    Text,
}

/// Every key of the standard, sorted.
const KEYS: [(&str, Sort); 18] = [
    ("bl", Sort::Integer),
    ("br", Sort::Integer),
    ("bs", Sort::Flag),
    ("cid", Sort::Text),
    ("d", Sort::Integer),
    ("dl", Sort::Integer),
    ("mtp", Sort::Integer),
    ("nor", Sort::Text),
    ("nrr", Sort::Text),
    ("ot", Sort::Token),
    ("pr", Sort::Decimal),
    ("rtp", Sort::Integer),
    ("sf", Sort::Token),
    ("sid", Sort::Text),
    ("st", Sort::Token),
    ("su", Sort::Flag),
    ("tb", Sort::Integer),
    ("v", Sort::Integer),
];

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Kilobits a second, milliseconds.
    Integer(u64),
    /// The rate of playback.
    Decimal(f64),
    /// `bs`, `su`: said at all means true.
    Flag(bool),
    /// A token or a text, without its quotes.
    Text(Box<str>),
}

/// What one request said, in the order of the keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cmcd(Vec<(&'static str, Value)>);

impl Cmcd {
    /// From the query of a request, where it has the key, percent-encoded.
    pub fn of_query(&mut self, query: &str) {
        let data = query.split('&').find_map(|pair| pair.strip_prefix("CMCD="));
        if let Some(data) = data.filter(|data| data.len() <= 3 * DATA_MAX).and_then(decoded) {
            self.add(&data);
        }
    }

    /// From a header field `CMCD-Request`, `CMCD-Object`, `CMCD-Status` or `CMCD-Session`.
    pub fn of_field(&mut self, value: &str) {
        self.add(value);
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the standard writes it.
    pub fn written(&self) -> String {
        let pair = |(key, value): &(&'static str, Value)| match value {
            Value::Flag(true) => (*key).to_owned(),
            Value::Flag(false) => format!("{key}=false"),
            Value::Integer(number) => format!("{key}={number}"),
            Value::Decimal(number) => format!("{key}={number}"),
            Value::Text(text) => match sort(key) {
                Some((_, Sort::Text)) => {
                    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                    format!("{key}=\"{text}\"")
                }
                _ => format!("{key}={text}"),
            },
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join(",")
    }

    /// Pairs separated by commas; those that are not understood are passed over, and of a key
    /// that comes again the first counts.
    fn add(&mut self, data: &str) {
        if data.len() > DATA_MAX {
            return;
        }
        for pair in pairs(data) {
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) => (key.trim(), Some(value.trim())),
                None => (pair.trim(), None),
            };
            let Some((key, sort)) = sort(key) else { continue };
            let Some(value) = read(sort, value) else { continue };
            if let Err(at) = self.0.binary_search_by(|(known, _)| known.cmp(&key)) {
                self.0.insert(at, (key, value));
            }
        }
    }
}

impl Serialize for Cmcd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

fn sort(key: &str) -> Option<(&'static str, Sort)> {
    KEYS.binary_search_by(|(known, _)| (*known).cmp(key)).ok().map(|at| KEYS[at])
}

/// Split at commas outside of quotes.
fn pairs(data: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    data.split(move |c: char| {
        let plain = !escaped;
        escaped = quoted && plain && c == '\\';
        quoted ^= c == '"' && plain;
        c == ',' && !quoted
    })
}

fn read(sort: Sort, value: Option<&str>) -> Option<Value> {
    match (sort, value) {
        (Sort::Flag, None) => Some(Value::Flag(true)),
        (Sort::Flag, Some(text)) => text.parse().ok().map(Value::Flag),
        (_, None) => None,
        (Sort::Integer, Some(text)) => digits(text)?.parse().ok().map(Value::Integer),
        (Sort::Decimal, Some(text)) => {
            let plain = text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let number: f64 = plain.then(|| text.parse().ok())??;
            // Three places say enough of a rate, and can be written as they were read.
            (number < 1e9).then(|| Value::Decimal((number * 1e3).round() / 1e3))
        }
        (Sort::Token, Some(text)) => {
            let plain = text.len() <= 16 && text.bytes().all(|b| b.is_ascii_alphanumeric());
            (plain && !text.is_empty()).then(|| Value::Text(text.into()))
        }
        (Sort::Text, Some(text)) => {
            let inner = text.strip_prefix('"')?.strip_suffix('"')?;
            let text: String = inner.replace("\\\"", "\"").replace("\\\\", "\\");
            let short: String = text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
            Some(Value::Text(short.into()))
        }
    }
}

fn digits(text: &str) -> Option<&str> {
    let plain = !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then_some(text)
}

/// RFC 3986 §2.1; what is no text afterwards is no data.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Cmcd, DATA_MAX, KEYS};

    #[test]
    fn keys_are_sorted() {
        assert!(KEYS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn what_players_say() {
        let check = |fields: &[&str], json: &str, written: &str| {
            let mut said = Cmcd::default();
            fields.iter().for_each(|field| said.of_field(field));
            assert_eq!(serde_json::to_string(&said).unwrap(), json);
            assert_eq!(said.written(), written);
        };
        // Examples of CTA-5004 §3.3.
        check(
            &["br=3200,d=4004,ot=v,tb=6000", "bl=21300,dl=18500,mtp=48100", "sid=\"6e2fb550\""],
            r#"{"bl":21300,"br":3200,"d":4004,"dl":18500,"mtp":48100,"ot":"v","sid":"6e2fb550","tb":6000}"#,
            "bl=21300,br=3200,d=4004,dl=18500,mtp=48100,ot=v,sid=\"6e2fb550\",tb=6000",
        );
        check(&["bs,su,pr=1.05"], r#"{"bs":true,"pr":1.05,"su":true}"#, "bs,pr=1.05,su");
        check(
            &["cid=\"a,b \\\"c\\\"\",nor=\"..%2Fseg-4.m4v\",com.example-x=1,br=abc,sf=h"],
            r#"{"cid":"a,b \"c\"","nor":"..%2Fseg-4.m4v","sf":"h"}"#,
            "cid=\"a,b \\\"c\\\"\",nor=\"..%2Fseg-4.m4v\",sf=h",
        );
        check(&["br=1,br=2", "br=3"], r#"{"br":1}"#, "br=1");
        check(&["", "=", ",,", "br", "sid=x", "br=-1", "br=1e9"], "{}", "");
    }

    #[test]
    fn of_a_query() {
        let check = |query: &str, written: &str| {
            let mut said = Cmcd::default();
            said.of_query(query);
            assert_eq!(said.written(), written, "{query}");
        };
        check("a=1&CMCD=br%3D3200%2Csid%3D%22x%22&b=2", "br=3200,sid=\"x\"");
        check("CMCD=bs%2C%zz", "");
        check("CMCD=%ff", "");
        check("cmcd=br%3D1", "");
        check(&format!("CMCD={}", "x".repeat(4 * DATA_MAX)), "");
    }

    #[test]
    fn any_text_is_taken() {
        let pieces = ["br", "=", ",", "\"", "\\", "7", "sid", "%2", "é", "\u{7}", ".", "su"];
        for seed in 0..20_000_u64 {
            let (mut state, mut text) = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), String::new());
            for _ in 0..state % 12 {
                state = state.rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                text.push_str(pieces[(state % pieces.len() as u64) as usize]);
            }
            let mut said = Cmcd::default();
            said.of_query(&format!("CMCD={text}"));
            said.of_field(&text);
            assert!(said.0.len() <= KEYS.len() && !said.written().contains('\u{7}'));
        }
    }
}
