//! Attribute lists, RFC 8216 §4.2.

use std::borrow::Cow;

use super::{Variables, variables::Room};

/// Attributes of one tag that are read.
const MOST: usize = 64;

/// Names with their values, quotes taken off, in order.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Attributes<'a> {
    /// Reads a list. Variables are replaced in quoted strings, where there are any.
    pub(super) fn read(
        mut text: &'a str,
        variables: Option<(&Variables, &Room)>,
    ) -> Result<Self, &'static str> {
        let mut found = Vec::new();
        text = text.trim_matches([' ', '\t']);
        while !text.is_empty() {
            let (name, rest) = text.split_once('=').ok_or("an attribute without a value")?;
            let name = name.trim_matches([' ', '\t']);
            let plain =
                |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(plain) {
                return Err("no attribute list");
            }
            let (value, rest) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let (value, rest) = quoted.split_once('"').ok_or("a quote without its end")?;
                    let value = match variables {
                        Some((variables, room)) => variables.replaced(value, room)?,
                        None => Cow::Borrowed(value),
                    };
                    (value, rest.trim_start_matches([' ', '\t']))
                }
                None => {
                    let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                    (Cow::Borrowed(value.trim_end_matches([' ', '\t'])), rest)
                }
            };
            text = match rest.strip_prefix(',') {
                Some(rest) => rest.trim_start_matches([' ', '\t']),
                None if rest.is_empty() => "",
                None => return Err("something behind a quoted value"),
            };
            if found.len() == MOST {
                return Err("too many attributes");
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    /// A value. An attribute that stands there twice is its first.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |text: &str, expected: Result<&[(&str, &str)], &str>| {
            let found = Attributes::read(text, None);
            let found: Result<Vec<_>, _> = found
                .as_ref()
                .map(|list| list.0.iter().map(|(name, value)| (*name, &**value)).collect());
            let found = found.as_ref().map(Vec::as_slice).map_err(|why| **why);
            assert_eq!(found, expected, "{text}");
        };
        check("", Ok(&[]));
        check("A=1", Ok(&[("A", "1")]));
        check("A=1,B=\"x,y\",C=1x2", Ok(&[("A", "1"), ("B", "x,y"), ("C", "1x2")]));
        check(" A=1 , B=\"\" ", Ok(&[("A", "1"), ("B", "")]));
        check("A=1,", Ok(&[("A", "1")]));
        check("URI=\"a=b\"", Ok(&[("URI", "a=b")]));
        check("A=\"x\"y", Err("something behind a quoted value"));
        check("A=\"x", Err("a quote without its end"));
        check("A", Err("an attribute without a value"));
        check("a=1", Err("no attribute list"));
        check("=1", Err("no attribute list"));
    }
}
