//! Keys as paths below a bucket's folder. Any key has exactly one path, no path leaves the
//! folder, and the names of a folder sort into the byte order of keys.
//!
//! Keys with `.` or `..` between slashes are refused before they get here
//! ([`crate::rules::check_key`]); that none of them would leave the folder either is the second
//! lock on that door. A key is cut at its slashes. Of each segment the bytes `A-Z a-z 0-9 - _ .` stand for
//! themselves and all others as `%XX`; so does a leading dot, and so there is no `.`, no `..`
//! and no hidden name. An empty segment is `%`. The last segment, the object itself, ends in
//! `=`, which no folder's name contains: `a` and `a/b` live side by side. File systems bound a
//! name to 255 bytes, so a segment of 80 bytes or more continues in a folder named by its
//! first 80 bytes and `+`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

/// Bytes of a segment in one name: three times as many when all are escaped, plus the mark.
const PIECE: usize = 80;

/// What a name in a bucket's folder stands for, with the bytes of the key it adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// The end of a key.
    Object(Vec<u8>),
    /// A segment and the slash behind it.
    Folder(Vec<u8>),
    /// The first bytes of a segment that goes on.
    Piece(Vec<u8>),
}

impl Name {
    /// Reads a name; none where [`object_path`] never makes it.
    pub(super) fn parse(name: &OsStr) -> Option<Self> {
        let name = name.as_bytes();
        let (mark, escaped) = match name.split_last()? {
            (b'=', rest) => (b'=', rest),
            (b'+', rest) => (b'+', rest),
            _ => (b'/', name),
        };
        let mut bytes = unescape(escaped)?;
        let long = bytes.len() >= PIECE;
        match mark {
            b'=' if !long => Some(Self::Object(bytes)),
            b'+' if bytes.len() == PIECE => Some(Self::Piece(bytes)),
            b'/' if !long => {
                bytes.push(b'/');
                Some(Self::Folder(bytes))
            }
            _ => None,
        }
    }

    /// What it adds to the key.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Object(bytes) | Self::Folder(bytes) | Self::Piece(bytes) => bytes,
        }
    }

    /// As it stands in the file system.
    pub(super) fn on_disk(&self) -> String {
        match self {
            Self::Object(bytes) => escape(bytes) + "=",
            Self::Folder(bytes) => escape(bytes.strip_suffix(b"/").unwrap_or(bytes)),
            Self::Piece(bytes) => escape(bytes) + "+",
        }
    }
}

/// The path of an object below its bucket's folder.
pub(super) fn object_path(key: &str) -> PathBuf {
    let mut path = PathBuf::new();
    let mut segments = key.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(mut segment) = segments.next() {
        while let Some((piece, rest)) = segment.split_at_checked(PIECE) {
            path.push(Name::Piece(piece.to_vec()).on_disk());
            segment = rest;
        }
        let last = segments.peek().is_none();
        let segment = segment.to_vec();
        path.push(if last { Name::Object(segment) } else { Name::Folder(segment) }.on_disk());
    }
    path
}

fn escape(segment: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if segment.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::with_capacity(segment.len() + 1);
    for (at, &byte) in segment.iter().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || byte == b'.' && at > 0 {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push(char::from(HEX[usize::from(byte >> 4)]));
            name.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    name
}

/// Undoes [`escape`]; none for text that it does not make.
fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    if name == b"%" {
        return Some(Vec::new());
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (pair, behind) = rest.split_at_checked(2)?;
        bytes.push(digit(&pair[0])? << 4 | digit(&pair[1])?);
        rest = behind;
    }
    (escape(&bytes).as_bytes() == name).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    /// What the walk over a bucket's folder makes of a path.
    fn key_of(path: &Path) -> Option<String> {
        let mut key = Vec::new();
        for component in path.components() {
            let Component::Normal(name) = component else { return None };
            key.extend_from_slice(Name::parse(name)?.bytes());
        }
        String::from_utf8(key).ok()
    }

    #[test]
    fn keys_become_paths() {
        fn check(key: &str, path: &str) {
            assert_eq!(object_path(key), Path::new(path), "{key}");
            assert_eq!(key_of(Path::new(path)).as_deref(), Some(key), "{path}");
        }
        check("a", "a=");
        check("a/b", "a/b=");
        check("a/", "a/%=");
        check("/a", "%/a=");
        check("/", "%/%=");
        check("//", "%/%/%=");
        check("..", "%2E.=");
        check("../../etc/passwd", "%2E./%2E./etc/passwd=");
        check("/etc/passwd", "%/etc/passwd=");
        check("a/./b", "a/%2E/b=");
        check("film 1/é", "film%201/%C3%A9=");
        check("a=", "a%3D=");
        check("a+", "a%2B=");
        check("%", "%25=");
        check("nul\0", "nul%00=");
        check("v1/seg.m4s", "v1/seg.m4s=");
        let long = "x".repeat(80);
        check(&long, &format!("{long}+/%="));
        check(&format!("{long}/y"), &format!("{long}+/%/y="));
        check(&format!("{long}{long}tail"), &format!("{long}+/{long}+/tail="));
        check(&"y".repeat(79), &format!("{}=", "y".repeat(79)));
    }

    #[test]
    fn foreign_names_are_no_keys() {
        for name in ["", ".", "..", ".hidden=", "a b=", "%2e=", "%41=", "%=%", "%4", "é=", "a/b"] {
            assert_eq!(Name::parse(OsStr::new(name)), None, "{name}");
        }
        assert_eq!(Name::parse(OsStr::new(&"x".repeat(80))), None);
        assert_eq!(Name::parse(OsStr::new("short+")), None);
    }

    /// Keys made of what tends to break such mappings.
    fn keys() -> impl Strategy<Value = String> {
        let odd = prop::sample::select(vec![
            "/",
            "//",
            ".",
            "..",
            "../",
            "%",
            "=",
            "+",
            "%2F",
            "\0",
            "\n",
            "a",
            "A",
            "é",
            "\u{10FFFF}",
        ]);
        let piece = prop_oneof![odd.prop_map(str::to_owned), ".{0,40}", "[a-c]{70,90}"];
        prop::collection::vec(piece, 1..12).prop_map(|pieces| {
            let mut key = pieces.concat();
            while key.len() > 1024 {
                key.pop();
            }
            if key.is_empty() { "k".to_owned() } else { key }
        })
    }

    proptest! {
        #[test]
        fn every_key_has_its_own_path_inside(key in keys()) {
            let path = object_path(&key);
            prop_assert_eq!(key_of(&path), Some(key));
            for component in path.components() {
                let Component::Normal(name) = component else {
                    return Err(TestCaseError::fail(format!("{component:?} leaves the folder")));
                };
                prop_assert!(name.len() <= 255);
            }
            prop_assert!(path.as_os_str().len() <= 3200);
        }
    }

    #[test]
    fn the_longest_path_fits() {
        for unit in ["\u{1}", "\u{1}/", "/", "é/", "\u{10FFFF}"] {
            let key = unit.repeat(1024 / unit.len());
            let length = object_path(&key).as_os_str().len();
            assert!(length <= 3200, "{unit:?}: {length}");
        }
    }
}
