//! Metric families declared once, and a registry that is handed down from `main`.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows; its name ends with `_total`.
    Counter,
    /// Goes up and down, whole numbers.
    Gauge,
    /// Goes up and down, with fractions.
    Ratio,
    /// Counted in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// A metric family as it is declared: a constant in one table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// `edge_requests_total`
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// Names of its labels. Values come from enums, never from a URL, an address or a session.
    pub labels: &'static [&'static str],
}

/// The registry of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// For collectors of somebody else's.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A counter without labels.
    ///
    /// # Panics
    /// When the family is of another kind, has labels, or was taken before: a mistake of the
    /// program. So do the others.
    pub fn counter(&self, family: &Family) -> IntCounter {
        expect(family, family.kind == Kind::Counter && family.labels.is_empty());
        self.add(family, IntCounter::with_opts(opts(family)))
    }

    /// A counter for each combination of labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn counters(&self, family: &Family) -> IntCounterVec {
        expect(family, family.kind == Kind::Counter && !family.labels.is_empty());
        self.add(family, IntCounterVec::new(opts(family), family.labels))
    }

    /// A gauge without labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn gauge(&self, family: &Family) -> IntGauge {
        expect(family, family.kind == Kind::Gauge && family.labels.is_empty());
        self.add(family, IntGauge::with_opts(opts(family)))
    }

    /// A gauge for each combination of labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn gauges(&self, family: &Family) -> IntGaugeVec {
        expect(family, family.kind == Kind::Gauge && !family.labels.is_empty());
        self.add(family, IntGaugeVec::new(opts(family), family.labels))
    }

    /// A gauge with fractions, without labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn ratio(&self, family: &Family) -> Gauge {
        expect(family, family.kind == Kind::Ratio && family.labels.is_empty());
        self.add(family, Gauge::with_opts(opts(family)))
    }

    /// A gauge with fractions for each combination of labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn ratios(&self, family: &Family) -> GaugeVec {
        expect(family, family.kind == Kind::Ratio && !family.labels.is_empty());
        self.add(family, GaugeVec::new(opts(family), family.labels))
    }

    /// A histogram without labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn histogram(&self, family: &Family) -> Histogram {
        expect(family, family.labels.is_empty());
        self.add(family, Histogram::with_opts(buckets(family)))
    }

    /// A histogram for each combination of labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn histograms(&self, family: &Family) -> HistogramVec {
        expect(family, !family.labels.is_empty());
        self.add(family, HistogramVec::new(buckets(family), family.labels))
    }

    /// Everything, as Prometheus reads it. Families without a value yet are left out.
    pub fn encode(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("families were checked when they were registered, and a string takes all")
    }

    fn add<C: Collector + Clone + 'static>(
        &self,
        family: &Family,
        made: prometheus::Result<C>,
    ) -> C {
        let name = family.name;
        let collector = made.unwrap_or_else(|error| panic!("metric family {name}: {error}"));
        if let Err(error) = self.registry.register(Box::new(collector.clone())) {
            panic!("metric family {name}: {error}");
        }
        collector
    }
}

fn expect(family: &Family, holds: bool) {
    assert!(holds, "metric family {}: asked for as another kind", family.name);
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn buckets(family: &Family) -> HistogramOpts {
    let Kind::Histogram(bounds) = family.kind else {
        panic!("metric family {}: asked for as another kind", family.name)
    };
    HistogramOpts::new(family.name, family.help).buckets(bounds.to_vec())
}

/// What is wrong with a declaration by the rules of the house and of Prometheus; empty is good.
/// The tables in [`crate::families`] are held to it by a test.
pub fn lint(family: &Family) -> Vec<String> {
    const NEVER: [&str; 9] =
        ["url", "path", "client", "client_ip", "ip", "session", "sid", "token", "user"];
    let mut found = Vec::new();
    let name = family.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
        found.push(format!("{name}: lower case, digits and `_` only"));
    }
    if (family.kind == Kind::Counter) != name.ends_with("_total") {
        found.push(format!("{name}: counters, and only they, end with `_total`"));
    }
    for unit in ["_ms", "_millis", "_micros", "_us", "_minutes", "_percent", "_kib", "_mib"] {
        if name.trim_end_matches("_total").ends_with(unit) {
            found.push(format!("{name}: base units only, not `{unit}`"));
        }
    }
    if let Kind::Histogram(bounds) = family.kind
        && (bounds.is_empty() || !bounds.is_sorted_by(|a, b| a < b))
    {
        found.push(format!("{name}: bounds must grow"));
    }
    if !family.help.ends_with('.') {
        found.push(format!("{name}: its help is no sentence"));
    }
    for label in family.labels {
        if NEVER.contains(label) || !label.chars().all(plain) {
            found.push(format!("{name}: label `{label}` may not be"));
        }
    }
    found
}
