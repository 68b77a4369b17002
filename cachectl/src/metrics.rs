//! `cachectl metrics`: what the server counts, in units that people read.

pub(crate) mod exposition;

use crate::{
    Answer,
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, plain, table},
    time::{span, utc},
};
use exposition::{Family, Kind, Sample, Value, read};
use serde_json::json;
use weir_config_admin::METRICS;

pub(crate) fn metrics(client: &Client, grep: Option<&str>) -> Result<Answer, Failure> {
    let mut families = read(&client.text(METRICS)?);
    if let Some(grep) = grep {
        let wanted = grep.to_lowercase();
        for family in &mut families {
            if !family.name.to_lowercase().contains(&wanted) {
                family.samples.retain(|sample| sample.labelled().contains(&wanted));
            }
        }
    }
    families.retain(|family| !family.samples.is_empty());
    if let (Some(grep), true) = (grep, families.is_empty()) {
        let what = format!("no metric has `{grep}` in its name or labels");
        return Err(Failure::new(Code::NotFound, what)
            .why("a series appears when it first has a value")
            .next("cachectl metrics"));
    }
    let data = json!({ "metrics": families.iter().map(Family::json).collect::<Vec<_>>() });
    Ok(Answer::new(families.iter().map(render).collect(), &data))
}

fn render(family: &Family) -> String {
    let help = plain(&family.help);
    let name = plain(&family.name);
    let rows: Vec<_> = family
        .samples
        .iter()
        .map(|sample| vec![plain(&sample.labels_shown()), value(family, sample)])
        .collect();
    match family.samples.as_slice() {
        [one] if one.labels.is_empty() => format!("{name}  {}   {help}\n", value(family, one)),
        _ => format!("{name}   {help}\n{}", table("  ", &rows)),
    }
}

fn value(family: &Family, sample: &Sample) -> String {
    match &sample.value {
        Value::Number(number) => number_of(family, *number),
        Value::Histogram { count, .. } if *count == 0 => "0 times".to_owned(),
        Value::Histogram { count, sum, buckets } => {
            let show = |number: f64| in_unit(&family.name, number);
            let within = |part: f64| match quantile(buckets, *count, part) {
                Some(bound) => format!("within {}", show(bound)),
                None => "past the last bucket".to_owned(),
            };
            format!(
                "{}, mean {}, half {}, 99 % {}",
                counted(*count, "time"),
                show(sum / *count as f64),
                within(0.5),
                within(0.99),
            )
        }
    }
}

fn number_of(family: &Family, number: f64) -> String {
    match family.kind {
        // A point in time, by Prometheus' convention.
        Kind::Gauge if family.name.ends_with("_start_time_seconds") => utc(number as u64),
        _ => in_unit(&family.name, number),
    }
}

/// By the end of the name, which tells the unit.
fn in_unit(name: &str, number: f64) -> String {
    let name = name.trim_end_matches("_total");
    if !number.is_finite() {
        return number.to_string();
    }
    if name.ends_with("_bytes") && number >= 0.0 {
        return bytes(number as u64);
    }
    if name.ends_with("_seconds") {
        return seconds(number);
    }
    if number >= 0.0 && number.fract() == 0.0 { count(number as u64) } else { number.to_string() }
}

/// `250 µs`, `11 ms`
pub(crate) fn seconds(number: f64) -> String {
    match number {
        n if n <= 0.0 => format!("{n} s"),
        n if n < 0.001 => format!("{:.0} µs", n * 1e6),
        n if n < 0.01 => format!("{:.1} ms", n * 1e3),
        n if n < 1.0 => format!("{:.0} ms", n * 1e3),
        n if n < 60.0 => format!("{n:.2} s"),
        n => span(n as u64),
    }
}

/// The bound of the first bucket that holds that part of all; nothing past the last bound.
pub(crate) fn quantile(buckets: &[(f64, u64)], count: u64, part: f64) -> Option<f64> {
    let wanted = (count as f64 * part).ceil() as u64;
    let first = buckets.iter().find(|(_, below)| *below >= wanted);
    first.map(|(bound, _)| *bound).filter(|bound| bound.is_finite())
}

#[cfg(test)]
mod tests {
    use super::{in_unit, quantile};

    #[test]
    fn units_come_from_names() {
        let check =
            |name, number, expected: &str| assert_eq!(in_unit(name, number), expected, "{name}");
        check("edge_requests_total", 18_412.0, "18 412");
        check("edge_sent_bytes_total", 1_048_576.0, "1.00 MiB");
        check("edge_ttfb_seconds", 0.000_25, "250 µs");
        check("edge_ttfb_seconds", 0.0025, "2.5 ms");
        check("edge_ttfb_seconds", 0.25, "250 ms");
        check("process_cpu_seconds_total", 12.5, "12.50 s");
        check("edge_cache_recovery_seconds", 90.0, "1min 30s");
        check("x", 0.5, "0.5");
        check("x_bytes", -1.0, "-1");
        check("x_bytes", f64::NAN, "NaN");
    }

    #[test]
    fn parts_of_a_histogram() {
        let buckets = [(0.001, 50), (0.01, 98), (f64::INFINITY, 100)];
        let check = |part, expected| assert_eq!(quantile(&buckets, 100, part), expected);
        check(0.5, Some(0.001));
        check(0.51, Some(0.01));
        check(0.98, Some(0.01));
        check(0.99, None);
        assert_eq!(quantile(&[], 7, 0.5), None);
    }
}
