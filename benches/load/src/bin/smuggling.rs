//! `cargo xtask bench smuggling`: requests that two readers may take for different ones, through
//! the edge to origins of several kinds. Each origin shall see what the edge meant, and nobody
//! else's answer shall go astray.

use std::{
    collections::HashSet, fs, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration,
};

use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use weir_benches_load::{
    Protocol, Server,
    attack::Tally,
    campaign::{CampaignError, Edge, Figures, Options, Place, Settings, nginx::Plain, program},
    desync::{
        fields, h2, h3, http1,
        listener::{Habit, Listener},
        naive::Careless,
    },
};

/// After this much silence an answer to an attempt is over.
const SILENCE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(60));
/// For the answer to a marker.
const PATIENCE: Duration = Duration::from_secs(5);
/// Good requests after each attempt, over the same connections upstream.
const MARKERS: usize = 3;
const NGINX: &str = "nginx";

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
    program::run("smuggling", 2, |_| run(arguments))
}

/// What the attempts at one origin came to.
#[derive(Debug, Default)]
struct Outcome {
    attempts: u64,
    markers: u64,
    /// Bodies that an origin, which reads none, took for requests, on connections that nobody
    /// else's request came to: what it was sent was right.
    contained: u64,
    findings: Vec<String>,
}

/// One origin behind something, and how it is asked.
struct Way {
    name: &'static str,
    /// Before every path.
    prefix: String,
    plain: SocketAddr,
    /// None where HTTP/2 and HTTP/3 are not spoken.
    servers: Option<(Arc<Server>, Arc<Server>)>,
    origin: Seen,
    silence: Duration,
    only: Option<String>,
    tally: Tally,
    /// Targets that the origin may see: those that were asked for. A log may be late.
    may: HashSet<String>,
}

/// Where an origin wrote down what it read.
enum Seen {
    Listener(Listener),
    Log(Plain, usize),
}

