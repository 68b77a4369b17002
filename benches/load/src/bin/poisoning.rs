//! `cargo xtask bench poisoning`: an attacker asks first, a good client afterwards. Nothing of
//! what the attacker said may be in what the good one gets.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use weir_benches_load::{
    campaign::{CampaignError, Edge, Figures, Options, Place, Settings, program},
    desync::naive::Careless,
    poison::{self, Mirror, corpus},
};

/// After this much silence an answer is over.
const SILENCE: Duration = Duration::from_millis(60);
/// Before what an origin or an edge has to say.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a good client asks after each attempt.
const CLEAN: usize = 2;

/// The corpus, or one of its attempts.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Only attempts whose name has this in it; nothing goes to the scorecard.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    arguments.options.no_record |= arguments.only.is_some();
    program::run("poisoning", 1, |_| run(arguments))
}

async fn run(arguments: Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let place = Place::new(options)?;
    let mirror = Mirror::start().await?;
    let origin = format!("http://{}", mirror.address());
    let extra = "[[service]]\nid = \"site\"\npath_prefix = \"/\"\npreset = \"proxy\"\n\
                 upstreams = [\"origin\"]\n";
    let settings = Settings { extra: extra.into(), disk: None, ..Settings::new(origin) };
    let mut edge = Edge::start(place.path(), &settings)?;
    let only = arguments.only.as_deref();
    let found = attack(edge.http(), only).await?;
    edge.check()?;
    edge.stop()?;
    found.say("weir-edge");
    let careless = Careless::caching(mirror.address()).await?;
    let control = attack(careless.address(), only).await?;
    control.say("control (careless cache)");
    let mut figures = Figures::of("poisoning");
    figures.add(
        "abuse.poisoning.hits",
        "Attempts after which a good client got something of what an attacker had said, or not \
         its own answer: fields that no key has, queries, bodies, methods, hosts, paths that some \
         read otherwise; preset proxy, before an origin that repeats whatever it is told",
        ("0", "attempts"),
        found.hits.len() as f64,
        found.attempts,
        Some(format!(
            "{} of them were refused; {} of the good clients' second answers came from the cache",
            found.refused, found.kept
        )),
    );
    figures.add(
        "abuse.poisoning.hits.control",
        "The same through a cache that keeps everything by its decoded path alone",
        ("> 0", "attempts"),
        control.hits.len() as f64,
        control.attempts,
        None,
    );
    figures.finish(options)
}

#[derive(Debug, Default)]
struct Found {
    attempts: u64,
    refused: u64,
    /// Clean answers that were kept: nothing is shown where nothing is.
    kept: u64,
    hits: Vec<String>,
}

impl Found {
    fn say(&self, who: &str) {
        let Self { attempts, refused, kept, hits } = self;
        println!(
            "{who}: {attempts} attempts, {refused} refused, {kept} kept for good clients, {} hits",
            hits.len()
        );
        for hit in hits.iter().take(40) {
            println!("  {hit}");
        }
    }
}

async fn attack(server: SocketAddr, only: Option<&str>) -> Result<Found, CampaignError> {
    let mut found = Found::default();
    for attempt in corpus(|number| format!("/p/{number}")) {
        if only.is_some_and(|only| !attempt.name.contains(only)) {
            continue;
        }
        found.attempts += 1;
        let (status, ..) = ask(server, &attempt.bytes).await?;
        found.refused += u64::from(!status.starts_with('2'));
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", attempt.clean);
        for turn in 0..CLEAN {
            let (status, hit, body) = ask(server, request.as_bytes()).await?;
            if status != "200" || body != poison::clean(&attempt.clean) {
                found.hits.push(format!("{}: a good client got {status} {body:?}", attempt.name));
                break;
            }
            found.kept += u64::from(hit && turn + 1 == CLEAN);
        }
    }
    Ok(found)
}

/// Status of an answer, whether it came from a cache, and its body; the status is empty where
/// none came.
async fn ask(server: SocketAddr, bytes: &[u8]) -> Result<(String, bool, String), CampaignError> {
    let mut stream = TcpStream::connect(server).await?;
    // A server may have had enough before all of it is written.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let mut patience = PATIENCE;
    while let Ok(Ok(1..)) = timeout(patience, stream.read_buf(&mut answer)).await {
        patience = SILENCE;
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let hit = head
        .to_ascii_lowercase()
        .lines()
        .any(|line| line.strip_prefix("cache-status:").is_some_and(|value| value.contains("hit")));
    Ok((status, hit, body.to_owned()))
}
