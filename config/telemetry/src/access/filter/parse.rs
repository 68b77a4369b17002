//! From words to tests, or to what is wrong with them.

use weir_config_units::{ByteSize, Duration};

use super::{
    FILTER_MAX, Field, Filter, FilterError, Node, Operator, Sort, Value,
    lex::{Placed, Word, words},
    sense,
};

/// Brackets and `not` inside one another.
const DEPTH_MAX: usize = 16;
/// Tests of a filter.
const TESTS_MAX: usize = 64;

pub(super) fn filter(text: &str) -> Result<Filter, FilterError> {
    if text.len() > FILTER_MAX {
        let start: String = text.chars().take(40).collect();
        let what = format!("a filter has {FILTER_MAX} bytes at most, this one {}", text.len());
        return Err(FilterError { text: start, at: 0, length: 1, what, hint: None });
    }
    let words = words(text)?;
    let mut parser = Parser { text, words, next: 0, tests: 0 };
    if parser.words.is_empty() {
        return Ok(Filter(Node::All(Vec::new())));
    }
    let node = parser.any(0)?;
    match parser.peek() {
        None => match sense::contradiction(&node) {
            None => Ok(Filter(node)),
            Some(field) => {
                let what =
                    format!("no request has such a {}: the tests exclude each other", field.name());
                let (text, length) = (text.to_owned(), text.chars().count());
                let hint = Some("`or` takes what either takes".to_owned());
                Err(FilterError { text, at: 0, length, what, hint })
            }
        },
        Some(Placed { word: Word::Close, .. }) => {
            Err(parser.wrong("no bracket was opened before", None))
        }
        Some(_) => Err(parser.wrong("`and` or `or` is missing before this", None)),
    }
}

