//! What a page is told: everything when it comes, and each second what may have changed.

use bytes::Bytes;
use serde::Serialize;
use weir_config_admin::{CacheStats, DiskReport, Overview, Status};
use weir_config_telemetry::overview::FIGURES;

use super::super::{cache, disks, status};
use crate::{
    live::{
        self, FOLLOWERS,
        ring::{Row, STEP, STEPS},
    },
    node::Node,
};

/// What may have changed.
#[derive(Debug, Serialize)]
struct Tick {
    /// Unix milliseconds, by the clock of the node.
    time_ms: u64,
    /// The eight figures of the last seconds; those of the last minute are in the status.
    now: Option<Overview>,
    /// The last point of the curves that is whole, and its number.
    step: u64,
    point: Option<Row>,
    status: Status,
    cache: CacheStats,
    disks: Vec<DiskReport>,
    refusals: Vec<Refusal>,
    followers: usize,
}

/// How often something was refused since the start.
#[derive(Debug, Serialize)]
struct Refusal {
    /// The metric that counts it.
    metric: &'static str,
    /// Its label.
    reason: String,
    count: u64,
}

/// What a page has to know once.
#[derive(Debug, Serialize)]
struct Begin {
    figures: Vec<Described>,
    /// Seconds of a point of the curves.
    step_s: u64,
    /// Points of a curve.
    steps: u64,
    /// The points that are there, up to the number in the tick.
    history: Vec<Row>,
    followers_max: usize,
    #[serde(flatten)]
    tick: Tick,
}

/// One of the eight figures.
#[derive(Debug, Serialize)]
struct Described {
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    meaning: &'static str,
}

/// For a page that has just come.
pub(super) fn begin(node: &Node) -> Bytes {
    let tick = of(node);
    let described = FIGURES.iter().map(|figure| Described {
        id: figure.id,
        title: figure.title,
        unit: figure.unit.as_str(),
        meaning: figure.meaning,
    });
    let begin = Begin {
        figures: described.collect(),
        step_s: STEP,
        steps: STEPS,
        history: node.live.ring(|ring, bounds| {
            // No further than the tick tells, which may be a moment older.
            let last = tick.step;
            let first = last.saturating_sub(STEPS - 1).max(1);
            (first..=last).filter_map(|number| ring.step(number, bounds)).collect()
        }),
        followers_max: FOLLOWERS,
        tick,
    };
    event("begin", &begin)
}

/// For all pages, once a second.
pub(crate) fn tick(node: &Node) -> Bytes {
    event("tick", &of(node))
}

fn of(node: &Node) -> Tick {
    let (step, point) = node.live.ring(|ring, bounds| {
        let last = ring.last_step();
        (last, ring.step(last, bounds))
    });
    let refusal = |(metric, reason, count)| Refusal { metric, reason, count };
    Tick {
        time_ms: node.clock.unix_millis(),
        now: node.live.overview(live::MOMENT),
        step,
        point,
        status: status::status(node),
        cache: cache::stats(node),
        disks: node.disks.as_ref().map(|all| disks::reports(node, all)).unwrap_or_default(),
        refusals: node.metrics.refusals(node).into_iter().map(refusal).collect(),
        followers: node.live.followers(),
    }
}

/// JSON has no raw line breaks, so it is one line of data whatever is in it.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {name}\ndata: ").into_bytes();
    serde_json::to_writer(&mut text, data).expect("our types have string keys only");
    text.extend_from_slice(b"\n\n");
    text.into()
}
