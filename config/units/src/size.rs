//! Bytes.

use std::{fmt, str::FromStr};

use crate::number::{Grammar, ParseError};

static GRAMMAR: Grammar = Grammar {
    units: &[
        ("EiB", 1 << 60),
        ("EB", 1_000_000_000_000_000_000),
        ("PiB", 1 << 50),
        ("PB", 1_000_000_000_000_000),
        ("TiB", 1 << 40),
        ("TB", 1_000_000_000_000),
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("kB", 1_000),
        ("B", 1),
    ],
    listed: "B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024)",
    smallest: "bytes",
    example: "512 MiB",
    most: "18446744073709551615 B",
    ignore_case: true,
};

/// A number of bytes: `"512 MiB"`, `"10 GB"`, `"1.5GiB"`. A unit is required (but for 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// `count` bytes.
    pub const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// `count` times 1024 bytes.
    ///
    /// # Panics
    /// When the product does not fit; meant for constants.
    pub const fn kib(count: u64) -> Self {
        Self(count.checked_mul(1 << 10).expect("a constant that fits 64 bits"))
    }

    /// `count` times 1024² bytes.
    ///
    /// # Panics
    /// When the product does not fit; meant for constants.
    pub const fn mib(count: u64) -> Self {
        Self(count.checked_mul(1 << 20).expect("a constant that fits 64 bits"))
    }

    /// `count` times 1024³ bytes.
    ///
    /// # Panics
    /// When the product does not fit; meant for constants.
    pub const fn gib(count: u64) -> Self {
        Self(count.checked_mul(1 << 30).expect("a constant that fits 64 bits"))
    }

    /// In bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// For people: three digits and a unit, `"1.46 GiB"`. Does not parse back to the same value.
    pub fn rounded(self) -> String {
        const STEPS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let step = (self.0.max(1).ilog2() / 10) as usize;
        if step == 0 {
            return format!("{} B", self.0);
        }
        let value = self.0 as f64 / 2f64.powi(10 * step as i32);
        let places = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{value:.places$} {}", STEPS[step])
    }
}

impl FromStr for ByteSize {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        GRAMMAR.parse(text).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        GRAMMAR.print(self.0, " ", out)
    }
}
