//! `EXT-X-DEFINE`: names for pieces of text, `{$name}` where they are put
//! (draft-pantos-hls-rfc8216bis §4.3).

use std::{borrow::Cow, cell::Cell};

use super::Attributes;
use crate::{TEXT_MAX, URL_MAX};

/// Variables of one playlist.
const MOST: usize = 128;

/// Bytes that the variables of one playlist may still become: `{$a}` is short, its value is not.
#[derive(Debug)]
pub(super) struct Room(Cell<usize>);

impl Default for Room {
    fn default() -> Self {
        Self(Cell::new(TEXT_MAX))
    }
}

/// What a playlist defined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// One `EXT-X-DEFINE`.
    pub(super) fn define(
        &mut self,
        attributes: &Attributes<'_>,
        url: &str,
        inherited: &Self,
    ) -> Result<(), &'static str> {
        let named =
            (attributes.text("NAME"), attributes.text("IMPORT"), attributes.text("QUERYPARAM"));
        let (name, value) = match named {
            (Some(name), None, None) => {
                (name, attributes.text("VALUE").ok_or("a variable without a value")?.to_owned())
            }
            (None, Some(name), None) => {
                let value = inherited.value(name).ok_or("an import that nobody defined")?;
                (name, value.to_owned())
            }
            (None, None, Some(name)) => {
                (name, parameter(url, name).ok_or("a query parameter that the URL does not have")?)
            }
            _ => return Err("a variable must have one of NAME, IMPORT and QUERYPARAM"),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err("a variable whose name is none");
        }
        if self.value(name).is_some() {
            return Err("a variable that is defined already");
        }
        if self.0.len() == MOST || value.len() > URL_MAX {
            return Err("too many variables, or too long ones");
        }
        self.0.push((name.to_owned(), value));
        Ok(())
    }

    /// The text with its variables replaced, once: what stands in a value is text.
    pub(super) fn replaced<'a>(
        &self,
        text: &'a str,
        room: &Room,
    ) -> Result<Cow<'a, str>, &'static str> {
        let Some((before, mut rest)) = text.split_once(OPENS) else {
            return Ok(Cow::Borrowed(text));
        };
        if text.len() > URL_MAX {
            return Err("a text that is too long for variables in it");
        }
        let mut out = before.to_owned();
        loop {
            match named(rest) {
                // Not of that form, so that it is text.
                None => out.push_str(OPENS),
                Some((name, behind)) => {
                    let value = self.value(name).ok_or("a variable that nobody defined")?;
                    let left = room.0.get().checked_sub(value.len());
                    room.0.set(left.ok_or("variables that make the playlist too long")?);
                    out.push_str(value);
                    rest = behind;
                }
            }
            if out.len() > URL_MAX {
                return Err("a text that its variables make too long");
            }
            let Some((before, after)) = rest.split_once(OPENS) else { break };
            out.push_str(before);
            rest = after;
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }
}

/// What a variable begins with.
const OPENS: &str = "{$";

/// The name behind `{$`, and what stands behind its `}`. Looks no further than at the first
/// character that no name has, so that a text full of `{$` is read through twice at most.
fn named(text: &str) -> Option<(&str, &str)> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let (name, rest) = text.split_at(text.bytes().take_while(plain).count());
    rest.strip_prefix('}').filter(|_| !name.is_empty()).map(|behind| (name, behind))
}

/// The decoded value of a query parameter.
fn parameter(url: &str, name: &str) -> Option<String> {
    let query = url.split('#').next()?.split_once('?')?.1;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        if let (b'%', [high, low, after @ ..]) = (*first, tail)
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PLAYLIST_MAX;

    #[test]
    fn replaced() {
        let variables = Variables(vec![("a".into(), "1".into()), ("b-c".into(), "{$a}".into())]);
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = variables.replaced(text, &Room::default());
            assert_eq!(found.as_deref().map_err(|why| *why), expected, "{text}");
        };
        check("plain", Ok("plain"));
        check("x{$a}y{$a}", Ok("x1y1"));
        check("{$b-c}", Ok("{$a}"));
        check("{$}{$ a}{$a", Ok("{$}{$ a}{$a"));
        check("{$nobody}", Err("a variable that nobody defined"));
        check("{${$a}{$a{$a}ä{$ä}", Ok("{$1{$a1ä{$ä}"));
        let long = "a".repeat(2 * URL_MAX);
        check(&long, Ok(&long));
        check(&format!("{long}{{$a}}"), Err("a text that is too long for variables in it"));
        // Each of them would look for its end through all of the rest.
        let open = OPENS.repeat(PLAYLIST_MAX / 2);
        check(&open, Err("a text that is too long for variables in it"));
        check(&open[..URL_MAX], Ok(&open[..URL_MAX]));
    }

    #[test]
    fn values_have_one_room_for_all_of_a_playlist() {
        let long = "x".repeat(URL_MAX);
        let variables = Variables(vec![("a".into(), long)]);
        let room = Room::default();
        let replaced = (0..).take_while(|_| variables.replaced("{$a}", &room).is_ok()).count();
        assert_eq!(replaced, TEXT_MAX / URL_MAX);
        assert_eq!(
            variables.replaced("{$a}", &room),
            Err("variables that make the playlist too long")
        );
    }

    #[test]
    fn a_name_ends_where_no_name_goes_on() {
        let check = |text: &str, expected: Option<(&str, &str)>| assert_eq!(named(text), expected);
        check("a}b", Some(("a", "b")));
        check("a-_9}", Some(("a-_9", "")));
        check("}", None);
        check("a{$b}", None);
        check("a", None);
    }

    #[test]
    fn parameters() {
        let check = |url: &str, name: &str, expected: Option<&str>| {
            assert_eq!(parameter(url, name).as_deref(), expected, "{url}");
        };
        check("http://h/a?b=1&c=%2f%", "c", Some("/%"));
        check("http://h/a?b=1#c=2", "c", None);
        check("http://h/a?bb=1", "b", None);
        check("http://h/a?b=", "b", None);
        check("http://h/a?b=%ff", "b", None);
    }
}
