//! `cargo xtask bench origin-back`: an upstream goes away and comes back while clients go on
//! asking for what is not cached. It shall not be met by a storm.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use weir_benches_content::{Content, Expected};
use weir_benches_load::{
    Connection, Protocol, Server,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings, figures::median, gate::Gate,
        program,
    },
    connection::Ask,
};
use weir_benches_testbed::Origin;

/// Requests a second that go to the origin while all is well: for new objects, and for known
/// ones that are stale after a second.
const COLD: u64 = 150;
const STALE: u64 = 50;
const SIZE: u64 = 32 << 10;
/// Each protocol's connections.
const CONNECTIONS: usize = 6;
/// Between two looks at what the origin counted.
const LOOK: Duration = Duration::from_millis(100);
/// Looks that make a second.
const SECOND: usize = 10;
const PATIENCE: Duration = Duration::from_secs(4);
/// Before, while it is gone, and after; in full and in short.
const PHASES: ([u64; 3], [u64; 3]) = ([15, 20, 45], [5, 6, 10]);
const ROUNDS: (usize, usize) = (3, 1);

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("origin-back", 2, |_| run(options))
}

/// Clients who ask on connections that are there, and open those that broke.
struct Clients {
    servers: Vec<(Protocol, Arc<Server>)>,
    connections: Vec<Mutex<Option<Connection>>>,
    prefix: String,
}

impl Clients {
    async fn ask(&self, number: u64, content: Content) -> bool {
        let at = number as usize % self.connections.len();
        let (protocol, server) = &self.servers[at % self.servers.len()];
        let ask = Ask::path(format!("{}/{}", self.prefix, content.name()));
        let ask = Ask { deadline: PATIENCE, ..ask }.expect(Expected::all(&content));
        let mut own = {
            let mut place = self.connections[at].lock().await;
            if !place.as_ref().is_some_and(Connection::is_open) {
                *place = Connection::open(server, *protocol).await.ok();
            }
            // HTTP/1.1 has one request at a time: it is put back afterwards.
            match place.as_ref().map(Connection::share) {
                Some(Some(shared)) => shared,
                Some(None) => match place.take() {
                    Some(own) => own,
                    None => return false,
                },
                None => return false,
            }
        };
        let exchange = own.get(&ask).await;
        if *protocol == Protocol::H1 && exchange.error.is_none() {
            *self.connections[at].lock().await = Some(own);
        }
        let right = exchange.verdict.is_some_and(|verdict| verdict.is_clean());
        exchange.status.is_some_and(|status| status == 200) && exchange.error.is_none() && right
    }
}

/// What a round saw.
#[derive(Debug, Default)]
struct Seen {
    /// Requests at the origin, for each look; before, while gone, after.
    phases: [Vec<u64>; 3],
    /// Requests of clients, and those of them served.
    asked: [u64; 3],
    served: [u64; 3],
}

