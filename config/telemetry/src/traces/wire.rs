//! As much of the protobuf wire format as OTLP needs: fields of messages written, and the fields
//! of a short answer read.

/// Types of the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Bytes of a message that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    /// `int64`, `uint32`, `enum`: 0 is what a field that is missing says.
    pub(super) fn number(&mut self, field: u32, number: i64) {
        self.key(field, VARINT);
        self.varint(number.cast_unsigned());
    }

    pub(super) fn fixed64(&mut self, field: u32, number: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, number: u32) {
        self.key(field, FIXED32);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// `bytes` or `string`.
    pub(super) fn bytes(&mut self, field: u32, bytes: impl AsRef<[u8]>) {
        self.key(field, BYTES);
        self.varint(bytes.as_ref().len() as u64);
        self.0.extend_from_slice(bytes.as_ref());
    }

    /// A message inside; its length stands before it and is known behind it.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        self.key(field, BYTES);
        let at = self.0.len();
        fill(self);
        let mut length = Self::default();
        length.varint((self.0.len() - at) as u64);
        self.0.splice(at..at, length.0);
    }
}

/// A field of a message that is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// The next field and its number; nothing at the end, and where the rest is no message.
pub(super) fn next<'m>(message: &mut &'m [u8]) -> Option<(u64, Field<'m>)> {
    let key = varint(message)?;
    let mut take = |length: usize| {
        let (taken, rest) = message.split_at_checked(length)?;
        *message = rest;
        Some(taken)
    };
    let field = match key & 7 {
        VARINT => Field::Number(varint(message)?),
        FIXED64 => Field::Bytes(take(8)?),
        FIXED32 => Field::Bytes(take(4)?),
        BYTES => {
            let length = usize::try_from(varint(message)?).ok()?;
            let (taken, rest) = message.split_at_checked(length)?;
            *message = rest;
            Field::Bytes(taken)
        }
        _ => return None,
    };
    Some((key >> 3, field))
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Field, Writer, next};

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.number(1, -1);
        writer.message(2, |inner| inner.bytes(3, "x".repeat(200)));
        writer.fixed32(16, 7);
        writer.fixed64(7, 9);
        let mut rest = &writer.0[..];
        assert_eq!(next(&mut rest), Some((1, Field::Number(u64::MAX))));
        let Some((2, Field::Bytes(mut inner))) = next(&mut rest) else { panic!("a message") };
        assert_eq!(next(&mut inner), Some((3, Field::Bytes("x".repeat(200).as_bytes()))));
        assert_eq!(next(&mut rest), Some((16, Field::Bytes(&[7, 0, 0, 0]))));
        assert_eq!(next(&mut rest), Some((7, Field::Bytes(&[9, 0, 0, 0, 0, 0, 0, 0]))));
        assert_eq!(next(&mut rest), None);
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let bytes = seed.to_be_bytes().repeat(1 + (seed >> 60) as usize);
            let mut rest = &bytes[..];
            while next(&mut rest).is_some() {}
        }
    }
}
