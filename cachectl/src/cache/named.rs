//! What a person names an object by: a URL, a cache key, the beginning of either, or a tag.

use weir_config_admin::tag_fault;
use weir_edge_token::redact;

use crate::{
    client::encoded,
    failure::{Code, Failure},
    print::counted,
};

/// A server takes 32 KiB of a request's head, from its clients too.
const URL_MAX: usize = 30 << 10;
const LOOKS: &str = "a URL looks like https://host/path, as a client asks for it";
const KEY_LOOKS: &str =
    "a URL looks like https://host/path, a key like SERVICE|host|/path (cachectl cache ls)";

/// Whether it begins as a URL does.
pub(super) fn is_url(text: &str) -> bool {
    host(text).is_some()
}

/// What follows the scheme.
fn host(text: &str) -> Option<&str> {
    ["https://", "http://"].into_iter().find_map(|scheme| {
        let start = text.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    })
}

pub(crate) fn url(text: &str) -> Result<(), Failure> {
    short(text)?;
    match host(text) {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['/', '?', '#']) => Ok(()),
        Some(_) => Err(none("a URL", text).why("it has no host").next(LOOKS)),
        None => {
            Err(none("a URL", text).why("it does not begin with https:// or http://").next(LOOKS))
        }
    }
}

/// A URL, or a key as `cache ls` prints it.
pub(super) fn url_or_key(text: &str) -> Result<(), Failure> {
    match text.splitn(3, '|').collect::<Vec<_>>().as_slice() {
        _ if is_url(text) => url(text),
        [service, _, path] if is_service(service) && !path.is_empty() => short(text),
        _ => Err(none("a URL or a cache key", text).next(KEY_LOOKS)),
    }
}

/// The beginning of one of them; of a key its service at least.
pub(super) fn beginning(text: &str) -> Result<(), Failure> {
    match text.split_once('|') {
        _ if is_url(text) => url(text),
        Some((service, _)) if is_service(service) => short(text),
        _ => Err(none("the beginning of a URL or of a cache key", text).next(KEY_LOOKS)),
    }
}

/// A tag that an upstream can have written.
pub(super) fn tag(text: &str) -> Result<(), Failure> {
    match tag_fault(text) {
        None => Ok(()),
        Some(why) => Err(Failure::new(Code::Usage, "no object has such a tag").why(why)),
    }
}

fn is_service(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
}

fn none(what: &str, text: &str) -> Failure {
    Failure::new(Code::Usage, format!("not {what}: {}", redact(text)))
}

fn short(text: &str) -> Result<(), Failure> {
    let length = encoded(text).len();
    if length <= URL_MAX {
        return Ok(());
    }
    Err(Failure::new(Code::Usage, "URL too long").why(format!(
        "it has {} as it is sent; a server takes no request beyond {URL_MAX}",
        counted(length as u64, "byte")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_an_object() {
        let check = |text: &str, [as_url, as_key, as_beginning]: [bool; 3]| {
            assert_eq!(url(text).is_ok(), as_url, "{text}");
            assert_eq!(url_or_key(text).is_ok(), as_key, "{text}");
            assert_eq!(beginning(text).is_ok(), as_beginning, "{text}");
        };
        check("https://h/a", [true; 3]);
        check("HTTP://[::1]:8/a?b", [true; 3]);
        check("https://h", [true; 3]);
        check("film||/a", [false, true, true]);
        check("site|h:8|/a?b|c", [false, true, true]);
        check("film|", [false, false, true]);
        check("site|h", [false, false, true]);
        let long = format!("https://h/{}", "a".repeat(70_000));
        for text in ["", "x", "notaurl", "ftp://x/y", "://", "https://", "http:///a", "|", &long] {
            check(text, [false; 3]);
        }
        check("ftp://h|a|/b", [false; 3]);
    }

    #[test]
    fn tags() {
        let check = |text: &str, sound| assert_eq!(tag(text).is_ok(), sound, "{text:?}");
        check("title:8812", true);
        check(&"a".repeat(1024), true);
        check(&"a".repeat(1025), false);
        check(" ", false);
        check(" x ", true);
        check("x z", false);
        // No blank of either field.
        check("x\u{a0}z", true);
        check("a\u{1b}[31m", false);
    }
}
