//! Whether a field section may stand in a request (RFC 9114 §4.2 and §4.3).

use super::{
    Malformed,
    qpack::{Lines, Unreadable},
};

impl From<Unreadable> for Malformed {
    fn from(_: Unreadable) -> Self {
        Self::Qpack
    }
}

/// The pseudo-header fields that a request may have, once each.
const PSEUDO: [&[u8]; 4] = [b":method", b":scheme", b":authority", b":path"];

/// RFC 9114 §4.2; `te` has a value that is allowed, which is for whoever reads values.
const OF_A_CONNECTION: [&[u8]; 5] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

/// What a request says of its body's length. Refuses what is malformed.
pub(super) fn head(section: &[u8]) -> Result<Option<u64>, Malformed> {
    let (mut room, mut seen) = (Vec::new(), [false; PSEUDO.len()]);
    let (mut fields, mut connect, mut declared) = (false, false, None);
    let mut lines = Lines::of(section)?;
    while let Some(line) = lines.next()? {
        let name = line.name.read(&mut room)?;
        if name.first() == Some(&b':') {
            // RFC 9114 §4.3: what a request does not define, `:status` above all.
            let which = PSEUDO.iter().position(|pseudo| *pseudo == name);
            let which = which.ok_or(Malformed::PseudoUnknown)?;
            if fields {
                return Err(Malformed::PseudoMisplaced);
            }
            if std::mem::replace(&mut seen[which], true) {
                return Err(Malformed::PseudoRepeated);
            }
            let value = line.value;
            connect |= which == 0 && value.read(&mut room)? == b"CONNECT";
            // RFC 9114 §4.3.1: a path and a query. `http::Uri` would cut the rest off without a word.
            if which == 3 && value.read(&mut room)?.contains(&b'#') {
                return Err(Malformed::Request);
            }
            // RFC 9114 §4.3.1: nobody's name and password.
            if which == 2 && value.read(&mut room)?.contains(&b'@') {
                return Err(Malformed::Request);
            }
            continue;
        }
        fields = true;
        ordinary(name)?;
        if name == b"content-length" {
            let number = length(line.value.read(&mut room)?).ok_or(Malformed::ContentLength)?;
            if declared.is_some_and(|other| other != number) {
                return Err(Malformed::ContentLength);
            }
            declared = Some(number);
        }
    }
    // §4.3.1, and §4.4 for CONNECT, which has an authority and no target. That the others have
    // an authority or Host is seen where the target is put together.
    let [method, scheme, authority, path] = seen;
    let whole = if connect { authority && !scheme && !path } else { method && scheme && path };
    if whole { Ok(declared) } else { Err(Malformed::PseudoMissing) }
}

/// Trailers are read by nobody above, so all of them is looked at here.
pub(super) fn trailers(section: &[u8]) -> Result<(), Malformed> {
    let mut room = Vec::new();
    let mut lines = Lines::of(section)?;
    while let Some(line) = lines.next()? {
        let name = line.name.read(&mut room)?;
        // RFC 9114 §4.3: no pseudo-header fields in trailers.
        if name.first() == Some(&b':') {
            return Err(Malformed::PseudoMisplaced);
        }
        ordinary(name)?;
        // RFC 9110 §6.5.1.
        if name == b"content-length" {
            return Err(Malformed::ContentLength);
        }
        // RFC 9110 §5.5, which RFC 9114 §10.3 calls malformed.
        let value = line.value.read(&mut room)?;
        if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err(Malformed::Field);
        }
    }
    Ok(())
}

/// A name in lower case that is no connection's.
fn ordinary(name: &[u8]) -> Result<(), Malformed> {
    // RFC 9110 §5.6.2, without upper case (RFC 9114 §4.2).
    let token = |byte: &u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' => true,
        other => b"!#$%&'*+-.^_`|~".contains(other),
    };
    if name.is_empty() || !name.iter().all(token) {
        return Err(Malformed::Field);
    }
    if OF_A_CONNECTION.contains(&name) { Err(Malformed::ConnectionField) } else { Ok(()) }
}

/// A Content-Length: digits and nothing else. Stricter than `parse`, which takes a sign.
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
