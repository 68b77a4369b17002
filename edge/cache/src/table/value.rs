//! Values of header fields that have a shorter form: entity tags, dates, numbers.

use std::time::{Duration, UNIX_EPOCH};

use super::varint::{self, Reader};

/// Longest entity tag that is packed, bytes of its hexadecimal digits.
const HEX_MAX: usize = 64;
/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
const DATE_LENGTH: usize = 29;

/// In which form a value is kept. The number is part of a template's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// Lowercase hexadecimal digits in quotes, an even number: most entity tags.
    Hex,
    /// A date as seconds since 1970, 4 bytes.
    Date,
    /// A decimal number without leading zeros.
    Number,
    /// The size of the object's body in decimal: nothing.
    Size,
}

impl Form {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Plain => 1,
            Self::Hex => 2,
            Self::Date => 3,
            Self::Number => 4,
            Self::Size => 5,
        }
    }

    pub(super) const fn of_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Plain,
            2 => Self::Hex,
            3 => Self::Date,
            4 => Self::Number,
            5 => Self::Size,
            _ => return None,
        })
    }
}

/// Appends a value in its shortest form. What comes back from [`read`] is the same to the
/// byte, or the form is another one.
pub(super) fn push(out: &mut Vec<u8>, value: &[u8], size: u64) -> Form {
    if let Some(number) = decimal(value) {
        if number == size {
            return Form::Size;
        }
        varint::push(out, number);
        return Form::Number;
    }
    if let Some(digits) = quoted_hex(value) {
        varint::push(out, digits.len() as u64 / 2);
        out.extend(digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])));
        return Form::Hex;
    }
    if let Some(seconds) = date(value) {
        out.extend_from_slice(&seconds.to_le_bytes());
        return Form::Date;
    }
    varint::push(out, value.len() as u64);
    out.extend_from_slice(value);
    Form::Plain
}

/// Appends the value that [`push`] was given.
pub(super) fn read(
    form: Form,
    reader: &mut Reader<'_>,
    size: u64,
    out: &mut Vec<u8>,
) -> Option<()> {
    match form {
        Form::Plain => out.extend_from_slice(reader.sized()?),
        Form::Hex => {
            out.push(b'"');
            let digits = reader.sized()?.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            out.extend(digits.map(|digit| b"0123456789abcdef"[usize::from(digit)]));
            out.push(b'"');
        }
        Form::Date => {
            let seconds = u32::from_le_bytes(reader.array()?);
            out.extend_from_slice(spell_date(seconds).as_bytes());
        }
        Form::Number => out.extend_from_slice(reader.number()?.to_string().as_bytes()),
        Form::Size => out.extend_from_slice(size.to_string().as_bytes()),
    }
    Some(())
}

fn decimal(value: &[u8]) -> Option<u64> {
    // u64 has at most 20 digits.
    let canonical = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() <= 20;
    std::str::from_utf8(value).ok().filter(|_| canonical)?.parse().ok()
}

fn quoted_hex(value: &[u8]) -> Option<&[u8]> {
    let digits = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let fits = !digits.is_empty() && digits.len().is_multiple_of(2) && digits.len() <= 2 * HEX_MAX;
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (fits && digits.iter().all(hex)).then_some(digits)
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        // `quoted_hex` let nothing else through.
        _ => digit.wrapping_sub(b'a' - 10),
    }
}

fn date(value: &[u8]) -> Option<u32> {
    if value.len() != DATE_LENGTH {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let seconds = u32::try_from(since.as_secs()).ok()?;
    // A wrong day of the week is taken by the parser and would not come back.
    (spell_date(seconds) == text).then_some(seconds)
}

fn spell_date(seconds: u32) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: &[u8], size: u64) -> (Form, usize) {
        let mut packed = Vec::new();
        let form = push(&mut packed, value, size);
        let mut reader = Reader(&packed);
        let mut again = Vec::new();
        read(form, &mut reader, size, &mut again).expect("what was pushed");
        assert_eq!(again, value);
        assert!(reader.0.is_empty());
        assert_eq!(Form::of_number(form.number()), Some(form));
        (form, packed.len())
    }

    #[test]
    fn each_gets_its_shortest_form() {
        for (value, size, expected) in [
            (&b"\"d41d8cd98f00b204e9800998ecf8427e\""[..], 7, (Form::Hex, 17)),
            (b"\"D41D\"", 7, (Form::Plain, 7)),
            (b"\"abc\"", 7, (Form::Plain, 6)),
            (b"W/\"ab\"", 7, (Form::Plain, 7)),
            (b"\"\"", 7, (Form::Plain, 3)),
            (b"\"", 7, (Form::Plain, 2)),
            (b"Sun, 06 Nov 1994 08:49:37 GMT", 7, (Form::Date, 4)),
            // It was a Sunday.
            (b"Mon, 06 Nov 1994 08:49:37 GMT", 7, (Form::Plain, 30)),
            (b"Sun, 06 Nov 1894 08:49:37 GMT", 7, (Form::Plain, 30)),
            (b"Sun, 06 Nov 2994 08:49:37 GMT", 7, (Form::Plain, 30)),
            (b"Sunday, 06-Nov-94 08:49:37 GMT", 7, (Form::Plain, 31)),
            (b"7", 7, (Form::Size, 0)),
            (b"0", 7, (Form::Number, 1)),
            (b"07", 7, (Form::Plain, 3)),
            (b"+7", 7, (Form::Plain, 3)),
            (b"18446744073709551615", 7, (Form::Number, 10)),
            (b"18446744073709551616", 7, (Form::Plain, 21)),
            (b"video/mp4", 7, (Form::Plain, 10)),
            (b"", 7, (Form::Plain, 1)),
        ] {
            assert_eq!(check(value, size), expected, "{:?}", String::from_utf8_lossy(value));
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "[0-9]{1,21}".prop_map(String::into_bytes),
                "\"[0-9a-f]{0,140}\"".prop_map(String::into_bytes),
                any::<u32>().prop_map(|seconds| spell_date(seconds).into_bytes()),
            ],
            size in any::<u64>(),
        ) {
            check(&value, size);
        }
    }
}
