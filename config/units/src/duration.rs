//! Stretches of time.

use std::{fmt, str::FromStr, time};

use crate::number::{Grammar, ParseError};

static GRAMMAR: Grammar = Grammar {
    units: &[
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        // Read, never printed: `min` stands first.
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("µs", 1_000),
        ("ns", 1),
    ],
    listed: "ns, us, ms, s, min (or m), h and d",
    smallest: "nanoseconds",
    example: "2s",
    most: "213503d",
    ignore_case: false,
};

/// A stretch of time: `"250ms"`, `"2s"`, `"1.5h"`, `"7d"`. At most about 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

impl Duration {
    /// The nearest that fits: what is longer than about 584 years is cut.
    pub fn saturating_from(value: time::Duration) -> Self {
        Self(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The same for the standard library.
    pub const fn as_std(self) -> time::Duration {
        time::Duration::from_nanos(self.0)
    }

    /// In whole seconds.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

impl From<Duration> for time::Duration {
    fn from(value: Duration) -> Self {
        value.as_std()
    }
}

impl FromStr for Duration {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        GRAMMAR.parse(text).map(Self)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { out.pad("0s") } else { GRAMMAR.print(self.0, "", out) }
    }
}
