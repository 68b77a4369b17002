//! Frame rates as rationals, and the constant rate a film is packaged at.
//!
//! 29.97 is 30000/1001 and nothing else: a rounded rate drifts by a frame in half a minute
//! and tears the segment grid apart.

use std::{cmp::Ordering, fmt};

/// Frames in a second, `num / den`, reduced; neither is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

/// Rates that screens and encoders expect, lowest first.
const STANDARD: [FrameRate; 14] = [
    FrameRate::whole(5),
    FrameRate::whole(10),
    FrameRate::whole(12),
    FrameRate { num: 25, den: 2 },
    FrameRate::whole(15),
    FrameRate::whole(20),
    FrameRate { num: 24_000, den: 1001 },
    FrameRate::whole(24),
    FrameRate::whole(25),
    FrameRate { num: 30_000, den: 1001 },
    FrameRate::whole(30),
    FrameRate::whole(50),
    FrameRate { num: 60_000, den: 1001 },
    FrameRate::whole(60),
];

/// Faster sources are divided: players and their screens gain nothing above.
const FASTEST: FrameRate = FrameRate::whole(60);
/// Slower sources repeat frames: below this a segment would hold next to nothing.
const SLOWEST: FrameRate = FrameRate::whole(5);
/// 24 and 24000/1001 lie 1/1001 apart; half of that tells them from each other.
const SAME_RATE: u128 = 2500;
/// What a container may round its average by, for a film that is constant all the same.
const CONSTANT: u128 = 200;

impl FrameRate {
    const fn whole(num: u32) -> Self {
        Self { num, den: 1 }
    }

    /// None where a part is zero.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let by = gcd(num, den);
        Some(Self { num: num / by, den: den / by })
    }

    /// Reads `30000/1001`, as ffprobe writes it; none for `0/0` and for what is no rate.
    pub fn parse(text: &str) -> Option<Self> {
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        Self::new(num.trim().parse().ok()?, den.trim().parse().ok()?)
    }

    /// Upper part of the fraction.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Lower part of the fraction.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// For display only.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// Ticks a second in which every frame lasts a whole number of ticks, at least 1,000 a
    /// second.
    pub const fn timescale(self) -> u32 {
        if self.num < 1000 { self.num * 1000 } else { self.num }
    }

    /// Ticks of [`FrameRate::timescale`] that a frame lasts.
    pub const fn frame_ticks(self) -> u32 {
        if self.num < 1000 { self.den * 1000 } else { self.den }
    }

    /// Frames in so many microseconds, to the nearest.
    pub fn frames_in_micros(self, micros: u64) -> u64 {
        let per = u128::from(self.den) * 1_000_000;
        let frames = (u128::from(micros) * u128::from(self.num) + per / 2) / per;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }

    /// Microseconds that a frame lasts, rounded up.
    pub fn frame_micros(self) -> u64 {
        (u64::from(self.den) * 1_000_000).div_ceil(u64::from(self.num))
    }

    /// Whether the two differ by less than one part in `parts`.
    fn within(self, other: Self, parts: u128) -> bool {
        let (a, b) = cross(self, other);
        a.abs_diff(b) * parts < b
    }

    fn divided(self, by: u32) -> Option<Self> {
        Self::new(self.num, self.den.checked_mul(by)?)
    }

    fn times(self, by: u32) -> Option<Self> {
        Self::new(self.num.checked_mul(by)?, self.den)
    }

    /// The standard rate this is a rounding of, else itself with parts of sane size.
    fn snapped(self) -> Self {
        if let Some(standard) = STANDARD.into_iter().find(|s| self.within(*s, SAME_RATE)) {
            return standard;
        }
        if self.num <= 120_000 && self.den <= 1001 {
            return self;
        }
        let thousandths =
            (u64::from(self.num) * 1000 + u64::from(self.den) / 2) / u64::from(self.den);
        u32::try_from(thousandths).ok().and_then(|num| Self::new(num, 1000)).unwrap_or(SLOWEST)
    }

    /// The lowest standard rate that loses no frame of an average like this.
    fn rounded_up(self) -> Self {
        STANDARD.into_iter().find(|s| *s >= self || self.within(*s, CONSTANT)).unwrap_or(FASTEST)
    }

    /// Divided or multiplied by a whole number until it lies between 5 and 60.
    fn bounded(self) -> Self {
        let mut by = 1;
        let mut rate = Some(self);
        while let Some(fast) = rate.filter(|r| *r > FASTEST && !r.within(FASTEST, SAME_RATE)) {
            by += 1;
            rate = self.divided(by).filter(|_| by < 64).or(Some(FASTEST)).filter(|r| *r < fast);
        }
        let mut by = 1;
        while rate.is_some_and(|r| r < SLOWEST) {
            by += 1;
            rate = self.times(by).filter(|_| by < 64).or(Some(SLOWEST));
        }
        rate.unwrap_or(FASTEST)
    }
}

/// A rate to package at, and whether the source's frames had to be spread anew for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constant {
    /// The constant rate.
    pub rate: FrameRate,
    /// The source's own rate varies.
    pub varied: bool,
}

/// Chooses the constant rate for a source.
///
/// `base` is the lowest rate that hits every timestamp (ffprobe's `r_frame_rate`), `average`
/// is frames over time. They agree where the source is constant.
pub fn constant(average: Option<FrameRate>, base: Option<FrameRate>) -> Option<Constant> {
    let (average, base) = match (average, base) {
        (Some(average), Some(base)) => (average, base),
        (Some(only), None) | (None, Some(only)) => (only, only),
        (None, None) => return None,
    };
    if average.within(base, CONSTANT) {
        return Some(Constant { rate: base.snapped().bounded().snapped(), varied: false });
    }
    // A base that a camera could have meant, with frames left out here and there.
    let plausible = base <= FrameRate::whole(61) && base > average && {
        let (base, average) = cross(base, average);
        base <= 2 * average
    };
    let rate = if plausible { base.snapped() } else { average.rounded_up() };
    Some(Constant { rate: rate.bounded().snapped(), varied: true })
}

fn cross(a: FrameRate, b: FrameRate) -> (u128, u128) {
    (u128::from(a.num) * u128::from(b.den), u128::from(b.num) * u128::from(a.den))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl PartialOrd for FrameRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FrameRate {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = cross(*self, *other);
        a.cmp(&b)
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(out, "{}", self.num)
        } else {
            write!(out, "{}/{}", self.num, self.den)
        }
    }
}
