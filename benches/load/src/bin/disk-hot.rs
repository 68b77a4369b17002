//! `cargo xtask bench disk-hot`: server CPU for each GB of 1 MiB objects that come from the
//! device, beside Debian's nginx in the same run, each alone in a memory group of the same
//! limit that counts its page cache.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use weir_benches_content::{Content, Expected, Verdict};
use weir_benches_load::{
    Connection, Protocol, Server,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings, cpu,
        device::Traffic,
        figures::median,
        group::Group,
        network::Network,
        nginx::{self, Aio, Nginx},
        program,
    },
    connection::Ask,
};
use weir_benches_testbed::Origin;

/// The server has one core, the clients the other.
const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
const SIZE: u64 = 1 << 20;
/// Of a server with its page cache, and how much of it the edge is told to use: the rest is
/// for connections, code and metadata; nginx has all of it for its page cache.
const LIMIT: (u64, u64) = (512 << 20, 256 << 20);
const MEMORY: (&str, &str) = ("320 MiB", "128 MiB");
/// The working set over the limit.
const TIMES: u64 = 4;
const ROUNDS: (usize, usize) = (5, 1);
/// Clients, each a process with an order of its own: all connections of one h2load walk its
/// list in step, and would read each object from the device once for all of them.
const CLIENTS: usize = 8;
const SSL_BUFFERS: [&str; 3] = ["4k", "16k", "64k"];
const CIPHER: &str = "TLS_AES_128_GCM_SHA256";
/// Passes over everything until nothing has to be fetched any more.
const PASSES: usize = 5;
/// Less than that has to come from the origin while measuring.
const MISSES: f64 = 0.005;
/// Less than that from the device, and it was no measurement of disks.
const FROM_DEVICE: f64 = 0.5;

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("disk-hot", 1, |network| measure(&options, network))
}

/// A server under measurement.
struct Subject {
    name: &'static str,
    id: u32,
    server: Arc<Server>,
    /// With what they hold.
    paths: Vec<(String, Content)>,
}

/// One run of all clients against one server.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// CPU-seconds a GB.
    cpu: f64,
    /// Bytes from the device for each byte served.
    device: f64,
    /// Bytes a second.
    rate: f64,
}

async fn measure(options: &Options, network: Network) -> Result<bool, CampaignError> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(CampaignError::Unfit("server and clients need a core each".into()));
    }
    let short = |pair: (u64, u64)| if options.quick { pair.1 } else { pair.0 };
    let limit = short(LIMIT);
    let objects = TIMES * limit / SIZE;
    // Before the processes in them, so that they are dropped after those.
    let our_group = Group::new("edge", limit)?;
    let peer_group = Group::new("nginx", limit)?;
    let place = Place::new(options)?;
    let origin = Origin::start().await?;
    let contents: Vec<Content> = (1..=objects).map(|id| Content::new(id, 1, SIZE)).collect();
    let settings = Settings {
        workers: 1,
        token: true,
        memory: if options.quick { MEMORY.1 } else { MEMORY.0 },
        disk: Some("8 GiB"),
        concurrency: 16,
        deadline: "10s",
        core: Some(SERVER_CORE),
        group: Some(our_group.path().to_owned()),
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place.path(), &settings)?;
    let named = |path: &dyn Fn(&str) -> String| {
        let one = |content: &Content| (path(&format!("/{}", content.name())), *content);
        contents.iter().map(one).collect::<Vec<_>>()
    };
    let ours = Subject {
        name: "weir-edge",
        id: edge.id(),
        server: edge.server(Protocol::H1)?,
        paths: named(&|path| edge.path(path)),
    };
    warm(&ours, &origin).await?;
    let mut run = Run { place: place.path(), origin: &origin, seed: options.seed };

    let start = |buffer: &str, aio: Aio| -> Result<(Nginx, Subject), CampaignError> {
        let nginx = Nginx::start_in(
            place.path(),
            origin.address(),
            edge.certificates(),
            SERVER_CORE,
            (buffer, aio),
            Some(peer_group.path()),
        )?;
        let server = nginx.server(Protocol::H1)?;
        let paths = named(&|path| path.to_owned());
        let subject = Subject { name: "nginx", id: nginx.id(), server, paths };
        Ok((nginx, subject))
    };
    let (first, peer) = start(SSL_BUFFERS[1], Aio::Threads)?;
    warm(&peer, &origin).await?;
    first.stop()?;
    let ways = SSL_BUFFERS
        .into_iter()
        .flat_map(|buffer| [Aio::Off, Aio::Threads].map(|aio| (buffer, aio)));
    let (buffer, aio) = if options.quick {
        (SSL_BUFFERS[1], Aio::Threads)
    } else {
        let mut tried = Vec::new();
        for (buffer, aio) in ways {
            let (nginx, peer) = start(buffer, aio)?;
            let cost = run.all(&peer, objects / 2)?;
            nginx.stop()?;
            println!("nginx with ssl_buffer_size {buffer}, aio {}: {cost:.3?}", aio.as_str());
            tried.push((cost.cpu, (buffer, aio)));
        }
        let best = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or((SSL_BUFFERS[1], Aio::Threads), |(_, way)| way)
    };
    let (nginx, peer) = start(buffer, aio)?;
    let mut costs = Vec::new();
    for round in 0..if options.quick { ROUNDS.1 } else { ROUNDS.0 } {
        let own = run.all(&ours, objects)?;
        let theirs = run.all(&peer, objects)?;
        println!("round {round}: ours {own:.3?}, nginx {theirs:.3?}");
        costs.push((own, theirs));
    }
    // What was measured is right, too.
    check(&ours).await?;
    check(&peer).await?;
    let peaks = (our_group.peak().unwrap_or(0), peer_group.peak().unwrap_or(0));
    if our_group.killed() || peer_group.killed() {
        return Err(CampaignError::Unfit("a server was killed for want of memory".into()));
    }
    nginx.stop()?;
    edge.check()?;
    edge.stop()?;
    let peer = format!("{}, ssl_buffer_size {buffer}, aio {}", nginx::version()?, aio.as_str());
    let on = format!("loopback at MTU {}, {}", network.mtu, network.congestion);
    report(&costs, &peer, limit, peaks, &on).finish(options)
}

