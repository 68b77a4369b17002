//! From two moments to the eight figures: pure, and the one place where they are computed.

use weir_config_admin::Overview;
use weir_config_telemetry::{Kind, families::edge::TTFB};

use super::{Bounds, Sample, sample::BUCKETS};

/// What happened between two moments, and what stands at the second.
pub fn overview(from: &Sample, to: &Sample, bounds: &Bounds) -> Overview {
    let over_s = to.at_ms.saturating_sub(from.at_ms) as f64 / 1e3;
    let rate = |from: u64, to: u64| match over_s > 0.0 {
        true => to.saturating_sub(from) as f64 / over_s,
        false => 0.0,
    };
    let part = |(from, to): (u64, u64), (whole_from, whole_to): (u64, u64)| {
        ratio(to.saturating_sub(from), whole_to.saturating_sub(whole_from))
    };
    let resources = resources(from, to, bounds);
    let known = resources.iter().filter_map(|(name, used)| Some((*name, (*used)?)));
    let scarcest = known.max_by(|(_, a), (_, b)| a.total_cmp(b));
    Overview {
        over_s,
        traffic: rate(from.bytes, to.bytes),
        hit_ratio: part((from.hit_bytes, to.hit_bytes), (from.asked_bytes, to.asked_bytes)),
        ttfb_p99_s: within(0.99, &from.ttfb, &to.ttfb),
        error_ratio: part((from.errors, to.errors), (from.requests, to.requests)),
        origin_load: rate(from.origin_bytes, to.origin_bytes),
        disks: ratio(to.disks_in_use, to.disks),
        memory: ratio(to.usage.resident_bytes, bounds.memory_bytes),
        saturation: scarcest.map(|(_, used)| used),
        requests: rate(from.requests, to.requests),
        origin_requests: rate(from.origin_requests, to.origin_requests),
        resident_bytes: to.usage.resident_bytes,
        scarcest: scarcest.map(|(name, _)| name.to_owned()),
    }
}

/// The figures in the order of `weir_config_telemetry::overview::FIGURES`, in as many digits as
/// a curve shows.
pub fn row(overview: &Overview) -> [Option<f64>; 8] {
    let Overview {
        traffic,
        hit_ratio,
        ttfb_p99_s,
        error_ratio,
        origin_load,
        disks,
        memory,
        saturation,
        ..
    } = *overview;
    [
        Some(traffic),
        hit_ratio,
        ttfb_p99_s,
        error_ratio,
        Some(origin_load),
        disks,
        memory,
        saturation,
    ]
    .map(|value| value.map(rounded))
}