struct Parser<'t> {
    text: &'t str,
    words: Vec<Placed>,
    next: usize,
    tests: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Placed> {
        self.words.get(self.next)
    }

    /// Goes past `name`, where it stands here.
    fn past(&mut self, name: &str) -> bool {
        let here = matches!(self.peek(), Some(Placed { word: Word::Name(word), .. })
            if word.eq_ignore_ascii_case(name));
        self.next += usize::from(here);
        here
    }

    /// What is wrong with the next word, or that there is none.
    fn wrong(&self, what: impl Into<String>, hint: Option<String>) -> FilterError {
        let end = self.text.chars().count();
        let (at, length) = self.peek().map_or((end, 1), |placed| (placed.at, placed.length));
        FilterError { text: self.text.to_owned(), at, length, what: what.into(), hint }
    }

    fn any(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all(depth)?];
        while self.past("or") {
            nodes.push(self.all(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.one(depth)?];
        while self.past("and") {
            nodes.push(self.one(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn one(&mut self, depth: usize) -> Result<Node, FilterError> {
        if depth >= DEPTH_MAX {
            return Err(self.wrong("this is nested too deep", None));
        }
        if self.past("not") {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.peek().is_some_and(|placed| placed.word == Word::Open) {
            self.next += 1;
            let node = self.any(depth + 1)?;
            if self.peek().is_none_or(|placed| placed.word != Word::Close) {
                return Err(self.wrong("a closing bracket is missing here", None));
            }
            self.next += 1;
            return Ok(node);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Node, FilterError> {
        self.tests += 1;
        if self.tests > TESTS_MAX {
            return Err(self.wrong(format!("a filter has {TESTS_MAX} tests at most"), None));
        }
        let example = || Some("a test looks like status>=500 or path~/vod/".to_owned());
        let Some(Placed { word: Word::Name(name), .. }) = self.peek() else {
            return Err(self.wrong("a field is missing here", example()));
        };
        let Some((field, sort)) = Field::named(&name.to_ascii_lowercase()) else {
            let what = format!("there is no field `{name}`");
            return Err(self.wrong(what, Some(near(name))));
        };
        self.next += 1;
        let Some(Placed { word: Word::Operator(operator), .. }) = self.peek() else {
            if sort == Sort::Flag {
                return Ok(Node::Test(field, Operator::Is, Value::Flag(true)));
            }
            return Err(self.wrong("an operator is missing here: = != < <= > >= ~ !~", example()));
        };
        let operator = *operator;
        if let Some(why) = unfit(sort, operator) {
            return Err(self.wrong(why, Some("= and != always fit".to_owned())));
        }
        self.next += 1;
        let Some(Placed { word: Word::Value(value, quoted), .. }) = self.peek() else {
            return Err(self.wrong("a value is missing here", example()));
        };
        let value = read(sort, field, value, *quoted);
        let value = value.map_err(|(what, hint)| self.wrong(what, Some(hint)))?;
        if value == Value::Null && !matches!(operator, Operator::Is | Operator::IsNot) {
            let hint = "write = null or != null".to_owned();
            return Err(self.wrong("null is only equal or not", Some(hint)));
        }
        if let Some((what, hint)) = sense::never(field, operator, &value) {
            return Err(self.wrong(what, Some(hint)));
        }
        self.next += 1;
        Ok(Node::Test(field, operator, value))
    }
}

fn near(name: &str) -> String {
    let names: Vec<_> = Field::names().collect();
    nearest(name, &names).unwrap_or_else(|| format!("fields are {}", names.join(", ")))
}

/// Which of `words` was meant, or which there are.
pub(super) fn near_word(text: &str, words: &[&'static str]) -> String {
    nearest(text, words).unwrap_or_else(|| format!("there are {}", words.join(", ")))
}

fn nearest(text: &str, known: &[&'static str]) -> Option<String> {
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(text, known), known))
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min();
    near.map(|(_, known)| format!("did you mean `{known}`?"))
}

fn unfit(sort: Sort, operator: Operator) -> Option<&'static str> {
    let order = matches!(
        operator,
        Operator::Below | Operator::AtMost | Operator::Above | Operator::AtLeast
    );
    let contains = matches!(operator, Operator::Contains | Operator::ContainsNot);
    match sort {
        Sort::Text if order => Some("text has no order"),
        Sort::Flag if order || contains => Some("a flag is only equal or not"),
        Sort::Number | Sort::Size | Sort::Time if contains => Some("only text contains"),
        _ => None,
    }
}

/// A value as its field writes it, or what is wrong with it and what to write.
fn read(sort: Sort, field: Field, text: &str, quoted: bool) -> Result<Value, (String, String)> {
    let wrong = |what: String, hint: &str| Err((what, hint.to_owned()));
    match sort {
        Sort::Text if !quoted && text == "null" => Ok(Value::Null),
        // RFC 9110 §9.1: methods are case-sensitive, people are not.
        Sort::Text if field == Field::Method => Ok(Value::Text(text.to_ascii_uppercase())),
        // As they are kept: a host, and the digits of an id, in small letters.
        Sort::Text if matches!(field, Field::Host | Field::Id) => {
            Ok(Value::Text(text.to_ascii_lowercase()))
        }
        // One address may be written in several ways.
        Sort::Text if field == Field::Client => {
            let address = text.parse::<std::net::IpAddr>();
            Ok(Value::Text(address.map_or_else(|_| text.to_owned(), |one| one.to_string())))
        }
        Sort::Text => Ok(Value::Text(text.to_owned())),
        Sort::Flag => match text {
            "true" | "yes" => Ok(Value::Flag(true)),
            "false" | "no" => Ok(Value::Flag(false)),
            _ => wrong(format!("`{text}` is neither true nor false"), "write whole=false"),
        },
        Sort::Number => {
            let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u8>().ok());
            match (class, text.parse::<u16>()) {
                (Some(class @ 1..=5), _) => Ok(Value::Hundred(f64::from(class) * 100.0)),
                (_, Ok(number)) => Ok(Value::Number(f64::from(number))),
                _ => wrong(format!("`{text}` is no status"), "write 503, or 5xx for all of them"),
            }
        }
        Sort::Size => {
            let number = text.parse::<u64>().ok();
            let size = number.or_else(|| text.parse::<ByteSize>().ok().map(ByteSize::as_u64));
            match size {
                Some(bytes) => Ok(Value::Number(bytes as f64)),
                None => wrong(format!("`{text}` is no size"), "write 4096, 64KiB or 1.5MB"),
            }
        }
        Sort::Time => match text.parse::<Duration>() {
            Ok(time) => Ok(Value::Number(std::time::Duration::from(time).as_secs_f64() * 1e3)),
            Err(error) => wrong(error.to_string(), "write 200ms or 2s"),
        },
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::filter;
    use crate::access::entry::{Entry, RequestId};

    fn entry() -> Entry<'static> {
        Entry {
            time: 1_795_161_496_741,
            id: RequestId(7),
            protocol: "h2",
            tls: Some("1.3"),
            client: Some("192.0.2.0".parse().unwrap()),
            method: "GET",
            host: "cdn.example",
            path: "/vod/a b/seg-1.m4s",
            status: 503,
            bytes: 1 << 20,
            whole: false,
            cache: "error",
            service: Some("film"),
            sid: None,
            range: None,
            ttfb_ms: 250.5,
            total_ms: 1000.0,
            cmcd: None,
            referer: None,
            agent: None,
        }
    }

    #[test]
    fn what_is_taken() {
        let check = |text: &str, taken: bool| {
            let read = filter(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.takes(&entry()), taken, "{text}");
        };
        check("", true);
        check("status>=500 and ttfb>200ms", true);
        check("status >= 500 and ttfb > 1s", false);
        check("status=5xx", true);
        check("status!=5xx or status<4xx", false);
        check("status>4xx", true);
    }

    #[test]
    fn each_field_and_operator() {
        let check = |text: &str, taken: bool| {
            let read = filter(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.takes(&entry()), taken, "{text}");
        };
        check("bytes=1MiB", true);
        check("bytes>1048576", false);
        check("bytes<=1.5MB", true);
        check("total=1s", true);
        check("ttfb<250.6ms", true);
        check("path~'a b'", true);
        check("path ~ \"a c\"", false);
        check("path!~/live/", true);
        check("host=cdn.example && method=get", true);
        check("cache=error || cache=miss", true);
        check("!(cache=error)", false);
        check("not whole", true);
        check("whole", false);
        check("whole=false", true);
        check("whole!=false", false);
        check("sid=null and range=null", true);
        check("sid!=null", false);
        check("sid=x", false);
        check("sid!=x", true);
        check("service!=null", true);
        check("client=192.0.2.0 and protocol=h2 and tls=1.3", true);
        check("id=0000000000000007", true);
        check("NOT status=200 AND (Status=404 OR status=503)", true);
        check("status=200 or status=503 and not whole", true);
        check("(status=200 or status=503) and whole", false);
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_is() {
        let check = |text: &str, expected: Expect| {
            let error = filter(text).expect_err(text);
            expected.assert_eq(&format!("{error}\n{}\n", error.hint.as_deref().unwrap_or("-")));
        };
        check(
            "stauts>=500",
            expect![[r#"
                stauts>=500
                ^^^^^^ there is no field `stauts`
                did you mean `status`?
            "#]],
        );
        check(
            "status>=500 and latency>1s",
            expect![[r#"
                status>=500 and latency>1s
                                ^^^^^^^ there is no field `latency`
                fields are status, ttfb, total, bytes, cache, service, host, path, method, protocol, tls, client, sid, range, whole, id
            "#]],
        );
        check(
            "ttfb>200",
            expect![[r#"
                ttfb>200
                     ^^^ "200" has no unit; units are ns, us, ms, s, min (or m), h and d
                write 200ms or 2s
            "#]],
        );
        check(
            "status>=",
            expect![[r#"
                status>=
                        ^ a value is missing here
                a test looks like status>=500 or path~/vod/
            "#]],
        );
        check(
            "(status=200 or whole",
            expect![[r#"
                (status=200 or whole
                                    ^ a closing bracket is missing here
                -
            "#]],
        );
        check(
            "status=200 status=404",
            expect![[r#"
                status=200 status=404
                           ^^^^^^ `and` or `or` is missing before this
                -
            "#]],
        );
        check(
            "path>/a",
            expect![[r#"
                path>/a
                    ^ text has no order
                = and != always fit
            "#]],
        );
        check(
            "path~'abc",
            expect![[r#"
                path~'abc
                     ^^^^ this has no end
                write ' again where the value ends
            "#]],
        );
        check(
            "whole=perhaps)",
            expect![[r#"
                whole=perhaps)
                      ^^^^^^^ `perhaps` is neither true nor false
                write whole=false
            "#]],
        );
        check(
            "whole)",
            expect![[r#"
                whole)
                     ^ no bracket was opened before
                -
            "#]],
        );
    }

    #[test]
    fn filters_are_bounded() {
        let deep = "not ".repeat(17) + "whole";
        assert_eq!(filter(&deep).expect_err("deep").what, "this is nested too deep");
        let many = ["whole"; 65].join(" or ");
        assert_eq!(filter(&many).expect_err("many").what, "a filter has 64 tests at most");
        let long = "x".repeat(1025);
        assert_eq!(filter(&long).expect_err("long").length, 1);
    }

    #[test]
    fn no_text_panics() {
        let pieces = ["status", ">=", "5xx", "(", ")", "'", "é", " ", "not", "!", "\u{0}", "1s"];
        for seed in 0..20_000_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut text = String::new();
            for _ in 0..state % 9 {
                state = state.rotate_left(17).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                text.push_str(pieces[(state % pieces.len() as u64) as usize]);
            }
            if let Err(error) = filter(&text) {
                assert!(error.at <= text.chars().count() && error.length > 0, "{text}");
            }
        }
    }
}
