//! Tokens taken out of whatever is written down.

use std::borrow::Cow;

/// What stands in a token's place.
const PLACE: &str = "-";

/// Shorter runs are no token of anybody's.
const SHORTEST: usize = 20;

/// `text` without tokens: the segment after `/t/` at the start of a path or right after a URL's
/// host, whatever it looks like, and anything anywhere that looks like a JWT. Takes paths, URLs,
/// header values and whole log lines.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        let Some(range) = next_token(text, at) else { break };
        let out = out.get_or_insert_with(|| String::with_capacity(text.len()));
        out.push_str(&text[copied..range.start]);
        out.push_str(PLACE);
        copied = range.end;
        at = range.end.max(at + 1);
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
    }
}

/// The next token at or after `from`.
fn next_token(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let marked = marked(text, from);
    let jwt = jwt(text, from);
    match (marked, jwt) {
        (Some(one), Some(other)) => Some(if one.start <= other.start { one } else { other }),
        (one, other) => one.or(other),
    }
}

/// The segment after the next `/t/` that starts a path.
fn marked(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let mut search = from;
    while let Some(found) = text.get(search..)?.find("/t/") {
        let mark = search + found;
        let start = mark + 3;
        let length = text[start..].find(ends_segment).unwrap_or(text.len() - start);
        if length > 0 && starts_path(&text[..mark]) {
            return Some(start..start + length);
        }
        search = mark + 1;
    }
    None
}

fn ends_segment(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '\\') || c.is_whitespace()
}

/// Whether a path begins after `before`: at the start, after white space, a quote, `=` and the
/// like, or after `scheme://authority`.
fn starts_path(before: &str) -> bool {
    let Some(last) = before.chars().next_back() else { return true };
    if last.is_whitespace() || matches!(last, '"' | '\'' | '=' | '(' | '[' | '<' | ',' | '|') {
        return true;
    }
    let authority = before.rfind("//").map(|at| &before[at + 2..]);
    authority.is_some_and(|host| !host.is_empty() && !host.contains(ends_segment))
}

/// The next run that looks like a JWT, also one that was cut: base64url of `{"` is `eyJ`.
fn jwt(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let mut search = from;
    while let Some(found) = text.get(search..)?.find("eyJ") {
        let start = search + found;
        let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
        let length = text[start..].find(|c| !in_run(c)).unwrap_or(text.len() - start);
        let run = &text[start..start + length];
        if length >= SHORTEST && run.contains('.') {
            return Some(start..start + length);
        }
        search = start + 3;
    }
    None
}
