//! The node as a member of a fleet: what it reports of itself, and what it does of that which it is
//! told. It serves all the same without.

pub mod join;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, OnceLock, Weak},
};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use weir_config::edge::EdgeConfig;
use weir_config_admin::Membership as Shown;
use weir_config_lifecycle::Phase;
use weir_edge_cache::disks::DiskState;
use weir_edge_http::Protocol;
use weir_steering_api::{
    Applied, Body, Desired, Intent, Kind, Payload, Report, VERSION,
    report::{Capacity, Fill, Health, Identity, Serving},
};
use weir_steering_client::{CallHome, Home, Node as Reporting, Reporter, Standing, Told};

use crate::{live, node::Node};

/// How the node stands with its control plane; empty where it has none.
#[derive(Debug, Default)]
pub struct Membership(OnceLock<Result<Member, Shown>>);

#[derive(Debug)]
struct Member {
    standing: Arc<Mutex<Standing>>,
    wanted: Arc<Mutex<Intent>>,
}

impl Membership {
    /// For people.
    pub fn shown(&self) -> Option<Shown> {
        let member = match self.0.get()? {
            Ok(member) => member,
            Err(shown) => return Some(shown.clone()),
        };
        let standing = member.standing.lock().clone();
        let told = match standing.told {
            Told::Nothing => "nothing yet".to_owned(),
            Told::Heard => "heard".to_owned(),
            Told::Refused(code) => format!("refused: {}", code.as_str()),
            Told::Unreached => "unreached".to_owned(),
        };
        let applied = standing.applied.iter();
        Some(Shown {
            url: standing.url,
            told,
            trouble: standing.trouble,
            heard_s: standing.heard.map(|heard| heard.elapsed().as_secs()),
            wanted: member.wanted.lock().state.as_str().to_owned(),
            reports: standing.reports,
            refused: standing.refused,
            unanswered: standing.unanswered,
            doubted: standing.doubted,
            clock_off_ms: standing.clock_off_ms,
            certificate_ends_s: standing.certificate_ends_ms / 1_000,
            applied: applied.map(|(kind, number)| (kind.as_str().to_owned(), *number)).collect(),
        })
    }
}

/// Reports as long as the node is there, where its configuration names a membership. One that cannot
/// be used is told of, and nothing else.
pub fn start(config: &EdgeConfig, node: &Arc<Node>) {
    let Some(folder) = &config.steering.state else { return };
    let member = member(config, folder, node).map_err(|error| {
        tracing::error!(%error, "this node reports to nobody");
        Shown { told: "no member".to_owned(), trouble: Some(error.to_string()), ..Shown::default() }
    });
    let _the_first = node.fleet.0.set(member);
}

fn member(config: &EdgeConfig, folder: &Path, node: &Arc<Node>) -> Result<Member, CallHome> {
    let wanted = Arc::new(Mutex::new(Intent::default()));
    let speaker = Speaker {
        node: Arc::downgrade(node),
        wanted: Arc::clone(&wanted),
        site: config.node.site.clone(),
        serves: config.steering.serves.clone(),
        requests: u64::from(config.overload.requests.get()),
        network_bytes_per_s: network_bytes_per_s(),
    };
    let home = Home::at(folder);
    let reporter = Reporter::new(home, Arc::new(speaker), Arc::clone(&node.clock))?;
    let member = Member { standing: reporter.standing(), wanted };
    tokio::spawn(reporter.run());
    Ok(member)
}

/// Speaks for a node.
#[derive(Debug)]
struct Speaker {
    node: Weak<Node>,
    wanted: Arc<Mutex<Intent>>,
    site: String,
    serves: Vec<String>,
    /// At once, that it bears.
    requests: u64,
    network_bytes_per_s: f64,
}

