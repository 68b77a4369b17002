//! What stands behind a database's last marker, looked at before the reader does: it follows
//! pointers of what it does not know without an end, and one that names itself takes the stack.
//! No writer puts pointers there.

/// Stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Maps in maps.
const DEPTH_MAX: u32 = 8;
/// Longest metadata, bytes (MaxMind DB format 2.0).
const LENGTH_MAX: usize = 128 << 10;

const EXTENDED: u8 = 0;
const POINTER: u8 = 1;
const MAP: u8 = 7;
const ARRAY: u8 = 11;
const BOOL: u8 = 14;

/// Whether the metadata is one value without pointers, and not deep.
pub(crate) fn is_plain(database: &[u8]) -> bool {
    let from = database.len().saturating_sub(LENGTH_MAX);
    let tail = &database[from..];
    let found = tail.windows(MARKER.len()).rposition(|window| window == MARKER);
    let Some(found) = found else { return false };
    let mut rest = &tail[found + MARKER.len()..];
    skip(&mut rest, DEPTH_MAX).is_some()
}

/// Passes over one value.
fn skip(rest: &mut &[u8], depth: u32) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    let control = byte(rest)?;
    let kind = match control >> 5 {
        EXTENDED => byte(rest)?.checked_add(MAP)?,
        kind => kind,
    };
    let size = match control & 31 {
        29 => 29 + usize::from(byte(rest)?),
        30 => 285 + usize::from(byte(rest)?) * 256 + usize::from(byte(rest)?),
        31 => {
            let bytes = [byte(rest)?, byte(rest)?, byte(rest)?].map(usize::from);
            65_821 + bytes[0] * 65_536 + bytes[1] * 256 + bytes[2]
        }
        size => usize::from(size),
    };
    match kind {
        POINTER => None,
        MAP => (0..2 * size).try_for_each(|_| skip(rest, depth)),
        ARRAY => (0..size).try_for_each(|_| skip(rest, depth)),
        BOOL => Some(()),
        _ => {
            *rest = rest.get(size..)?;
            Some(())
        }
    }
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_depth_are_refused() {
        let check = |value: &[u8], plain: bool| {
            assert_eq!(is_plain(&[b"data", MARKER, value].concat()), plain, "{value:?}");
        };
        // {"a": 1}
        check(&[0xe1, 0x41, b'a', 0xa1, 1], true);
        check(&[0xe1, 0x41, b'a', 0xa1], false);
        // A pointer, in a map and alone.
        check(&[0xe1, 0x41, b'a', 0x20, 0], false);
        check(&[0x20, 0], false);
        check(&[], false);
        // Arrays of arrays.
        check(&[[1, 4].repeat(6), vec![0, 4]].concat(), true);
        check(&[[1, 4].repeat(20), vec![0, 4]].concat(), false);
        assert!(!is_plain(b"no marker"));
    }
}