/// What a run of clients needs.
struct Run<'a> {
    place: &'a Path,
    origin: &'a Origin,
    seed: u64,
}

impl Run<'_> {
    /// Every client asks for its share of `requests`, in an order of its own.
    fn all(&mut self, subject: &Subject, requests: u64) -> Result<Cost, CampaignError> {
        let each = requests / CLIENTS as u64;
        let mut commands = Vec::new();
        for client in 0..CLIENTS {
            self.seed += 1;
            let mut rng = SmallRng::seed_from_u64(self.seed);
            let authority = subject.server.authority();
            let mut urls: Vec<String> = subject
                .paths
                .iter()
                .map(|(path, _)| format!("https://{authority}{path}"))
                .collect();
            urls.shuffle(&mut rng);
            let list = self.place.join(format!("urls-{client}"));
            fs::write(&list, urls.join("\n"))
                .map_err(|source| CampaignError::File { path: list.clone(), source })?;
            let mut command = Command::new("taskset");
            command.args(["-c", &CLIENT_CORE.to_string(), "h2load", "--h1", "-c", "1", "-m", "1"]);
            command.args(["-n", &each.to_string()]);
            command.args(["--connect-to", &subject.server.address.to_string()]);
            command.arg("-i").arg(&list);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            commands.push(command);
        }
        let asked = self.origin.all_requests();
        let (used, read) = (cpu::of_tree(subject.id)?, Traffic::of_tree(subject.id)?);
        let begun = Instant::now();
        let missing =
            |source| CampaignError::Tool { program: "h2load", package: "nghttp2-client", source };
        let mut running = Vec::new();
        for mut command in commands {
            running.push(command.spawn().map_err(missing)?);
        }
        for child in running {
            let output = child.wait_with_output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let said = |needle: &str| text.contains(needle);
            if !said(&format!("status codes: {each} 2xx")) || !said(&format!("Cipher: {CIPHER}")) {
                let message = format!("{} did not serve h2load:\n{text}", subject.name);
                return Err(CampaignError::Unfit(message));
            }
        }
        let took = begun.elapsed().as_secs_f64();
        let bytes = (each * CLIENTS as u64 * SIZE) as f64;
        let used = cpu::of_tree(subject.id)? - used;
        let read = Traffic::of_tree(subject.id)?.since(read).read;
        let missed = (self.origin.all_requests() - asked) as f64;
        let cost = Cost {
            cpu: used.as_secs_f64() / bytes * 1e9,
            device: read as f64 / bytes,
            rate: bytes / took,
        };
        let unfit = |why: String| Err(CampaignError::Unfit(format!("{}: {why}", subject.name)));
        if missed > MISSES * bytes / SIZE as f64 {
            return unfit(format!("{missed} requests went to the origin: it does not hold all"));
        }
        if cost.device < FROM_DEVICE {
            return unfit(format!("only {:.2} of the bytes came from the device", cost.device));
        }
        Ok(cost)
    }
}

