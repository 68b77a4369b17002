//! The same load against two rules: the newest sample alone decides (one bit, as Traffic Control
//! does it), and ours. Sessions come and go, ask again every so often, and play from the first
//! server they are told.

use std::collections::{BTreeMap, VecDeque};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use weir_steering_rank::{
    Answer, Health, Intent, Node, Place, Ranker, Request, Rotation, RouteList, Rules, SCHEMA,
    SHARE, Sample, Side, Site, Snapshot, SnapshotId, World,
};

use crate::{
    Options,
    figures::{BenchError, Figures},
    fleet::NOW,
};

const SITES: usize = 3;
const NODES: usize = 6;
/// Sessions that a node carries.
const CAPACITY: f64 = 1000.0;
/// Seconds of a trace, and traces, in full and in short.
const LONG: (u64, u64) = (2400, 600);
const TRIALS: (u64, u64) = (5, 1);
/// Seconds between two questions of a session.
const TTL: std::ops::Range<u64> = 20..40;
/// Samples that a peak is measured over: two questions of every session lie in them.
const MINUTE: usize = 60;
/// Mean length of a session, seconds.
const STAY: f64 = 400.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// In or out by the newest sample.
    Newest,
    Ours,
}

/// What came of a trace.
#[derive(Debug, Default, Clone, Copy)]
struct Came {
    /// Times that a node left or came back.
    flaps: u32,
    /// The highest load of a node over a minute, of its capacity.
    peak: f64,
    /// Node-seconds above capacity.
    over: u32,
    /// Sessions that were sent elsewhere in mid-play.
    moved: u32,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    node: usize,
    asks_at: u64,
    ends_at: u64,
    number: u64,
    title: u32,
    site: usize,
}

