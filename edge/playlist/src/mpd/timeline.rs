//! When segments begin: `SegmentTimeline`, or a duration for all (ISO/IEC 23009-1 §5.3.9.6).

use super::tree::Element;

/// One `S`.
#[derive(Debug)]
pub(super) struct Run {
    time: Option<u64>,
    /// Without a length there are no segments.
    lasts: Option<u64>,
    repeats: i64,
}

/// What a `SegmentTimeline` says.
pub(super) fn runs(timeline: &Element) -> Vec<Run> {
    let run = |run: &Element| Run {
        time: run.number("t"),
        lasts: run.number("d").filter(|lasts| *lasts > 0),
        repeats: run.number("r").unwrap_or(0),
    };
    timeline.all("S").map(run).collect()
}

/// Times of the segments, in units of the timescale, up to `most` of them.
pub(super) fn times(runs: &[Run], period_end: Option<u64>, most: usize) -> Vec<u64> {
    let mut found = Vec::new();
    let mut at = 0_u64;
    for (index, run) in runs.iter().enumerate() {
        at = run.time.unwrap_or(at);
        let Some(lasts) = run.lasts else { continue };
        let count = match u64::try_from(run.repeats) {
            Ok(repeats) => repeats.saturating_add(1),
            // As often as fits, up to the next one's time or the end of the period.
            Err(_) => {
                let next = runs.get(index + 1).and_then(|next| next.time);
                let end = next.or(period_end).unwrap_or(at);
                end.saturating_sub(at).div_ceil(lasts).max(1)
            }
        };
        for _ in 0..count {
            if found.len() >= most {
                return found;
            }
            found.push(at);
            at = at.saturating_add(lasts);
        }
    }
    found
}

/// `xs:duration` in milliseconds, as far as manifests use it: no years and months, whose length
/// nobody knows.
pub(super) fn millis(text: &str) -> Option<u64> {
    let rest = text.trim().strip_prefix('P')?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    let mut total = 0_u64;
    for (mut part, units) in [(days, &[('D', 86_400_000)][..]), (time, &TIME[..])] {
        for (unit, worth) in units {
            let Some((number, rest)) = part.split_once(*unit) else { continue };
            total = total.checked_add(scaled(number, *worth)?)?;
            part = rest;
        }
        if !part.is_empty() {
            return None;
        }
    }
    Some(total)
}

const TIME: [(char, u64); 3] = [('H', 3_600_000), ('M', 60_000), ('S', 1000)];

/// A decimal times `worth`, rounded up.
fn scaled(number: &str, worth: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || number.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = &part[..part.len().min(9)];
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let part: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    whole.checked_mul(worth)?.checked_add((part * worth).div_ceil(scale))
}

#[cfg(test)]
mod tests {
    use super::{super::tree, *};

    #[test]
    fn timelines() {
        let check = |inner: &str, end: Option<u64>, expected: &[u64]| {
            let timeline = tree::read(&format!("<T>{inner}</T>")).unwrap();
            assert_eq!(times(&runs(&timeline), end, 9), expected, "{inner}");
        };
        check("<S d='4'/><S d='4'/>", None, &[0, 4]);
        check("<S t='8' d='4' r='2'/><S d='2'/>", None, &[8, 12, 16, 20]);
        check("<S d='4' r='-1'/><S t='10' d='4'/>", None, &[0, 4, 8, 10]);
        check("<S d='4' r='-1'/>", Some(9), &[0, 4, 8]);
        check("<S d='4' r='-1'/>", None, &[0]);
        check("<S d='0' r='9'/><S/><S d='x'/>", None, &[]);
        check("<S t='18446744073709551615' d='9' r='1'/>", None, &[u64::MAX, u64::MAX]);
        let timeline = tree::read("<T><S d='1' r='4000000000'/></T>").unwrap();
        assert_eq!(times(&runs(&timeline), None, 7).len(), 7);
        assert_eq!(times(&runs(&timeline), None, 0).len(), 0);
    }

    #[test]
    fn durations() {
        let check =
            |text: &str, expected: Option<u64>| assert_eq!(millis(text), expected, "{text}");
        check("PT60S", Some(60_000));
        check("PT1M0.5S", Some(60_500));
        check("P1DT2H3M4.0005S", Some(93_784_001));
        check("PT0H0M.25S", Some(250));
        check("PT", Some(0));
        check("P1Y", None);
        check("60", None);
        check("PT1X", None);
        check("PTS", None);
        check("PT99999999999999999999S", None);
        check("PT18446744073709551615H", None);
    }
}
