//! Header fields from text.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Reads lines of `name: value`; what is no field is left out.
pub(crate) fn parse(text: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// Splits at the first empty line.
pub(crate) fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let at = input.windows(2).position(|pair| pair == b"\n\n");
    at.map_or((input, &[]), |at| (&input[..at], &input[at + 2..]))
}

/// The first `N` bytes, zeros where there are fewer, and the rest.
pub(crate) fn prefix<const N: usize>(input: &[u8]) -> ([u8; N], &[u8]) {
    let mut first = [0; N];
    let taken = input.len().min(N);
    first[..taken].copy_from_slice(&input[..taken]);
    (first, &input[taken..])
}
