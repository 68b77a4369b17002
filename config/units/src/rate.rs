//! Bits in a second.

use std::{fmt, str::FromStr};

use crate::number::{Grammar, ParseError};

static GRAMMAR: Grammar = Grammar {
    units: &[
        ("Tbit", 1_000_000_000_000),
        ("Gbit", 1_000_000_000),
        ("Mbit", 1_000_000),
        ("kbit", 1_000),
        ("bit", 1),
    ],
    listed: "bit, kbit, Mbit, Gbit and Tbit (powers of 1000), with or without \"/s\"",
    smallest: "bits in a second",
    example: "1.2Gbit",
    most: "18446744073709551615 bit",
    ignore_case: true,
};

/// Bits in a second: `"1.2Gbit"`, `"800 kbit/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BitRate(u64);

impl BitRate {
    /// `count` bits in a second.
    pub const fn bits_per_second(count: u64) -> Self {
        Self(count)
    }

    /// In bits in a second.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// In whole bytes in a second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0 / 8
    }
}

impl FromStr for BitRate {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let trimmed = text.trim();
        GRAMMAR.parse(trimmed.strip_suffix("/s").unwrap_or(trimmed)).map(Self)
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        GRAMMAR.print(self.0, "", out)
    }
}
