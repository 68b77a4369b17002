//! `EXT-X-DEFINE`: names for pieces of text, `{$name}` where they are put
//! (draft-pantos-hls-rfc8216bis §4.3).

use std::borrow::Cow;

use super::Attributes;
use crate::URL_MAX;

/// Variables of one playlist.
const MOST: usize = 128;

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
    pub(super) fn replaced<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, &'static str> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{$") {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let Some((name, behind)) = after
                .split_once('}')
                .filter(|(name, _)| !name.is_empty() && name.chars().all(plain))
            else {
                // Not of that form, so that it is text.
                out.push_str(before);
                out.push_str("{$");
                rest = after;
                continue;
            };
            let value = self.value(name).ok_or("a variable that nobody defined")?;
            out.push_str(before);
            out.push_str(value);
            if out.len() > URL_MAX {
                return Err("a text that its variables make too long");
            }
            rest = behind;
        }
        if rest.len() == text.len() {
            return Ok(Cow::Borrowed(text));
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }
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

    #[test]
    fn replaced() {
        let variables = Variables(vec![("a".into(), "1".into()), ("b-c".into(), "{$a}".into())]);
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = variables.replaced(text);
            assert_eq!(found.as_deref().map_err(|why| *why), expected, "{text}");
        };
        check("plain", Ok("plain"));
        check("x{$a}y{$a}", Ok("x1y1"));
        check("{$b-c}", Ok("{$a}"));
        check("{$}{$ a}{$a", Ok("{$}{$ a}{$a"));
        check("{$nobody}", Err("a variable that nobody defined"));
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