impl Seen {
    /// Targets since the last time.
    fn take(&mut self) -> Vec<String> {
        match self {
            Self::Listener(listener) => listener.take(),
            Self::Log(nginx, read) => {
                let text = fs::read_to_string(nginx.log()).unwrap_or_default();
                let lines = text.lines().skip(*read).map(str::to_owned);
                let new: Vec<String> = lines.collect();
                *read += new.len();
                new
            }
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool, CampaignError> {
    let options = &arguments.options;
    let place = Place::new(options)?;
    let silence = if options.quick { SILENCE.1 } else { SILENCE.0 };
    let mut origins = Vec::new();
    for habit in Habit::ALL {
        let listener = Listener::start(habit).await?;
        origins.push((habit.as_str(), listener.address(), Seen::Listener(listener)));
    }
    let nginx = Plain::start(place.path())?;
    origins.push((NGINX, nginx.address(), Seen::Log(nginx, 0)));
    let services: String =
        origins.iter().map(|(name, address, _)| service(name, *address)).collect();
    let (_, first, _) = &origins[0];
    let settings =
        Settings { extra: services, disk: None, ..Settings::new(format!("http://{first}")) };
    let mut edge = Edge::start(place.path(), &settings)?;
    let tally = Tally::default();
    let mut ways = JoinSet::new();
    for (name, _, origin) in origins {
        let way = Way {
            name,
            prefix: format!("/{name}"),
            plain: edge.http(),
            servers: Some((edge.server(Protocol::H2)?, edge.server(Protocol::H3)?)),
            origin,
            silence,
            only: arguments.only.clone(),
            tally: tally.clone(),
            may: HashSet::new(),
        };
        ways.spawn(try_all(way));
    }
    let mut all = Outcome::default();
    while let Some(ended) = ways.join_next().await {
        all.merge(ended.map_err(|error| CampaignError::Unfit(error.to_string()))??);
    }
    edge.check()?;
    edge.stop()?;
    say("weir-edge", &all);
    println!("the edge's answers: {tally}");

    let origin = Listener::start(Habit::Chunks).await?;
    let careless = Careless::before(origin.address()).await?;
    let control = try_all(Way {
        name: "control",
        prefix: String::new(),
        plain: careless.address(),
        servers: None,
        origin: Seen::Listener(origin),
        silence: SILENCE.1,
        only: arguments.only.clone(),
        tally: Tally::default(),
        may: HashSet::new(),
    })
    .await?;
    say("control (careless proxy)", &control);
    let mut figures = Figures::of("smuggling");
    let what = "Requests that an origin saw and the edge did not mean, and answers that went \
                astray, at attempts to have one request read as two (HTTP/1.1, HTTP/2 and HTTP/3 \
                in; a strict origin, three lenient ones and Debian's nginx)";
    figures.add(
        "abuse.smuggling.desyncs",
        what,
        ("0", "requests"),
        all.findings.len() as f64,
        all.attempts,
        Some(format!(
            "{} markers beside; {} bodies that an origin which reads none took for requests, each \
             on a connection that nobody else's request came to; the edge's answers: {tally}",
            all.markers, all.contained
        )),
    );
    figures.add(
        "abuse.smuggling.desyncs.control",
        "The same attempts over HTTP/1.1 through a careless proxy to a lenient origin",
        ("> 0", "requests"),
        control.findings.len() as f64,
        control.attempts,
        None,
    );
    figures.finish(options)
}

fn service(name: &str, address: SocketAddr) -> String {
    format!(
        "[[upstream]]\nid = \"{name}\"\nkind = \"http\"\nurl = \"http://{address}\"\n\n\
         [[service]]\nid = \"{name}\"\npath_prefix = \"/{name}/\"\nstrip_prefix = \"/{name}/\"\n\
         preset = \"proxy\"\nupstreams = [\"{name}\"]\n\n"
    )
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.markers += other.markers;
        self.contained += other.contained;
        self.findings.extend(other.findings);
    }
}

fn say(who: &str, outcome: &Outcome) {
    println!(
        "{who}: {} attempts, {} markers, {} contained, {} findings",
        outcome.attempts,
        outcome.markers,
        outcome.contained,
        outcome.findings.len()
    );
    for finding in outcome.findings.iter().take(40) {
        println!("  {finding}");
    }
}

/// Every attempt in turn, each followed by markers.
async fn try_all(mut way: Way) -> Result<Outcome, CampaignError> {
    let mut outcome = Outcome::default();
    let prefix = way.prefix.clone();
    let wanted =
        |name: &str, only: &Option<String>| only.as_ref().is_none_or(|only| name.contains(only));
    for (number, attempt) in
        http1::corpus(|number| format!("{prefix}/a/1-{number}")).iter().enumerate()
    {
        if !wanted(&attempt.name, &way.only) {
            continue;
        }
        raw(way.plain, &attempt.bytes, way.silence, &way.tally).await;
        let own = format!("/a/1-{number}");
        way.judge(&format!("HTTP/1.1 {}", attempt.name), &own, &mut outcome).await;
    }
    let Some((over_h2, over_h3)) = way.servers.clone() else { return Ok(outcome) };
    let authority = over_h2.authority();
    for (version, server) in [(2, over_h2), (3, over_h3)] {
        let corpus = fields::corpus(&authority, |number| format!("{prefix}/a/{version}-{number}"));
        for (number, attempt) in corpus.iter().enumerate() {
            if !wanted(&attempt.name, &way.only) {
                continue;
            }
            if version == 2 {
                h2::send(&server, attempt, &way.tally).await?;
            } else {
                let outcome = h3::send(&server, attempt).await?;
                way.tally.add(&format!("HTTP/3 {outcome}"), 1);
            }
            let own = format!("/a/{version}-{number}");
            way.judge(&format!("HTTP/{version} {}", attempt.name), &own, &mut outcome).await;
        }
    }
    Ok(outcome)
}

impl Way {
    /// Sends markers, and holds what the origin saw against what it may see.
    async fn judge(&mut self, attempt: &str, own: &str, outcome: &mut Outcome) {
        let name = self.name;
        outcome.attempts += 1;
        self.may.insert(own.to_owned());
        for _ in 0..MARKERS {
            outcome.markers += 1;
            let path = format!("/m/{}", outcome.markers);
            let got = marker(self.plain, &format!("{}{path}", self.prefix)).await;
            if got.as_deref() != Ok(path.as_str()) {
                outcome.findings.push(format!("{name}: {attempt}: the marker {path} got {got:?}"));
            }
            self.may.insert(path);
        }
        for target in self.origin.take() {
            if self.may.contains(&target) {
                continue;
            }
            if name == Habit::Bodiless.as_str() && !target.starts_with('!') {
                outcome.contained += 1;
            } else {
                let finding = format!("{name}: {attempt}: the origin saw {target:?}");
                outcome.findings.push(finding);
            }
        }
    }
}

/// Sends bytes as they are, and reads until nothing comes.
async fn raw(address: SocketAddr, bytes: &[u8], silence: Duration, tally: &Tally) {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        tally.add("HTTP/1.1 not connected", 1);
        return;
    };
    // A server may have had enough before all of it is written.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    while let Ok(Ok(1..)) = timeout(silence, stream.read_buf(&mut answer)).await {
        if answer.len() > 1 << 20 {
            break;
        }
    }
    let code = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let code = code.map_or("not".into(), |code| String::from_utf8_lossy(code).into_owned());
    tally.add(&format!("HTTP/1.1 answered {code}"), 1);
}

/// A good request; the body of its answer.
async fn marker(address: SocketAddr, path: &str) -> Result<String, String> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let lower = head.to_ascii_lowercase();
                let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.and_then(|l| l.trim().parse().ok()).unwrap_or(0);
                if body.len() >= length {
                    let status = head.lines().next().unwrap_or_default();
                    let well = status.starts_with("HTTP/1.1 200");
                    return Ok(if well {
                        Ok(body[..length].to_owned())
                    } else {
                        Err(status.to_owned())
                    });
                }
            }
            if stream.read_buf(&mut answer).await? == 0 {
                return Ok(Err("closed".to_owned()));
            }
        }
    };
    match timeout(PATIENCE, talk).await {
        Ok(Ok(answer)) => answer,
        Ok(Err::<_, std::io::Error>(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}
