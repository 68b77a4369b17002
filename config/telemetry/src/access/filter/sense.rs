//! Tests that no request could pass: somebody who follows the log by one would wait for ever, and
//! take that for good news.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Field, Node, Operator, Sort, Value, numbers, parse::near_word, texts};
use crate::access::entry::RequestId;

/// Statuses that HTTP has room for.
const STATUSES: std::ops::RangeInclusive<u16> = 100..=999;

/// Why no request passes this one test, and what to write.
pub(super) fn never(field: Field, operator: Operator, value: &Value) -> Option<(String, String)> {
    let text = match value {
        Value::Text(text) => text.as_str(),
        Value::Number(number) => return never_number(field, operator, *number),
        Value::Null if !field.may_be_null() => {
            let what = format!("every request has a {}", field.name());
            return Some((what, "write \"null\" in quotes for the word".to_owned()));
        }
        Value::Null | Value::Flag(_) | Value::Hundred(_) => return None,
    };
    let part = matches!(operator, Operator::Contains | Operator::ContainsNot);
    if let Some(words) = field.words() {
        let fits = |word: &&&str| if part { word.contains(text) } else { **word == text };
        if words.iter().find(fits).is_some() {
            return None;
        }
        return Some((format!("no {} is `{text}`", field.name()), near_word(text, words)));
    }
    match field {
        Field::Client if !part && text.parse::<IpAddr>().is_err() => Some((
            format!("`{text}` is no address"),
            "write client~192.0.2. for a part of one".into(),
        )),
        Field::Id if !part && RequestId::read(text).is_none() => Some((
            format!("`{text}` is no id"),
            "an id has 16 digits and letters from a to f".into(),
        )),
        Field::Path if !part && !text.starts_with(['/', '*']) => Some((
            format!("no path is `{text}`: it begins with /"),
            "write path~ for a part of one".into(),
        )),
        Field::Client | Field::Id if part => {
            let odd = |c: char| {
                !(c.is_ascii_hexdigit() || field == Field::Client && matches!(c, '.' | ':'))
            };
            let what = || format!("no {} contains `{text}`", field.name());
            text.contains(odd).then(|| (what(), "it has digits and letters from a to f".into()))
        }
        _ => None,
    }
}

fn never_number(field: Field, operator: Operator, number: f64) -> Option<(String, String)> {
    if field == Field::Status {
        let taken = |status: u16| numbers(f64::from(status), operator, &Value::Number(number));
        let any = STATUSES.into_iter().any(taken);
        let hint = "a status has three digits, and 5xx stands for all of a kind".to_owned();
        return (!any).then(|| ("no status is so".to_owned(), hint));
    }
    let none = operator == Operator::Below && number <= 0.0;
    none.then(|| (format!("no {} is below nothing", field.name()), "write = 0 or > 0".to_owned()))
}

/// A field of which tests that have to hold together hold together for no value.
pub(super) fn contradiction(node: &Node) -> Option<Field> {
    match node {
        Node::Any(nodes) => nodes.iter().find_map(contradiction),
        Node::All(nodes) => {
            let mut tests = Vec::new();
            let inner = nodes.iter().find_map(|node| gather(node, &mut tests));
            inner.or_else(|| excluded(&tests))
        }
        Node::Test(field, operator, value) => excluded(&[(*field, *operator, value)]),
        Node::Not(_) => None,
    }
}

type Test<'n> = (Field, Operator, &'n Value);

/// The tests of a conjunction, those of nested ones with them.
fn gather<'n>(node: &'n Node, tests: &mut Vec<Test<'n>>) -> Option<Field> {
    match node {
        Node::All(nodes) => nodes.iter().find_map(|node| gather(node, tests)),
        Node::Test(field, operator, value) => {
            tests.push((*field, *operator, value));
            None
        }
        Node::Any(_) | Node::Not(_) => contradiction(node),
    }
}

