//! Paths in which a token stands, and paths that a token opens.
//!
//! A prefix is compared with a canonical path, and a path that some server behind us could read
//! in another way than we do is refused, not repaired.

use std::borrow::Cow;

use thiserror::Error;

/// What stands before a token.
const MARK: &str = "/t/";

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum PathError {
    /// It does not start with `/`.
    #[error("it does not start with `/`")]
    Relative,
    /// `.` or `..` as a segment, however written.
    #[error("it holds a `.` or `..` segment")]
    Dots,
    /// `/` or `\` in percent-encoding, or `\`.
    #[error("it holds an encoded slash or a backslash")]
    Slash,
    /// `%` without two hexadecimal digits, or a percent-encoding of a percent-encoding.
    #[error("its percent-encoding is broken or doubled")]
    Percent,
    /// A control character, white space, `?`, `#` or a byte above ASCII, as it is or encoded
    /// (but for bytes above ASCII, which must be encoded).
    #[error("it holds a character that does not belong into a path")]
    Character,
}

/// Takes a token out of a path: `/t/<token>/<rest>` gives the token and `/<rest>`, with its
/// query. Nothing when no token stands there.
pub fn split_path(path: &str) -> Option<(&str, &str)> {
    let after = path.strip_prefix(MARK)?;
    let end = after.find(['/', '?', '#'])?;
    let (token, rest) = after.split_at(end);
    (!token.is_empty() && rest.starts_with('/')).then_some((token, rest))
}

/// Puts a token before a path.
pub fn insert(token: &str, path: &str) -> String {
    format!("{MARK}{token}{path}")
}

/// One spelling for each path (RFC 3986 §6.2.2): what needs no percent-encoding has none, what
/// needs it has upper-case digits. Borrowed when it was canonical already.
///
/// # Errors
/// When it is relative, holds dot segments, or could be read in two ways.
pub fn canonical(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    // Most paths need no second look, and each request of a hit pays for this one.
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"%\\?#".contains(byte);
    let path =
        if path.bytes().all(|byte| plain(&byte)) { Cow::Borrowed(path) } else { respelt(path)? };
    if path.contains("/.") && path.split('/').any(is_dots) {
        return Err(PathError::Dots);
    }
    Ok(path)
}

fn respelt(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut changed: Option<String> = None;
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (literal, width) = match byte {
            b'%' => (encoded(bytes, at)?, 3),
            b'\\' => return Err(PathError::Slash),
            b'?' | b'#' => return Err(PathError::Character),
            byte if !byte.is_ascii_graphic() => return Err(PathError::Character),
            byte => (Some(char::from(byte)), 1),
        };
        let written = &path[at..at + width];
        let wanted: Cow<'_, str> = match literal {
            Some(_) if width == 1 => Cow::Borrowed(written),
            Some(literal) => Cow::Owned(literal.to_string()),
            None => Cow::Owned(written.to_ascii_uppercase()),
        };
        if changed.is_none() && wanted != written {
            changed = Some(path[..at].to_owned());
        }
        if let Some(changed) = &mut changed {
            changed.push_str(&wanted);
        }
        at += width;
    }
    let path = changed.map_or(Cow::Borrowed(path), Cow::Owned);
    // `%252e` is `%2e` to a server that decodes twice.
    let digits = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if path.match_indices("%25").any(|(at, mark)| digits(&path[at + mark.len()..])) {
        return Err(PathError::Percent);
    }
    Ok(path)
}

/// Whether a segment is `.` or `..` to somebody: some servers cut `;parameters` first.
fn is_dots(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}

/// What `%XX` at `at` stands for: a character that needs no encoding, or nothing when it stays.
fn encoded(bytes: &[u8], at: usize) -> Result<Option<char>, PathError> {
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let two = |at: usize| digit(at).zip(digit(at + 1)).map(|(high, low)| high * 16 + low);
    let value = two(at + 1).and_then(|value| u8::try_from(value).ok()).ok_or(PathError::Percent)?;
    match value {
        b'/' | b'\\' => Err(PathError::Slash),
        0..=0x1f | 0x7f => Err(PathError::Character),
        // RFC 3986 §2.3: unreserved characters are the same with and without encoding.
        b'-' | b'.' | b'_' | b'~' => Ok(Some(char::from(value))),
        value if value.is_ascii_alphanumeric() => Ok(Some(char::from(value))),
        _ => Ok(None),
    }
}

/// Whether `prefix` is `path` or an ancestor of it, by whole segments. Both are canonical.
pub fn covers(prefix: &str, path: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'),
        None => false,
    }
}