async fn run(options: Options) -> Result<bool, CampaignError> {
    let place = Place::new(&options)?;
    let origin = Arc::new(Origin::start().await?);
    let gate = Gate::before(origin.address())?;
    let settings = Settings { disk: None, ..Settings::new(gate.url()) };
    let mut edge = Edge::start(place.path(), &settings)?;
    let mut servers = Vec::new();
    for protocol in Protocol::ALL {
        servers.push((protocol, edge.server(protocol)?));
    }
    let count = CONNECTIONS * servers.len();
    let connections = (0..count).map(|_| Mutex::new(None)).collect();
    let clients = Arc::new(Clients { servers, connections, prefix: edge.path("") });
    let stale: Vec<Content> =
        (0..2 * STALE).map(|number| Content::new(0xface_0000 + number, 1, SIZE)).collect();
    for content in &stale {
        origin.set_header(&format!("/{}", content.name()), "cache-control", "max-age=1");
    }
    let rounds = if options.quick { ROUNDS.1 } else { ROUNDS.0 };
    let (mut ratios, mut notes) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let lengths = if options.quick { PHASES.1 } else { PHASES.0 };
        let seen = play(&clients, &origin, &gate, &stale, lengths, round as u64).await?;
        edge.check()?;
        let steady = steady(&seen.phases[0]);
        let peak = peak(&seen.phases[2]);
        let gone: u64 = seen.asked[1] - seen.served[1];
        let note = format!(
            "{steady:.0} requests a second before, {peak} in the worst second after; of clients' \
             requests {} of {} were served before, {} of {} after",
            seen.served[0], seen.asked[0], seen.served[2], seen.asked[2]
        );
        println!("round {round}: {note}; {gone} of {} failed while it was gone", seen.asked[1]);
        if seen.served[0] < seen.asked[0] {
            return Err(CampaignError::Unfit(format!("not all is well before: {note}")));
        }
        ratios.push(peak as f64 / steady);
        notes.push(note);
    }
    edge.stop()?;
    let mut figures = Figures::of("origin-back");
    figures.add(
        "origin_back.storm_ratio",
        "Requests that an origin gets in the worst second after it was gone for 20 s / in a second \
         before, while clients ask for new and for stale objects at a steady rate; the worst round",
        ("<= 1.5", "ratio"),
        ratios.iter().copied().fold(0.0, f64::max),
        rounds as u64,
        Some(notes.join("; ")),
    );
    figures.finish(&options)
}

async fn play(
    clients: &Arc<Clients>,
    origin: &Arc<Origin>,
    gate: &Gate,
    stale: &[Content],
    lengths: [u64; 3],
    round: u64,
) -> Result<Seen, CampaignError> {
    // Connections and the stale objects are there before anything is counted.
    for (number, content) in stale.iter().enumerate() {
        clients.ask(number as u64, *content).await;
    }
    let mut seen = Seen::default();
    let mut number = 0;
    for (phase, seconds) in lengths.into_iter().enumerate() {
        match phase {
            1 => gate.shut(),
            2 => gate.open()?,
            _ => {}
        }
        let mut under_way = JoinSet::new();
        let mut beat = interval(LOOK);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        beat.tick().await;
        let begun = Instant::now();
        let mut before = origin.all_requests();
        while begun.elapsed() < Duration::from_secs(seconds) {
            // A tenth of a second's requests, evenly over it.
            let each = (COLD + STALE) / SECOND as u64;
            for _ in 0..each {
                let content = if number % 4 == 0 {
                    stale[(number / 4) as usize % stale.len()]
                } else {
                    Content::new((round << 32) + 0x0100_0000 + number, 1, SIZE)
                };
                let clients = Arc::clone(clients);
                under_way.spawn(async move { clients.ask(number, content).await });
                number += 1;
                sleep(LOOK / (2 * each as u32)).await;
            }
            beat.tick().await;
            let now = origin.all_requests();
            seen.phases[phase].push(now - before);
            before = now;
        }
        while let Some(ended) = under_way.join_next().await {
            seen.asked[phase] += 1;
            seen.served[phase] += u64::from(ended.unwrap_or_default());
        }
    }
    Ok(seen)
}

/// The median of whole seconds; the first is not counted, in which connections are made.
fn steady(looks: &[u64]) -> f64 {
    let seconds: Vec<f64> = looks
        .chunks_exact(SECOND)
        .skip(1)
        .map(|second| second.iter().sum::<u64>() as f64)
        .collect();
    median(&seconds).max(1.0)
}

/// The most in a second, wherever it begins.
fn peak(looks: &[u64]) -> u64 {
    looks.windows(SECOND).map(|second| second.iter().sum()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_begin_anywhere() {
        let looks: Vec<u64> = (0..40).map(|look| if look == 25 { 100 } else { 1 }).collect();
        assert_eq!(peak(&looks), 109);
        assert_eq!(steady(&looks), 10.0);
        assert_eq!(peak(&looks[..5]), 0);
    }
}