/// Fills the cache until everything is in it; every byte is checked.
async fn warm(subject: &Subject, origin: &Origin) -> Result<(), CampaignError> {
    for pass in 0..PASSES {
        let before = origin.all_requests();
        ask_all(subject, 1).await?;
        let asked = origin.all_requests() - before;
        println!("{}: pass {pass} asked the origin {asked} times", subject.name);
        if asked == 0 {
            return Ok(());
        }
    }
    let message = format!("{} does not keep its working set", subject.name);
    Err(CampaignError::Unfit(message))
}

/// A part of everything, checked.
async fn check(subject: &Subject) -> Result<(), CampaignError> {
    ask_all(subject, 8).await
}

async fn ask_all(subject: &Subject, step: usize) -> Result<(), CampaignError> {
    let mut connection = Connection::open(&subject.server, Protocol::H1).await?;
    for (path, content) in subject.paths.iter().step_by(step) {
        let ask = Ask { deadline: Duration::from_secs(20), ..Ask::path(path.clone()) };
        let exchange = connection.get(&ask.expect(Expected::all(content))).await;
        let right = exchange.verdict.as_ref().is_some_and(Verdict::is_clean);
        if !right || exchange.error.is_some() {
            let message = format!("{} does not serve {path}: {exchange:?}", subject.name);
            return Err(CampaignError::Unfit(message));
        }
    }
    Ok(())
}

fn report(costs: &[(Cost, Cost)], peer: &str, limit: u64, peaks: (u64, u64), on: &str) -> Figures {
    let mut figures = Figures::of("disk-hot");
    let middle =
        |of: &dyn Fn(&(Cost, Cost)) -> f64| median(&costs.iter().map(of).collect::<Vec<_>>());
    let mib = |bytes: u64| bytes >> 20;
    let trials = costs.len() as u64;
    figures.add(
        "disk.1m.h1.vs_nginx",
        "Server CPU-seconds a GB of 1 MiB objects over TLS 1.3 with AES-128-GCM on HTTP/1.1, of a \
         working set four times the memory, ours / Debian's nginx in the same run, median over \
         interleaved rounds; each alone in a memory group of the same limit that counts the page \
         cache, one core each; access log, checksums and path token on",
        ("<= 0.7", "ratio"),
        middle(&|(own, theirs)| own.cpu / theirs.cpu),
        trials,
        Some(format!(
            "medians: ours {:.3} CPU-s/GB, {:.2} of the bytes from the device, {:.2} GB/s; {peer} \
             {:.3}, {:.2}, {:.2}; limit {} MiB, at most used {} and {}; {on}",
            middle(&|(own, _)| own.cpu),
            middle(&|(own, _)| own.device),
            middle(&|(own, _)| own.rate / 1e9),
            middle(&|(_, theirs)| theirs.cpu),
            middle(&|(_, theirs)| theirs.device),
            middle(&|(_, theirs)| theirs.rate / 1e9),
            mib(limit),
            mib(peaks.0),
            mib(peaks.1),
        )),
    );
    for (name, what, value) in [
        ("cpu_s_per_gb", "Server CPU-seconds a GB of the same, ours alone", {
            middle(&|(own, _)| own.cpu)
        }),
        ("device_share", "Bytes that the edge read from the device for each byte it served", {
            middle(&|(own, _)| own.device)
        }),
    ] {
        let unit = if name == "device_share" { "ratio" } else { "CPU-s/GB" };
        figures.add(
            format!("disk.1m.h1.{name}"),
            what,
            ("> 0", unit),
            value,
            trials,
            Some(format!("no bar of its own; {on}")),
        );
    }
    figures
}
