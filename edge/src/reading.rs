//! How the most lenient server would read a path: every percent-encoding undone, also one of
//! another, backslashes as slashes, runs of slashes as one. Only compared with, never sent.

use std::borrow::Cow;

use weir_edge_token::PathError;

/// Encodings of encodings that are undone; what is wrapped more often stays.
const DEPTH: usize = 3;

/// The path as it would be read.
///
/// # Errors
/// When it holds a `.` or `..` segment: clients resolve these before they ask (RFC 3986
/// §5.2.4), and whoever sends one wants it resolved behind us.
pub(crate) fn lenient(path: &str) -> Result<Cow<'_, str>, PathError> {
    // Nearly all paths are read in one way only.
    if !path.contains(['%', '\\']) && !path.contains("//") && !path.contains("/.") {
        return Ok(Cow::Borrowed(path));
    }
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..DEPTH {
        if !bytes.contains(&b'%') {
            break;
        }
        bytes = decoded(&bytes);
    }
    let text = String::from_utf8_lossy(&bytes).replace('\\', "/");
    let mut read = String::with_capacity(text.len());
    for segment in text.split('/').filter(|segment| !segment.is_empty()) {
        // Some servers cut `;parameters` first.
        if matches!(segment.split(';').next(), Some("." | "..")) {
            return Err(PathError::Dots);
        }
        read.push('/');
        read.push_str(segment);
    }
    if text.ends_with('/') {
        read.push('/');
    }
    Ok(Cow::Owned(read))
}

/// RFC 3986 §2.1; what is no encoding stays as it is.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (*first, tail)
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings() {
        let check = |path: &str, expected: Result<&str, PathError>| {
            assert_eq!(lenient(path).as_deref(), expected.as_ref().copied(), "{path}");
        };
        check("/a/b", Ok("/a/b"));
        check("/", Ok("/"));
        check("//a///b/", Ok("/a/b/"));
        check("/%61%2fb", Ok("/a/b"));
        check("/%2561", Ok("/a"));
        check("/a\\b", Ok("/a/b"));
        check("/%", Ok("/%"));
        check("/%zz%4", Ok("/%zz%4"));
        check("/...", Ok("/..."));
        check("/.a/b.", Ok("/.a/b."));
        check("/a/..", Err(PathError::Dots));
        check("/a/%2e/b", Err(PathError::Dots));
        check("/a%2f%2E%2e;x/b", Err(PathError::Dots));
        check("/a/%252e%252e", Err(PathError::Dots));
        check("/%5c../x", Err(PathError::Dots));
    }
}
