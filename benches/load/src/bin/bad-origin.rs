//! `cargo xtask bench bad-origin`: an origin that misbehaves in every way it can, and clients
//! that must never get a wrong byte, nor wait for ever.

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::{sync::Semaphore, task::JoinSet};
use weir_benches_load::{
    Protocol, Server,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings,
        fault::{self, Outcome, Target},
        naive::Naive,
        program,
    },
};
use weir_benches_testbed::{Origin, seeded::Kind};

/// Scripts of each kind, in full and in short.
const SCRIPTS: (u64, u64) = (40, 5);
/// More than the edge's deadline, which is between two pieces of a fill.
const SILENCE: Duration = Duration::from_millis(1300);
/// Scripts under way at once.
const AT_ONCE: usize = 24;
/// Of each kind, against the naive proxy.
const CONTROLS: u64 = 10;

/// Seeded scripts of misbehaviour.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Play one script and say what it is: KIND:SEED as findings name them.
    #[arg(long, value_parser = one)]
    only: Option<(Kind, u64)>,
}

fn one(text: &str) -> Result<(Kind, u64), String> {
    let (kind, seed) = text.split_once(':').ok_or("it is not KIND:SEED")?;
    let known = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
    let names = Kind::ALL.map(Kind::as_str).join(", ");
    let kind = known.ok_or_else(|| format!("`{kind}` is none of {names}"))?;
    Ok((kind, seed.parse().map_err(|_| format!("`{seed}` is no number"))?))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::run("bad-origin", 0, |_| run(&arguments))
}

/// The edge, over TLS in all its protocols.
struct ToEdge {
    servers: Vec<(Protocol, Arc<Server>)>,
    path: String,
}

impl Target for ToEdge {
    fn servers(&self) -> &[(Protocol, Arc<Server>)] {
        &self.servers
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }

    fn silence(&self) -> Duration {
        SILENCE
    }
}

async fn run(arguments: &Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let place = Place::new(options)?;
    let origin = Arc::new(Origin::start().await?);
    // One second keeps silent scripts short; the waiters' bound is far above what three
    // resumes of it add up to.
    let settings = Settings { deadline: "1s", ..Settings::new(origin.url()) };
    let mut edge = Edge::start(place.path(), &settings)?;
    let mut servers = Vec::new();
    for protocol in Protocol::ALL {
        servers.push((protocol, edge.server(protocol)?));
    }
    let target = Arc::new(ToEdge { servers, path: edge.path("") });
    if let Some((kind, seed)) = arguments.only {
        println!("{:#?}", fault::describe(kind, seed));
        let outcome = fault::play(&*target, &origin, kind, seed).await;
        edge.stop()?;
        say("weir-edge", &outcome);
        return Ok(outcome.findings.is_empty());
    }
    let each = if options.quick { SCRIPTS.1 } else { SCRIPTS.0 };
    let outcome = play_all(target, Arc::clone(&origin), each, options.seed).await;
    edge.check()?;
    edge.stop()?;
    say("weir-edge", &outcome);

    let fresh = Arc::new(Origin::start().await?);
    let naive = Naive::start(fresh.address()).await?;
    let server = Server { address: naive.address(), name: "localhost".into(), tls: None };
    let target = ToEdge { servers: vec![(Protocol::H1, Arc::new(server))], path: String::new() };
    let controls = CONTROLS.min(each);
    let control = play_all(Arc::new(target), fresh, controls, options.seed).await;
    say("control (naive proxy)", &control);
    figures(&outcome, &control).finish(options)
}

async fn play_all(target: Arc<ToEdge>, origin: Arc<Origin>, each: u64, seed: u64) -> Outcome {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut scripts = JoinSet::new();
    for number in 0..each {
        for kind in Kind::ALL {
            let (target, origin) = (Arc::clone(&target), Arc::clone(&origin));
            let slots = Arc::clone(&slots);
            scripts.spawn(async move {
                let _slot = slots.acquire_owned().await;
                fault::play(&*target, &origin, kind, (seed << 16) + number).await
            });
        }
    }
    let mut all = Outcome::default();
    while let Some(outcome) = scripts.join_next().await {
        match outcome {
            Ok(outcome) => all.merge(outcome),
            Err(error) => all.findings.push(format!("a script fell over: {error}")),
        }
    }
    all.findings.sort();
    all
}

fn say(who: &str, outcome: &Outcome) {
    println!(
        "{who}: {} scripts, {} waiters, {} served whole, {} hung, {} kept, {} unhealed; {}",
        outcome.scripts,
        outcome.waiters,
        outcome.served,
        outcome.hung,
        outcome.kept,
        outcome.unhealed,
        outcome.wrong
    );
    for (kind, [scripts, waiters, served]) in &outcome.kinds {
        println!("  {:<18} {scripts} scripts, {served} of {waiters} served whole", kind.as_str());
    }
    for finding in outcome.findings.iter().take(40) {
        println!("  {finding}");
    }
}

fn figures(outcome: &Outcome, control: &Outcome) -> Figures {
    let mut figures = Figures::of("bad-origin");
    let what = [
        (
            "wrong_bytes.origin",
            "Wrong bytes passed off as right while and after an origin misbehaves: resets, short \
             and long bodies, changed validators, slow drips, silence, bad heads, wrong ranges, \
             server errors, seeded, over HTTP/1.1, 2 and 3",
            "bytes",
            outcome.wrong.total(),
            control.wrong.total(),
        ),
        (
            "bad_origin.waiters_hung",
            "Clients that a misbehaving origin kept waiting beyond 20 s (fill deadline 1 s)",
            "clients",
            outcome.hung,
            control.hung,
        ),
        (
            "bad_origin.unsound_kept",
            "Scripts after which bytes of an incomplete chunk, or of a response that \
             contradicted its length, were served without being fetched again",
            "scripts",
            outcome.kept,
            control.kept,
        ),
        (
            "bad_origin.not_healed",
            "Scripts after which a healthy origin's object was not served right within three \
             requests",
            "scripts",
            outcome.unhealed,
            control.unhealed,
        ),
    ];
    for (id, what, unit, measured, control_measured) in what {
        figures.add(id, what, ("0", unit), measured as f64, outcome.scripts, None);
        figures.add(
            format!("{id}.control"),
            format!("The same scripts and checks against a naive caching proxy: {what}"),
            ("> 0", unit),
            control_measured as f64,
            control.scripts,
            None,
        );
    }
    figures
}
