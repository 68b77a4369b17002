//! Reads Prometheus' text format, version 0.0.4. A line that is none of it is passed over: a
//! newer server may say more than is understood here.

use serde_json::json;

/// Names and values, in the order of the server.
type Labels = Vec<(String, String)>;

/// What a family counts, as far as it is shown otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Untyped,
}

/// A metric and its series.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

/// One series.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Without a bucket's bound.
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Histogram {
        count: u64,
        sum: f64,
        /// Bounds and how many are at most that, in the order of the server.
        buckets: Vec<(f64, u64)>,
    },
}

impl Family {
    fn named(name: &str) -> Self {
        let (name, help) = (name.to_owned(), String::new());
        Self { name, help, kind: Kind::Untyped, samples: Vec::new() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Untyped => "untyped",
        };
        let series: Vec<_> = self.samples.iter().map(Sample::json).collect();
        json!({ "name": self.name, "kind": kind, "help": self.help, "series": series })
    }
}

impl Sample {
    /// `result="miss",proto="h2"`, in small letters.
    pub(crate) fn labelled(&self) -> String {
        let label = |(name, value): &(String, String)| format!("{name}=\"{value}\"");
        self.labels.iter().map(label).collect::<Vec<_>>().join(",").to_lowercase()
    }

    /// `result miss, proto h2`
    pub(crate) fn labels_shown(&self) -> String {
        let label = |(name, value): &(String, String)| format!("{name} {value}");
        self.labels.iter().map(label).collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> serde_json::Value {
        let labels: serde_json::Map<_, _> =
            self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        match &self.value {
            // Whole numbers as such: counters are, and not every reader has an exponent.
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                json!({ "labels": labels, "value": *number as i64 })
            }
            Value::Number(number) => json!({ "labels": labels, "value": number }),
            Value::Histogram { count, sum, buckets } => json!({
                "labels": labels, "count": count, "sum": sum,
                // JSON has no infinity; the last bucket is `count`.
                "buckets": buckets.iter().filter(|(bound, _)| bound.is_finite())
                    .collect::<Vec<_>>(),
            }),
        }
    }
}

/// All families, in the order of the server.
pub(crate) fn read(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            about(comment, &mut families);
        } else if let Some((name, labels, number)) = sample(line) {
            add(name, labels, number, &mut families);
        }
    }
    families
}

fn family<'f>(name: &str, families: &'f mut Vec<Family>) -> &'f mut Family {
    let at = match families.iter().rposition(|family| family.name == name) {
        Some(at) => at,
        None => {
            families.push(Family::named(name));
            families.len() - 1
        }
    };
    &mut families[at]
}

fn about(comment: &str, families: &mut Vec<Family>) {
    let mut words = comment.splitn(3, ' ');
    let (Some(what), Some(name)) = (words.next(), words.next()) else { return };
    let rest = words.next().unwrap_or_default();
    match what {
        "HELP" => family(name, families).help = unescaped(rest),
        "TYPE" => {
            family(name, families).kind = match rest {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                _ => Kind::Untyped,
            };
        }
        _ => {}
    }
}

fn add(name: &str, labels: Labels, number: f64, families: &mut Vec<Family>) {
    // Parts of a histogram are named after it.
    for end in ["_bucket", "_sum", "_count"] {
        let whole = name.strip_suffix(end).and_then(|name| {
            families
                .iter_mut()
                .rfind(|family| family.name == name && family.kind == Kind::Histogram)
        });
        if let Some(histogram) = whole {
            return part(end, labels, number, histogram);
        }
    }
    let value = Value::Number(number);
    family(name, families).samples.push(Sample { labels, value });
}

fn part(end: &str, mut labels: Labels, number: f64, histogram: &mut Family) {
    let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
    let at = histogram.samples.iter().position(|sample| sample.labels == labels);
    let at = at.unwrap_or_else(|| {
        let value = Value::Histogram { count: 0, sum: 0.0, buckets: Vec::new() };
        histogram.samples.push(Sample { labels, value });
        histogram.samples.len() - 1
    });
    let Value::Histogram { count, sum, buckets } = &mut histogram.samples[at].value else { return };
    match (end, bound.and_then(|bound| bound.parse().ok())) {
        ("_bucket", Some(bound)) => buckets.push((bound, number as u64)),
        ("_sum", _) => *sum = number,
        ("_count", _) => *count = number as u64,
        _ => {}
    }
}

/// `name{label="value",…} number`, and perhaps a time, which is not read.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let number = rest.split_ascii_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some((name, labels, number))
}

/// The labels up to their closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        labels.push((name.to_owned(), unescaped(&value[..end])));
        rest = &value[end + 1..];
    }
}

/// `\\`, `\n` and `\"` as what they mean.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c == '\\').then(|| chars.next()) {
            None => out.push(c),
            Some(Some('n')) => out.push('\n'),
            Some(escaped) => out.push(escaped.unwrap_or('\\')),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Value, read};

    #[test]
    fn every_form_of_a_line() {
        let families = read(concat!(
            "# HELP a Says \\\\ and\\nmore.\n# TYPE a counter\n",
            "a{x=\"1\",y=\"q\\\"},{\"} 7 1700000000\na 2.5e3\n",
            "# TYPE h histogram\nh_bucket{r=\"m\",le=\"0.5\"} 1\nh_bucket{r=\"m\",le=\"+Inf\"} 2\n",
            "h_sum{r=\"m\"} 3.25\nh_count{r=\"m\"} 2\n",
            "untyped_count NaN\n",
            "# EOF\nbroken{x=\"1 2\nalso broken\n{} 1\n\nlast -1"
        ));
        let names: Vec<_> = families.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["a", "h", "untyped_count", "last"]);
        let a = &families[0];
        assert_eq!((a.help.as_str(), a.samples.len()), ("Says \\ and\nmore.", 2));
        assert_eq!(a.samples[0].labelled(), "x=\"1\",y=\"q\"},{\"");
        assert_eq!(a.samples[1].value, Value::Number(2500.0));
        let buckets = vec![(0.5, 1), (f64::INFINITY, 2)];
        assert_eq!(families[1].samples[0].value, Value::Histogram { count: 2, sum: 3.25, buckets });
        assert_eq!(families[1].samples[0].labels_shown(), "r m");
        assert_eq!(families[3].samples[0].value, Value::Number(-1.0));
        let json = families[1].json();
        assert_eq!(json["series"][0]["buckets"], serde_json::json!([[0.5, 1]]));
        assert!(families[2].json()["series"][0]["value"].is_null());
    }
}
