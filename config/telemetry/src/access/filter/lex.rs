//! The words of a filter and where they stand.

use super::{FilterError, Operator};

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// `status`, `and`
    Name(String),
    Operator(Operator),
    /// What stands after an operator, without its quotes; whether it had any.
    Value(String, bool),
    Open,
    Close,
}

/// A word, where it begins, and how long it is, in characters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) word: Word,
    pub(super) at: usize,
    pub(super) length: usize,
}

/// Operators, longer ones before their beginnings.
const OPERATORS: [(&str, Operator); 10] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("!=", Operator::IsNot),
    ("!~", Operator::ContainsNot),
    ("==", Operator::Is),
    ("=~", Operator::Contains),
    ("=", Operator::Is),
    ("~", Operator::Contains),
    (">", Operator::Above),
    ("<", Operator::Below),
];

/// The words of `text`, in order.
pub(super) fn words(text: &str) -> Result<Vec<Placed>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    let error = |at: usize, length: usize, what: &str, hint: Option<&str>| FilterError {
        text: text.to_owned(),
        at,
        length,
        what: what.to_owned(),
        hint: hint.map(str::to_owned),
    };
    let mut words: Vec<Placed> = Vec::new();
    let mut at = 0;
    while let Some(&first) = chars.get(at) {
        let after_operator = matches!(words.last(), Some(Placed { word: Word::Operator(_), .. }));
        let (word, length) = match first {
            ' ' | '\t' => {
                at += 1;
                continue;
            }
            '"' | '\'' if after_operator => {
                let end = chars[at + 1..].iter().position(|c| *c == first);
                let Some(end) = end else {
                    let hint = format!("write {first} again where the value ends");
                    return Err(error(at, chars.len() - at, "this has no end", Some(&hint)));
                };
                (Word::Value(chars[at + 1..at + 1 + end].iter().collect(), true), end + 2)
            }
            '(' => (Word::Open, 1),
            ')' => (Word::Close, 1),
            _ if after_operator => {
                let ends = |c: &char| matches!(c, ' ' | '\t' | '(' | ')' | '"' | '\'');
                let rest = &chars[at..];
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                let length = length.max(1);
                (Word::Value(rest[..length].iter().collect(), false), length)
            }
            c if c.is_alphanumeric() || c == '_' => {
                let name = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
                let length = chars[at..].iter().take_while(|c| name(c)).count();
                (Word::Name(chars[at..at + length].iter().collect()), length)
            }
            _ => match symbol(&chars[at..]) {
                Some(found) => found,
                None => {
                    let hint = "a test looks like status>=500 or path~/vod/";
                    return Err(error(at, 1, "this means nothing here", Some(hint)));
                }
            },
        };
        words.push(Placed { word, at, length });
        at += length;
    }
    Ok(words)
}

fn symbol(rest: &[char]) -> Option<(Word, usize)> {
    let begins = |text: &str| text.chars().zip(rest.iter()).filter(|(a, b)| a == *b).count();
    let is = |text: &str| begins(text) == text.len();
    for (text, operator) in OPERATORS {
        if is(text) {
            return Some((Word::Operator(operator), text.len()));
        }
    }
    // As programmers write them.
    for (text, name) in [("&&", "and"), ("||", "or"), ("!", "not")] {
        if is(text) {
            return Some((Word::Name(name.to_owned()), text.len()));
        }
    }
    None
}
