//! `cargo xtask bench collapse`: many clients, one cold object, one upstream request, and all
//! of them stream while it arrives.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{sync::Barrier, task::JoinSet};
use weir_benches_content::{Content, Expected};
use weir_benches_load::{
    Connection, Exchange, Protocol,
    campaign::{CampaignError, Edge, Figures, Options, Place, Settings, figures::median, program},
    connection::Ask,
};
use weir_benches_testbed::{Act, Origin};

/// Clients of one object.
const CLIENTS: usize = 100;
const SIZE: u64 = 1 << 20;
/// The origin's pace: a wait before the head, then the body over a time.
const WAIT: Duration = Duration::from_millis(300);
const OVER: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("collapse", 0, |_| run(&options))
}

/// What one cold object came to.
struct Trial {
    upstream_requests: u64,
    /// From the origin's first body byte to that of the last client.
    first_byte: Duration,
    /// From the origin's last body byte to the last client's end.
    rest: Duration,
}

async fn run(options: &Options) -> Result<bool, CampaignError> {
    let place = Place::new(options)?;
    let origin = Origin::start().await?;
    let mut edge = Edge::start(place.path(), &Settings::new(origin.url()))?;
    let trials = if options.quick { 3 } else { 20 };
    let mut figures = Figures::of("collapse");
    for protocol in Protocol::ALL {
        let clients = connect(&edge, protocol).await?;
        let mut clients = control(&edge, &origin, protocol, clients, options).await?;
        let mut done = Vec::new();
        for number in 0..trials {
            let object = id(protocol, options.seed, number as u64 + 1);
            let content = Content::new(object, 1, SIZE);
            let path = format!("/{}", content.name());
            origin.script(&path, [Act::paced(WAIT, OVER)]);
            let asks = vec![ask(&edge, &content); CLIENTS];
            let (back, exchanges) = at_once(clients, asks).await;
            clients = back;
            done.push(judge(&origin, &path, &exchanges)?);
        }
        edge.check()?;
        report(&mut figures, protocol, &done);
    }
    edge.stop()?;
    figures.finish(options)
}

fn report(figures: &mut Figures, protocol: Protocol, trials: &[Trial]) {
    let count = trials.len() as u64;
    let requests = trials.iter().map(|trial| trial.upstream_requests).max().unwrap_or(0);
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let first: Vec<f64> = trials.iter().map(|trial| millis(trial.first_byte)).collect();
    let rest: Vec<f64> = trials.iter().map(|trial| millis(trial.rest)).collect();
    let worst = |list: &[f64]| list.iter().copied().fold(0.0, f64::max);
    figures.add(
        format!("collapse.{protocol}.upstream_requests"),
        format!(
            "Upstream requests for one cold 1 MiB object that {CLIENTS} clients ask for at \
                 once; the most of all trials"
        ),
        ("1", "requests"),
        requests as f64,
        count,
        Some(format!(
            "the same clients asking for {CLIENTS} different objects cause {CLIENTS} upstream \
             requests in the same run"
        )),
    );
    figures.add(
        format!("collapse.{protocol}.first_byte_after_origin_ms"),
        format!(
            "From the origin's first body byte to that of the last of {CLIENTS} clients of \
                 one cold 1 MiB object, sent for 0.7 s after 0.3 s; the worst of all trials"
        ),
        ("<= 50", "ms"),
        worst(&first),
        count,
        Some(format!(
            "median of the trials {:.1} ms; the last client had the whole {:.1} ms after the \
             origin's last byte (worst {:.1})",
            median(&first),
            median(&rest),
            worst(&rest)
        )),
    );
}

/// Ids that no other protocol, seed or trial uses.
fn id(protocol: Protocol, seed: u64, number: u64) -> u64 {
    (seed << 32) + (protocol as u64 + 1) * 1_000_000 + number
}

fn ask(edge: &Edge, content: &Content) -> Ask {
    Ask::path(edge.path(&format!("/{}", content.name()))).expect(Expected::all(content))
}

async fn connect(edge: &Edge, protocol: Protocol) -> Result<Vec<Connection>, CampaignError> {
    let server = edge.server(protocol)?;
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(Connection::open(&server, protocol).await?);
    }
    Ok(clients)
}

/// Every client asks for an object of its own: shows that the count can be other than 1, and
/// warms every connection.
async fn control(
    edge: &Edge,
    origin: &Origin,
    protocol: Protocol,
    clients: Vec<Connection>,
    options: &Options,
) -> Result<Vec<Connection>, CampaignError> {
    let before = origin.all_requests();
    let own = |number: usize| id(protocol, options.seed, 500_000 + number as u64);
    let asks = (0..CLIENTS).map(|number| ask(edge, &Content::new(own(number), 1, 1000))).collect();
    let (clients, exchanges) = at_once(clients, asks).await;
    for exchange in &exchanges {
        sound(exchange)?;
    }
    let requests = origin.all_requests() - before;
    if requests != CLIENTS as u64 {
        let message = format!("{CLIENTS} different objects caused {requests} upstream requests");
        return Err(CampaignError::Unfit(message));
    }
    Ok(clients)
}

/// All clients ask in the same moment.
async fn at_once(clients: Vec<Connection>, asks: Vec<Ask>) -> (Vec<Connection>, Vec<Exchange>) {
    let start = Arc::new(Barrier::new(clients.len()));
    let mut tasks = JoinSet::new();
    for (mut client, ask) in clients.into_iter().zip(asks) {
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            start.wait().await;
            let exchange = client.get(&ask).await;
            (client, exchange)
        });
    }
    tasks.join_all().await.into_iter().unzip()
}

fn judge(origin: &Origin, path: &str, exchanges: &[Exchange]) -> Result<Trial, CampaignError> {
    for exchange in exchanges {
        sound(exchange)?;
    }
    let counts = origin.counts(path);
    let at = |at: Option<tokio::time::Instant>| {
        at.map(tokio::time::Instant::into_std)
            .ok_or_else(|| CampaignError::Unfit("the origin sent no body".into()))
    };
    let (first, last) = (at(counts.first_body_byte)?, at(counts.last_body_byte)?);
    let latest = |times: &mut dyn Iterator<Item = Instant>| times.max().unwrap_or(first);
    let last_first = latest(&mut exchanges.iter().filter_map(|exchange| exchange.first_byte));
    let last_end = latest(&mut exchanges.iter().map(|exchange| exchange.ended));
    Ok(Trial {
        upstream_requests: counts.requests,
        first_byte: last_first.saturating_duration_since(first),
        rest: last_end.saturating_duration_since(last),
    })
}

/// A figure over responses that were not right would be worth nothing.
fn sound(exchange: &Exchange) -> Result<(), CampaignError> {
    let wrong = exchange.verdict.is_none_or(|verdict| !verdict.is_clean());
    if exchange.error.is_none() && !wrong {
        return Ok(());
    }
    let verdict = exchange.verdict.map(|verdict| verdict.to_string());
    Err(CampaignError::Unfit(format!(
        "a client got status {:?}, error {:?}, body {verdict:?}",
        exchange.status, exchange.error
    )))
}
