//! A decimal number followed by a unit, kept exact: no floating point on the way.

use thiserror::Error;

/// Why a size, rate or duration could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Nothing but white space.
    #[error("is empty; write a number and a unit, like \"{example}\"")]
    Empty {
        /// A value that would be right.
        example: &'static str,
    },
    /// The text does not start with a decimal number.
    #[error("\"{text}\" does not start with a number; write it like \"{example}\"")]
    NoNumber {
        /// The text as it stands.
        text: String,
        /// A value that would be right.
        example: &'static str,
    },
    /// A number without a unit.
    #[error("\"{text}\" has no unit; units are {units}")]
    NoUnit {
        /// The text as it stands.
        text: String,
        /// The units that are known.
        units: &'static str,
    },
    /// A unit that does not exist here.
    #[error("\"{unit}\" is no unit; units are {units}")]
    UnknownUnit {
        /// The unit as it stands.
        unit: String,
        /// The units that are known.
        units: &'static str,
    },
    /// More than 64 bits hold.
    #[error("\"{text}\" is too large; the most is {most}")]
    TooLarge {
        /// The text as it stands.
        text: String,
        /// The largest value.
        most: &'static str,
    },
    /// A fraction of the smallest unit.
    #[error("\"{text}\" is no whole number of {smallest}")]
    Fraction {
        /// The text as it stands.
        text: String,
        /// The smallest unit.
        smallest: &'static str,
    },
}

/// What one kind of quantity accepts.
pub(crate) struct Grammar {
    /// Unit and how many of the smallest it holds. The first that fits is used to print.
    pub(crate) units: &'static [(&'static str, u64)],
    /// The same for the reader of an error.
    pub(crate) listed: &'static str,
    pub(crate) smallest: &'static str,
    pub(crate) example: &'static str,
    pub(crate) most: &'static str,
    /// Whether `MIB` stands for `MiB`. Not for durations: `M` could be minutes or months.
    pub(crate) ignore_case: bool,
}

impl Grammar {
    /// Reads `text` as a count of the smallest unit.
    pub(crate) fn parse(&self, text: &str) -> Result<u64, ParseError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(ParseError::Empty { example: self.example });
        }
        let end = trimmed
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let unit = unit.trim_start();
        let no_number = || ParseError::NoNumber { text: shortened(text), example: self.example };
        let (whole, fraction) = split_decimal(number).ok_or_else(no_number)?;
        if unit.is_empty() {
            // Zero is the same in every unit.
            return if is_zero(whole) && is_zero(fraction) {
                Ok(0)
            } else {
                Err(ParseError::NoUnit { text: shortened(text), units: self.listed })
            };
        }
        let scale = self
            .scale(unit)
            .ok_or_else(|| ParseError::UnknownUnit { unit: shortened(unit), units: self.listed })?;
        let too_large = || ParseError::TooLarge { text: shortened(text), most: self.most };
        let whole = digits(whole)
            .ok_or_else(too_large)?
            .checked_mul(u128::from(scale))
            .ok_or_else(too_large)?;
        let part = self.fraction(fraction, scale).ok_or_else(|| ParseError::Fraction {
            text: shortened(text),
            smallest: self.smallest,
        })?;
        whole.checked_add(part).and_then(|sum| u64::try_from(sum).ok()).ok_or_else(too_large)
    }

    /// Prints `count` with the largest unit that keeps it a whole number.
    pub(crate) fn print(
        &self,
        count: u64,
        separator: &str,
        out: &mut std::fmt::Formatter<'_>,
    ) -> std::fmt::Result {
        let fits = |(_, scale): &&(&str, u64)| count.is_multiple_of(*scale) && count >= *scale;
        let smallest = (self.units_last(), 1);
        let (unit, scale) = self.units.iter().find(fits).unwrap_or(&smallest);
        out.pad(&format!("{}{separator}{unit}", count / scale))
    }

    fn units_last(&self) -> &'static str {
        self.units.last().map_or("", |(unit, _)| unit)
    }

    fn scale(&self, unit: &str) -> Option<u64> {
        let same = |known: &str| {
            if self.ignore_case { known.eq_ignore_ascii_case(unit) } else { known == unit }
        };
        self.units.iter().find(|(known, _)| same(known)).map(|(_, scale)| *scale)
    }

    /// `0.fraction × scale`, or nothing if that is not whole.
    fn fraction(&self, fraction: &str, scale: u64) -> Option<u128> {
        let fraction = fraction.trim_end_matches(['0', '_']);
        if fraction.is_empty() {
            return Some(0);
        }
        let value = digits(fraction)?;
        let places = fraction.bytes().filter(u8::is_ascii_digit).count();
        let below = 10u128.checked_pow(u32::try_from(places).ok()?)?;
        let product = value.checked_mul(u128::from(scale))?;
        product.is_multiple_of(below).then_some(product / below)
    }
}

/// Splits `1_000.5` at its point; both sides may hold `_` between digits only.
fn split_decimal(number: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let sound = |side: &str| {
        side.starts_with(|c: char| c.is_ascii_digit())
            && side.ends_with(|c: char| c.is_ascii_digit())
            && side.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    };
    (sound(whole) && sound(fraction)).then_some((whole, fraction))
}

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|b| b == b'0' || b == b'_')
}

fn digits(text: &str) -> Option<u128> {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .try_fold(0u128, |sum, digit| sum.checked_mul(10)?.checked_add(u128::from(digit - b'0')))
}

/// Errors carry what was written, but never a whole file that stands in the wrong place.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let mut kept: String = text.chars().take(MOST).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