pub(crate) fn measure(options: &Options, figures: &mut Figures) -> Result<(), BenchError> {
    let pick = |(full, short)| if options.quick { short } else { full };
    let (mut flaps, mut peaks, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for trial in 0..pick(TRIALS) {
        let seed = options.seed + trial;
        let newest = play(Rule::Newest, seed, pick(LONG))?;
        let ours = play(Rule::Ours, seed, pick(LONG))?;
        println!("trace {seed}: newest sample {newest:?}, ours {ours:?}");
        flaps.push(f64::from(ours.flaps) / f64::from(newest.flaps.max(1)));
        peaks.push(ours.peak / newest.peak);
        notes.push(format!(
            "{} and {} changes, peaks {:.2} and {:.2}, {} and {} node-seconds over capacity",
            ours.flaps, newest.flaps, ours.peak, newest.peak, ours.over, newest.over
        ));
    }
    let worst = |ratios: &[f64]| ratios.iter().copied().fold(0.0, f64::max);
    let what = "three sites of six nodes under a load that climbs past what the nearest site \
                carries, with noise of its own on each node and bursts of other work, sessions of 400 s that ask every 20 \
                to 40 s; ours / the newest sample alone on the same trace, the worst of all traces";
    let trials = flaps.len() as u64;
    figures.add(
        "health.flaps_vs_newest_sample",
        &format!("Times that nodes leave the rotation or come back: {what}"),
        ("< 1", "ratio of changes"),
        worst(&flaps),
        trials,
        format!("ours and newest by trace: {}", notes.join("; ")),
    );
    figures.add(
        "health.peak_utilisation_vs_newest_sample",
        &format!("The highest load that a node has over a minute, of its capacity: {what}"),
        ("<= 1", "ratio of peaks"),
        worst(&peaks),
        trials,
        "see the changes".to_owned(),
    );
    flapping(figures);
    Ok(())
}

/// A node that is bad for a while in every period, for half an hour; the worst of all periods.
fn flapping(figures: &mut Figures) {
    let rules = Rules::default();
    let mut worst = (0.0, 0, 0);
    let mut tried = 0;
    for period in 4..180_u64 {
        for bad in [2, 3, period / 4, period / 2].into_iter().filter(|bad| *bad >= 2) {
            tried += 1;
            let mut rotation = Rotation::new(NOW);
            let mut changes = 0;
            for second in 1..=1800 {
                let spare = if second % period < bad { 100 } else { 6000 };
                let sample = Sample { at_ms: NOW + second * 1000, spare, fit: true };
                let next = rotation.after(&rules, sample);
                changes += u32::from(next.serving != rotation.serving);
                rotation = next;
            }
            let rate = f64::from(changes) / 30.0;
            if rate > worst.0 {
                worst = (rate, period, bad);
            }
        }
    }
    figures.add(
        "health.flapping_node_changes_per_min",
        "Changes a minute of a node that runs out of room for some seconds of every period (4 s \
         to 3 min), over half an hour; the worst of all periods",
        ("<= 1", "changes/min"),
        worst.0,
        tried,
        format!("the worst: {} s bad of every {} s", worst.2, worst.1),
    );
}

fn play(rule: Rule, seed: u64, long: u64) -> Result<Came, BenchError> {
    let mut random = SmallRng::seed_from_u64(seed);
    let routes = std::sync::Arc::new(RouteList::default().build()?);
    let mut snapshot = fleet(rule, routes.digest());
    let count = SITES * NODES;
    let (mut came, mut sessions) = (Came::default(), Vec::<Session>::new());
    // What a node is busy with besides: fills, checks, somebody else on the host.
    let mut besides = vec![0.05_f64; count];
    // And what takes much of it for a while: how much, and until when.
    let mut bursts = vec![(0.0_f64, 0_u64); count];
    // Load over the last minute: what comes at once is nobody's fault, what stays is.
    let mut minutes = vec![VecDeque::<f64>::new(); count];
    let (mut ranker, mut answer) = (Ranker::default(), Answer::default());
    let mut next_number = 0;
    for second in 0..long {
        let now_ms = NOW + second * 1000;
        sessions.retain(|session| session.ends_at > second);
        // Reports of what was a moment ago.
        let mut load = vec![0.0; count];
        for session in &sessions {
            load[session.node] += 1.0 / CAPACITY;
        }
        for (at, node) in snapshot.nodes.iter_mut().enumerate() {
            let drift: f64 = random.random_range(-0.02..0.02);
            besides[at] = (besides[at] * 0.97 + 0.0015 + drift).clamp(0.0, 0.25);
            let burst = (random.random_range(0.2..0.7), second + random.random_range(10..120));
            if random.random_ratio(1, 900) {
                bursts[at] = burst;
            }
            let burst = if bursts[at].1 > second { bursts[at].0 } else { 0.0 };
            let busy = load[at] + besides[at] + burst;
            minutes[at].push_back(busy);
            if minutes[at].len() > MINUTE {
                minutes[at].pop_front();
                let mean = minutes[at].iter().sum::<f64>() / MINUTE as f64;
                came.peak = came.peak.max(mean);
            }
            came.over += u32::from(busy > 1.0);
            let spare = ((1.0 - busy).max(0.0) * f64::from(SHARE)) as u16;
            report(
                rule,
                &mut came,
                node,
                &snapshot.rules,
                Sample { at_ms: now_ms, spare, fit: true },
            );
        }
        snapshot.id.health += 1;
        snapshot.at_ms = now_ms;
        let world = World::new(snapshot.clone(), routes.clone())?;
        let mut ask = |session: &mut Session, came: &mut Came, random: &mut SmallRng| {
            let request = Request {
                place: Place::degrees(0.0, session.site as f64 * 3.0),
                title: format!("title/{}", session.title),
                session: session.number,
                ..Request::new(now_ms, "9.9.9.9".parse().expect("an address"))
            };
            ranker.rank(&world, &request, &mut answer);
            let node = answer.servers[0].node as usize;
            came.moved += u32::from(session.node != usize::MAX && session.node != node);
            session.node = node;
            session.asks_at = second + random.random_range(TTL);
        };
        for session in sessions.iter_mut().filter(|session| session.asks_at <= second) {
            ask(session, &mut came, &mut random);
        }
        // New ones, so that as many play as are wanted.
        let wanted = demand(second, long) * CAPACITY * count as f64;
        let coming = (wanted / STAY + random.random_range(-2.0..2.0)).max(0.0) as u64;
        for _ in 0..coming {
            next_number += 1;
            let lasts = -random.random_range(0.001_f64..1.0).ln() * STAY;
            let mut session = Session {
                node: usize::MAX,
                asks_at: 0,
                ends_at: second + 1 + lasts as u64,
                number: next_number,
                title: (random.random::<f64>().powi(2) * 3000.0) as u32,
                // Six of ten clients are near the first site.
                site: [0, 0, 0, 0, 0, 0, 1, 1, 2, 2][random.random_range(0..10)],
            };
            ask(&mut session, &mut came, &mut random);
            sessions.push(session);
        }
    }
    Ok(came)
}

/// Sessions that are wanted, of all that the fleet carries: an evening that climbs, a start that
/// everybody comes to, and the way down.
fn demand(second: u64, long: u64) -> f64 {
    let at = second as f64 / long as f64;
    let evening = 0.3 + 0.3 * (std::f64::consts::PI * at).sin();
    let start = if (0.45..0.55).contains(&at) { 0.15 } else { 0.0 };
    evening + start
}

fn report(rule: Rule, came: &mut Came, node: &mut Node, rules: &Rules, sample: Sample) {
    let health = &mut node.health;
    let was = health.rotation.serving;
    health.reported_at_ms = sample.at_ms;
    match rule {
        Rule::Newest => {
            health.rotation.serving = sample.spare >= rules.leave_below;
            // One bit: no share, no ramp.
            health.spare = SHARE;
        }
        Rule::Ours => {
            health.rotation = health.rotation.after(rules, sample);
            health.spare = sample.spare;
        }
    }
    came.flaps += u32::from(was != health.rotation.serving);
}

fn fleet(rule: Rule, routes: u64) -> Snapshot {
    let site = |at: usize| Site {
        place: Place::degrees(0.0, at as f64 * 3.0),
        ..Site::new(format!("s{at}"))
    };
    let node = |site: usize, number: usize| Node {
        name: format!("s{site}-c{number}"),
        site: format!("s{site}"),
        domain: None,
        base: "https://cdn.example".to_owned(),
        capacity_mbps: 10_000,
        v4: Some(Side::default()),
        v6: None,
        intent: Intent::Serving,
        health: Health {
            reported_at_ms: NOW,
            spare: SHARE,
            faults: Vec::new(),
            rotation: Rotation { since_ms: 0, ..Rotation::new(NOW) },
            purge_epoch: 0,
            holdings: None,
            shunned_until_ms: 0,
        },
    };
    let rules = match rule {
        Rule::Ours => Rules::default(),
        // It sends clients on when nobody of the site is left, and has no panic.
        Rule::Newest => Rules { overprovision: u16::MAX, panic_below: 0, ..Rules::default() },
    };
    let hot: BTreeMap<u32, u8> = (0..60).map(|title| (title, 3)).collect();
    Snapshot {
        schema: SCHEMA,
        id: SnapshotId { map: 1, health: 1 },
        at_ms: NOW,
        routes,
        purge_epoch: 0,
        rules,
        sites: (0..SITES).map(site).collect(),
        nodes: (0..SITES).flat_map(|at| (0..NODES).map(move |number| node(at, number))).collect(),
        default_order: Vec::new(),
        asns: Vec::new(),
        countries: Vec::new(),
        hot: hot
            .into_iter()
            .map(|(title, copies)| weir_steering_rank::Hot {
                title: format!("title/{title}"),
                copies,
            })
            .collect(),
    }
}
