//! The Huffman code of HPACK and QPACK (RFC 7541 §5.2 and Appendix B).
//!
//! The code is canonical: within one length, codes follow each other in the order of their
//! symbols. So the lengths alone are the whole table.

/// Longest code, in bits.
const LONGEST: usize = 30;

/// Bits of each octet's code (RFC 7541, Appendix B). The end of a string, which is symbol 256,
/// has all of the 30 ones and never stands in a string.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// By length: the first code, how many there are, and where their symbols begin.
struct Codes {
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    at: [usize; LONGEST + 1],
    symbols: [u8; 256],
}

const CODES: Codes = codes();

const fn codes() -> Codes {
    let mut codes = Codes {
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        at: [0; LONGEST + 1],
        symbols: [0; 256],
    };
    let (mut length, mut next, mut placed) = (1, 0, 0);
    while length <= LONGEST {
        codes.first[length] = next;
        codes.at[length] = placed;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[placed] = symbol as u8;
                codes.count[length] += 1;
                placed += 1;
                next += 1;
            }
            symbol += 1;
        }
        next <<= 1;
        length += 1;
    }
    codes
}

/// Appends what `coded` stands for. None where it is no such string: a code that is none, or
/// padding other than at most seven ones.
pub(crate) fn decode(coded: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let (mut code, mut length) = (0_u32, 0);
    for byte in coded {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            if length > LONGEST {
                return None;
            }
            // Never below the first: a shorter code would have matched before.
            let offset = code.wrapping_sub(CODES.first[length]);
            if offset < CODES.count[length] {
                to.push(CODES.symbols[CODES.at[length] + offset as usize]);
                (code, length) = (0, 0);
            }
        }
    }
    // RFC 7541 §5.2: the padding is the beginning of the code for the end, which is all ones.
    (length < 8 && code == (1 << length) - 1).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let check = |coded: &[u8], expected: Option<&[u8]>| {
            let mut plain = Vec::new();
            let seen = decode(coded, &mut plain).map(|()| plain.as_slice());
            assert_eq!(seen, expected, "{coded:02x?}");
        };
        // RFC 7541, Appendix C.4 and C.6.
        let domain = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        check(&domain, Some(b"www.example.com"));
        check(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], Some(b"no-cache"));
        check(&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], Some(b"custom-key"));
        check(&[0x64, 0x02], Some(b"302"));
        check(&[], Some(b""));
        // Eight ones are too much padding, zeros are none, and the end itself is forbidden.
        check(&[0xff], None);
        check(&[0x64, 0x02, 0xff], None);
        check(&[0x00], None);
        check(&[0xff, 0xff, 0xff, 0xff], None);
        check(&[0xff, 0xff, 0xff, 0xfc, 0xff], None);
    }

    #[test]
    fn every_octet_has_its_code() {
        for symbol in 0..=u8::MAX {
            let length = usize::from(LENGTHS[usize::from(symbol)]);
            let at = CODES.symbols.iter().position(|other| *other == symbol).unwrap();
            let code = u64::from(CODES.first[length]) + (at - CODES.at[length]) as u64;
            // To the left of 64 bits, ones behind.
            let bits = code << (64 - length) | (u64::MAX >> length);
            let mut plain = Vec::new();
            decode(&bits.to_be_bytes()[..length.div_ceil(8)], &mut plain).unwrap();
            assert_eq!(plain, [symbol]);
        }
        // The one that is left is the end's.
        assert_eq!(CODES.first[LONGEST] + CODES.count[LONGEST], (1 << LONGEST) - 1);
    }
}