impl Reporting for Speaker {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Snapshot, Kind::Intent]
    }

    fn report(&self) -> Report {
        let identity = Identity {
            node: String::new(),
            site: self.site.clone(),
            boot: 0,
            sequence: 0,
            up_ms: 0,
            clock_ms: 0,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            config: 0,
            purge_epoch: 0,
            serves: self.serves.clone(),
        };
        let gone = Report {
            version: VERSION,
            identity,
            capacity: Capacity {
                network_bytes_per_s: self.network_bytes_per_s,
                processors: 0,
                memory_bytes: 0,
                requests: self.requests,
                disks: 0,
                disks_in_use: 0,
            },
            health: Health {
                spare: 0.0,
                scarcest: "gone".to_owned(),
                used: BTreeMap::new(),
                ready: false,
            },
            serving: Serving {
                requests_per_s: 0.0,
                bytes_per_s: 0.0,
                hit_share: None,
                error_share: None,
                ttfb_p99_ms: None,
                requests: 0,
                clients: 0,
            },
            fill: Fill { bytes_per_s: 0.0, running: 0, waiting: 0 },
            inventory: None,
            routes: None,
            intent: *self.wanted.lock(),
            applied: Applied::default(),
        };
        match self.node.upgrade() {
            Some(node) => of(gone, &node),
            // The process ends.
            None => gone,
        }
    }

    fn apply<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, bool> {
        let done = match &payload.body {
            Body::Intent { intent } => {
                if *self.wanted.lock() != *intent {
                    let state = intent.state.as_str();
                    tracing::info!(state, "the control plane wants another state of this node");
                }
                *self.wanted.lock() = *intent;
                true
            }
            // What it says of the fleet is kept on disk; nothing here acts upon it.
            Body::Snapshot { .. } => true,
            Body::Keys { .. } | Body::Revocations { .. } | Body::Purges { .. } => false,
        };
        Box::pin(async move { done })
    }
}

/// The report of a node that is there.
fn of(mut report: Report, node: &Node) -> Report {
    let share = |value: f64| if value.is_nan() { 1.0 } else { value.clamp(0.0, 1.0) };
    report.identity.config = node.config.get().map_or(0, |config| config.summary().revision);
    report.identity.purge_epoch = node.engine.cache().purge_epoch();
    let views = node.disks.as_ref().map(|disks| disks.views()).unwrap_or_default();
    let in_use = views.iter().filter(|view| serves(&view.state)).count();
    let whole = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    report.capacity.processors = node.live.bounds().processors;
    report.capacity.memory_bytes = node.load.memory_budget();
    report.capacity.disks = whole(views.len());
    report.capacity.disks_in_use = whole(in_use);
    let mut used: BTreeMap<String, f64> = BTreeMap::new();
    for (input, strain) in node.load.pressure().strains() {
        used.insert(input.as_str().to_owned(), share(strain));
    }
    for (name, part) in node.live.resources() {
        let worse = used.entry(name.to_owned()).or_insert(0.0);
        *worse = worse.max(share(part));
    }
    let scarcest = used.iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
    if let Some((name, part)) = scarcest {
        report.health.scarcest.clone_from(name);
        report.health.spare = share(1.0 - part);
    }
    report.health.used = used;
    report.health.ready = node.readiness.is_ready();
    if node.readiness.phase() >= Phase::Draining && report.intent.state == Desired::Serving {
        report.intent.state = Desired::Draining;
    }
    if let Some(lately) = node.live.overview(live::MOMENT) {
        let serving = &mut report.serving;
        serving.requests_per_s = lately.requests;
        serving.bytes_per_s = lately.traffic;
        serving.hit_share = lately.hit_ratio.map(share);
        serving.error_share = lately.error_ratio.map(share);
        serving.ttfb_p99_ms = lately.ttfb_p99_s.map(|seconds| seconds * 1e3);
        report.fill.bytes_per_s = lately.origin_load;
    }
    let protocols = [Protocol::H1, Protocol::H2, Protocol::H3];
    let under_way = protocols.map(|protocol| node.connections.active.of(protocol));
    report.serving.requests = under_way.iter().sum();
    report.serving.clients = node.load.clients() as u64;
    report.fill.running = node.engine.under_way() as u64;
    report.fill.waiting = node.engine.queue().0 as u64;
    report
}

fn serves(state: &DiskState) -> bool {
    matches!(state, DiskState::Online | DiskState::Full)
}

/// Of the cards that are there and say how fast they are; 0 where none does.
fn network_bytes_per_s() -> f64 {
    let cards = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let megabits = cards.filter_map(|card| {
        let text = fs::read_to_string(card.path().join("speed")).ok()?;
        text.trim().parse::<i64>().ok().filter(|speed| *speed > 0)
    });
    megabits.sum::<i64>() as f64 * 125_000.0
}