fn excluded(tests: &[Test<'_>]) -> Option<Field> {
    let mut by_field: BTreeMap<&str, Vec<Test<'_>>> = BTreeMap::new();
    for test in tests {
        by_field.entry(test.0.name()).or_default().push(*test);
    }
    let one = |tests: &Vec<Test<'_>>| tests.first().map(|test| test.0);
    by_field.values().find(|tests| !possible(tests)).and_then(one)
}

/// Whether some value passes all tests, which are of one field. Values at and between the ends of
/// what tests take stand for all others.
fn possible(tests: &[Test<'_>]) -> bool {
    let Some((field, ..)) = tests.first() else { return true };
    let Some((_, sort)) = Field::named(field.name()) else { return true };
    let number =
        |found: f64| tests.iter().all(|(_, operator, value)| numbers(found, *operator, value));
    let text = |found: Option<&str>| {
        tests.iter().all(|(_, operator, value)| texts(found, *operator, value))
    };
    match sort {
        Sort::Number => STATUSES.into_iter().any(|status| number(f64::from(status))),
        Sort::Size | Sort::Time => {
            let ends = tests.iter().filter_map(|(_, _, value)| match value {
                Value::Number(end) => Some(*end),
                _ => None,
            });
            let mut ends: Vec<f64> = ends.chain([0.0]).collect();
            ends.sort_unstable_by(f64::total_cmp);
            // Bytes are whole; where nothing is between two of them, neither is a whole number.
            let between = ends.windows(2).map(|pair| match sort {
                Sort::Size => (pair[0] + 1.0).min(pair[1]),
                _ => f64::midpoint(pair[0], pair[1]),
            });
            let beyond = ends.last().map_or(1.0, |last| last + 1.0);
            ends.iter().copied().chain(between).chain([beyond]).any(number)
        }
        Sort::Flag => [true, false].iter().any(|found| {
            let is = |value: &Value| *value == Value::Flag(*found);
            tests.iter().all(|(_, operator, value)| is(value) == (*operator != Operator::IsNot))
        }),
        Sort::Text => {
            if field.may_be_null() && text(None) {
                return true;
            }
            if let Some(words) = field.words() {
                return words.iter().any(|word| text(Some(word)));
            }
            let is = |(_, operator, value): &Test<'_>| match (operator, value) {
                (Operator::Is, Value::Text(text)) => Some(Some(text.clone())),
                (Operator::Is, Value::Null) => Some(None),
                _ => None,
            };
            // Texts that are only to contain or not are endless.
            let told: Vec<_> = tests.iter().filter_map(is).collect();
            told.is_empty() || told.iter().any(|found| text(found.as_deref()))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::access::filter::Filter;

    #[test]
    fn what_can_never_be_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = Filter::read(text).expect_err(text);
            assert_eq!(error.what, expected, "{text}");
            assert!(error.hint.is_some(), "{text}");
        };
        check("cache=hit", "no cache is `hit`");
        check("cache!=hti_mem", "no cache is `hti_mem`");
        check("cache~disc", "no cache is `disc`");
        check("protocol=http2", "no protocol is `http2`");
        check("tls=1.1", "no tls is `1.1`");
        check("client=localhost", "`localhost` is no address");
        check("client~local", "no client contains `local`");
        check("id=42", "`42` is no id");
        check("id~xyz", "no id contains `xyz`");
        check("path=vod/a", "no path is `vod/a`: it begins with /");
        check("path=null", "every request has a path");
        check("status=42", "no status is so");
        check("status>999", "no status is so");
        check("status<100", "no status is so");
        check("bytes<0", "no bytes is below nothing");
        check("ttfb<0ms", "no ttfb is below nothing");
        let excluded =
            |field: &str| format!("no request has such a {field}: the tests exclude each other");
        check("status=200 and status=404", &excluded("status"));
        check("status>=500 and ttfb>1s and status<400", &excluded("status"));
        check("status=5xx and status=4xx", &excluded("status"));
        check("whole or (bytes>10 and (bytes<10 and not whole))", &excluded("bytes"));
        check("bytes>10 and bytes<11", &excluded("bytes"));
        check("ttfb>1s and ttfb<1s", &excluded("ttfb"));
        check("whole and whole=false", &excluded("whole"));
        check("host=a and host=b", &excluded("host"));
        check("host=a and host~b", &excluded("host"));
        check("sid=null and sid~x", &excluded("sid"));
        check("protocol!=h1 and protocol!=h2 and protocol!=h3", &excluded("protocol"));
    }

    #[test]
    fn what_may_be_is_taken() {
        for text in [
            "cache~hit",
            "cache!~hit",
            "protocol!=h1 and protocol!=h2",
            "tls!=1.2 and tls!=1.3",
            "client=::1",
            "client~192.0.",
            "id~ff",
            "path~vod",
            "status>=599",
            "status!=200",
            "status>=500 and status<600",
            "status=200 or status=404",
            "bytes=0",
            "bytes>10 and bytes<12",
            "ttfb>1s and ttfb<1001ms",
            "whole",
            "whole!=true",
            "host~a and host~b",
            "sid!=null and sid~x",
            "path~'null'",
            "not (status=200 and status=404)",
            "path!=/a and path!=/b",
        ] {
            if let Err(error) = Filter::read(text) {
                panic!("{error}");
            }
        }
    }

    #[test]
    fn values_are_read_as_they_are_kept() {
        let check = |one: &str, other: &str| assert_eq!(Filter::read(one), Filter::read(other));
        check("host=CDN.Example", "host=cdn.example");
        check("id=00000000000000AA", "id=00000000000000aa");
        check("client=0:0::1", "client=::1");
        let clients =
            Filter::read("not client=192.0.2.7 or client~10.").expect("it is one").clients();
        assert_eq!(clients, ["192.0.2.7".parse::<std::net::IpAddr>().expect("an address")]);
    }
}