/// How far each resource is used.
pub fn resources(from: &Sample, to: &Sample, bounds: &Bounds) -> [(&'static str, Option<f64>); 3] {
    let wall = to.at_ms.saturating_sub(from.at_ms) as f64 * f64::from(bounds.processors);
    let worked = to.usage.cpu.saturating_sub(from.usage.cpu).as_millis() as f64;
    [
        ("cpu", (wall > 0.0).then(|| worked / wall)),
        ("fills", ratio(to.fills, bounds.fills)),
        ("files", ratio(to.usage.files, to.usage.files_max)),
    ]
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The bound below which that part of the requests lies, between the bounds of its bucket in
/// proportion, as Prometheus' `histogram_quantile` does it. Past the last bound: that bound.
fn within(part: f64, from: &[u64; BUCKETS], to: &[u64; BUCKETS]) -> Option<f64> {
    let Kind::Histogram(bounds) = TTFB.kind else { return None };
    let below: [u64; BUCKETS] = std::array::from_fn(|at| to[at].saturating_sub(from[at]));
    let all = below[BUCKETS - 1];
    if all == 0 {
        return None;
    }
    let rank = part * all as f64;
    let at = below.iter().position(|below| *below as f64 >= rank)?;
    let Some(upper) = bounds.get(at) else { return bounds.last().copied() };
    let (lower, before) = match at {
        0 => (0.0, 0),
        at => (bounds[at - 1], below[at - 1]),
    };
    let inside = below[at].saturating_sub(before) as f64;
    let share = if inside > 0.0 { (rank - before as f64) / inside } else { 1.0 };
    Some(lower + (upper - lower) * share)
}

/// Four digits that count.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_config_lifecycle::Usage;
    use weir_config_telemetry::overview::FIGURES;

    use super::*;

    const BOUNDS: Bounds = Bounds { memory_bytes: 1_000, fills: 8, processors: 2 };

    fn sample(at_ms: u64) -> Sample {
        let usage = Usage { resident_bytes: 500, files: 10, files_max: 1_000, ..Usage::default() };
        Sample { at_ms, usage, ..Sample::default() }
    }

    #[test]
    fn what_happened_between_two_moments() {
        let from = Sample { bytes: 1_000, requests: 10, errors: 1, ..sample(1_000) };
        let mut to = Sample {
            bytes: 21_000,
            asked_bytes: 16_000,
            hit_bytes: 12_000,
            requests: 30,
            errors: 2,
            origin_bytes: 4_000,
            origin_requests: 3,
            disks: 4,
            disks_in_use: 3,
            fills: 2,
            ..sample(3_000)
        };
        to.usage.cpu = Duration::from_millis(3_000);
        let seen = overview(&from, &to, &BOUNDS);
        let expected = Overview {
            over_s: 2.0,
            traffic: 10_000.0,
            hit_ratio: Some(0.75),
            ttfb_p99_s: None,
            error_ratio: Some(0.05),
            origin_load: 2_000.0,
            disks: Some(0.75),
            memory: Some(0.5),
            saturation: Some(0.75),
            requests: 10.0,
            origin_requests: 1.5,
            resident_bytes: 500,
            scarcest: Some("cpu".to_owned()),
        };
        assert_eq!(seen, expected);
    }

    #[test]
    fn nothing_happened() {
        let seen = overview(&sample(1_000), &sample(2_000), &BOUNDS);
        assert_eq!((seen.hit_ratio, seen.error_ratio, seen.disks), (None, None, None));
        assert_eq!(
            (seen.traffic, seen.saturation, seen.scarcest.as_deref()),
            (0.0, Some(0.01), Some("files"))
        );
        // No time passed, and nothing is known of the host.
        let none = overview(&Sample::default(), &Sample::default(), &Bounds::default());
        assert_eq!((none.traffic, none.memory, none.saturation), (0.0, None, None));
    }

    #[test]
    fn quantiles() {
        let check = |counts: &[u64], expected: Option<f64>| {
            // Cumulative, the rest of the buckets like the last one given.
            let last = *counts.last().unwrap();
            let to = std::array::from_fn(|at| counts.get(at).copied().unwrap_or(last));
            assert_eq!(within(0.99, &[0; BUCKETS], &to), expected, "{counts:?}");
        };
        check(&[0], None);
        check(&[100], Some(0.000_25 * 0.99));
        check(&[0, 100], Some(0.000_25 + 0.000_25 * 0.99));
        check(&[99, 100], Some(0.000_25));
        // All past the last bound.
        let mut beyond = [0; BUCKETS];
        beyond[BUCKETS - 1] = 7;
        assert_eq!(within(0.99, &[0; BUCKETS], &beyond), Some(10.0));
        assert_eq!(within(0.99, &beyond, &beyond), None);
    }

    /// The names of the table are the fields of the answer, and a row has their order.
    #[test]
    fn a_row_has_the_order_of_the_table() {
        let seen = Overview {
            traffic: 1.0,
            hit_ratio: Some(2.0),
            ttfb_p99_s: Some(3.0),
            error_ratio: Some(4.0),
            origin_load: 5.0,
            disks: Some(6.0),
            memory: Some(7.0),
            saturation: Some(8.0),
            ..Overview::default()
        };
        let fields = serde_json::to_value(&seen).unwrap();
        for (figure, value) in FIGURES.iter().zip(row(&seen)) {
            assert_eq!(fields[figure.id].as_f64(), value, "{}", figure.id);
        }
    }

    #[test]
    fn digits() {
        let check = |value, expected| assert_eq!(rounded(value), expected);
        check(0.0, 0.0);
        check(0.012_345_6, 0.012_35);
        check(123_456.0, 123_500.0);
        check(f64::NAN, 0.0);
    }
}
