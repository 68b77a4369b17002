//! All that is asked of a server for a frame: its metrics, its verdict, and what is hot and slow.

use weir_config_admin::{METRICS, STATUS, Status, TOP, Top};

use crate::{
    client::Client,
    failure::Failure,
    metrics::exposition::{Family, Value, read},
};

/// One look.
pub(super) struct Snapshot {
    pub(super) status: Status,
    pub(super) top: Top,
    families: Vec<Family>,
}

impl Snapshot {
    pub(super) fn take(client: &Client) -> Result<Self, Failure> {
        Ok(Self {
            status: client.get(STATUS)?,
            families: read(&client.text(METRICS)?),
            top: client.get(TOP)?,
        })
    }

    /// The sum of a family's series whose labels `keep`.
    pub(super) fn sum(&self, name: &str, keep: impl Fn(&str, &str) -> bool) -> f64 {
        let samples = self.family(name).into_iter().flat_map(|family| &family.samples);
        let kept =
            samples.filter(|sample| sample.labels.iter().all(|(name, value)| keep(name, value)));
        kept.map(|sample| match sample.value {
            Value::Number(number) => number,
            Value::Histogram { count, .. } => count as f64,
        })
        .sum()
    }

    /// All of a family.
    pub(super) fn all(&self, name: &str) -> f64 {
        self.sum(name, |_, _| true)
    }

    /// The sum where one label has that value.
    pub(super) fn of(&self, name: &str, label: &str, wanted: &str) -> f64 {
        self.sum(name, |name, value| name != label || value == wanted)
    }

    /// Values of a label, in the order of the server.
    pub(super) fn values(&self, name: &str, label: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for sample in self.family(name).into_iter().flat_map(|family| &family.samples) {
            for (_, value) in sample.labels.iter().filter(|(name, _)| name == label) {
                if !found.contains(value) {
                    found.push(value.clone());
                }
            }
        }
        found
    }

    /// Bounds and how many are at most that, of all series of a histogram.
    pub(super) fn buckets(&self, name: &str) -> Vec<(f64, u64)> {
        let mut all: Vec<(f64, u64)> = Vec::new();
        for sample in self.family(name).into_iter().flat_map(|family| &family.samples) {
            let Value::Histogram { buckets, .. } = &sample.value else { continue };
            for (bound, count) in buckets {
                match all.iter_mut().find(|(known, _)| known == bound) {
                    Some((_, sum)) => *sum += count,
                    None => all.push((*bound, *count)),
                }
            }
        }
        all
    }

    fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }
}
