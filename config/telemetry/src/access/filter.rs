//! Which requests somebody wants to see: `status>=500 and ttfb>200ms`.
//!
//! ```text
//! any   = all  { "or" all }
//! all   = one  { "and" one }
//! one   = "not" one | "(" any ")" | FIELD OPERATOR VALUE | FLAG
//! ```
//!
//! Operators are `=`, `!=`, `<`, `<=`, `>`, `>=`, and for text `~` (contains) and `!~`. Values
//! with blanks or brackets stand in quotes. What is not there (`sid` without a token) equals
//! nothing but `null`. A filter that no request could pass is refused: somebody would wait for it.

mod lex;
mod parse;
mod sense;

use std::{cmp::Ordering, fmt, net::IpAddr};

use super::entry::{Entry, PROTOCOLS, RESULTS, TLS};

/// Longest filter, bytes.
pub const FILTER_MAX: usize = 1024;

/// A filter that was understood. At most 64 tests, nested 16 deep.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Test(Field, Operator, Value),
}

/// What a filter can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Protocol,
    Tls,
    Client,
    Method,
    Host,
    Path,
    Status,
    Bytes,
    Whole,
    Cache,
    Service,
    Sid,
    Range,
    Ttfb,
    Total,
}

/// How the value of a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Text,
    Number,
    Size,
    Time,
    Flag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Below,
    AtMost,
    Above,
    AtLeast,
    Contains,
    ContainsNot,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// A number, bytes, or milliseconds.
    Number(f64),
    /// `5xx`: all that begin so.
    Hundred(f64),
    Text(String),
    Flag(bool),
    Null,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The whole filter, as it was written.
    pub text: String,
    /// Where it goes wrong, in characters from 0, and how many.
    pub at: usize,
    /// At least 1.
    pub length: usize,
    /// What is wrong there.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl std::error::Error for FilterError {}

impl fmt::Display for FilterError {
    /// The filter, a mark below what is wrong with it, and why.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.text)?;
        write!(out, "{}{} {}", " ".repeat(self.at), "^".repeat(self.length), self.what)
    }
}

impl Field {
    const ALL: [(Self, &'static str, Sort); 16] = [
        (Self::Status, "status", Sort::Number),
        (Self::Ttfb, "ttfb", Sort::Time),
        (Self::Total, "total", Sort::Time),
        (Self::Bytes, "bytes", Sort::Size),
        (Self::Cache, "cache", Sort::Text),
        (Self::Service, "service", Sort::Text),
        (Self::Host, "host", Sort::Text),
        (Self::Path, "path", Sort::Text),
        (Self::Method, "method", Sort::Text),
        (Self::Protocol, "protocol", Sort::Text),
        (Self::Tls, "tls", Sort::Text),
        (Self::Client, "client", Sort::Text),
        (Self::Sid, "sid", Sort::Text),
        (Self::Range, "range", Sort::Text),
        (Self::Whole, "whole", Sort::Flag),
        (Self::Id, "id", Sort::Text),
    ];

    fn named(name: &str) -> Option<(Self, Sort)> {
        let found = Self::ALL.iter().find(|(_, known, _)| *known == name)?;
        Some((found.0, found.2))
    }

    /// All that it may say, where that is a list.
    fn words(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Protocol => Some(&PROTOCOLS),
            Self::Tls => Some(&TLS),
            Self::Cache => Some(&RESULTS),
            _ => None,
        }
    }

    /// Whether a request may have none.
    fn may_be_null(self) -> bool {
        matches!(self, Self::Tls | Self::Client | Self::Service | Self::Sid | Self::Range)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(field, ..)| *field == self).map_or("", |(_, name, _)| name)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, name, _)| *name)
    }
}

impl Filter {
    /// Reads a filter; a blank one takes everything.
    ///
    /// # Errors
    /// At the first place where it cannot be understood.
    pub fn read(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }

    /// The addresses that it asks `client` to be: a log that tells of networks only never has some.
    pub fn clients(&self) -> Vec<IpAddr> {
        let mut found = Vec::new();
        self.0.clients(&mut found);
        found
    }

    /// Whether the request is wanted.
    pub fn takes(&self, entry: &Entry<'_>) -> bool {
        self.0.holds(entry)
    }
}

impl Node {
    fn clients(&self, found: &mut Vec<IpAddr>) {
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().for_each(|n| n.clients(found)),
            Self::Not(node) => node.clients(found),
            Self::Test(Field::Client, Operator::Is | Operator::IsNot, Value::Text(text)) => {
                found.extend(text.parse::<IpAddr>());
            }
            Self::Test(..) => {}
        }
    }

    fn holds(&self, entry: &Entry<'_>) -> bool {
        match self {
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(entry)),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(entry)),
            Self::Not(node) => !node.holds(entry),
            Self::Test(field, operator, value) => test(*field, *operator, value, entry),
        }
    }
}

fn test(field: Field, operator: Operator, value: &Value, entry: &Entry<'_>) -> bool {
    let text = |found: Option<&str>| texts(found, operator, value);
    let number = |found: f64| numbers(found, operator, value);
    match field {
        Field::Id => text(Some(&entry.id.to_string())),
        Field::Client => text(entry.client.map(|address| address.to_string()).as_deref()),
        Field::Protocol => text(Some(entry.protocol)),
        Field::Tls => text(entry.tls),
        Field::Method => text(Some(entry.method)),
        Field::Host => text(Some(entry.host)),
        Field::Path => text(Some(entry.path)),
        Field::Cache => text(Some(entry.cache)),
        Field::Service => text(entry.service),
        Field::Sid => text(entry.sid),
        Field::Range => text(entry.range),
        Field::Status => number(f64::from(entry.status)),
        Field::Bytes => number(entry.bytes as f64),
        Field::Ttfb => number(entry.ttfb_ms),
        Field::Total => number(entry.total_ms),
        Field::Whole => {
            let same = *value == Value::Flag(entry.whole);
            if operator == Operator::IsNot { !same } else { same }
        }
    }
}

fn texts(found: Option<&str>, operator: Operator, value: &Value) -> bool {
    match (found, value) {
        (found, Value::Null) => found.is_none() == (operator == Operator::Is),
        (None, _) => matches!(operator, Operator::IsNot | Operator::ContainsNot),
        (Some(found), Value::Text(wanted)) => match operator {
            Operator::Contains => found.contains(wanted.as_str()),
            Operator::ContainsNot => !found.contains(wanted.as_str()),
            operator => compares(found.cmp(wanted.as_str()), operator),
        },
        _ => false,
    }
}

fn numbers(found: f64, operator: Operator, value: &Value) -> bool {
    let order = match value {
        Value::Number(wanted) => found.partial_cmp(wanted),
        Value::Hundred(from) if found < *from => Some(Ordering::Less),
        Value::Hundred(from) if found >= from + 100.0 => Some(Ordering::Greater),
        Value::Hundred(_) => Some(Ordering::Equal),
        _ => None,
    };
    order.is_some_and(|order| compares(order, operator))
}

fn compares(order: Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Is => order.is_eq(),
        Operator::IsNot => order.is_ne(),
        Operator::Below => order.is_lt(),
        Operator::AtMost => order.is_le(),
        Operator::Above => order.is_gt(),
        Operator::AtLeast => order.is_ge(),
        Operator::Contains | Operator::ContainsNot => false,
    }
}
