//! `cargo xtask bench hot`: server CPU for each GB of hot 1 MiB objects over TLS, beside
//! Debian's nginx in the same run.

use std::{fs, path::Path, process::Command, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use weir_benches_content::Content;
use weir_benches_load::{
    Plan, Protocol, Server,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings, cpu,
        figures::median,
        network::Network,
        nginx::{self, Nginx},
        program,
    },
    cli, run,
};
use weir_benches_testbed::Origin;

/// The server has one core, the client the other.
const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// The working set.
const OBJECTS: u64 = 64;
const SIZE: u64 = 1 << 20;
/// Requests of one measurement, in full and in short.
const REQUESTS: (u64, u64) = (3000, 400);
const ROUNDS: (usize, usize) = (5, 1);
const SSL_BUFFERS: [&str; 3] = ["4k", "16k", "64k"];
const CIPHER: &str = "TLS_AES_128_GCM_SHA256";

/// As first argument: this process is only the client.
const CLIENT: &str = "client";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|first| first == CLIENT) {
        return cli::main(std::iter::once("weir-load".into()).chain(arguments));
    }
    let options = Options::parse();
    // The origin only warms caches; it may share the client's core.
    program::run("hot", 1, |network| measure(&options, network))
}

/// A server under measurement.
struct Subject {
    id: u32,
    /// For each protocol.
    servers: Vec<(Protocol, Arc<Server>)>,
    paths: Vec<String>,
}

impl Subject {
    fn server(&self, protocol: Protocol) -> &Arc<Server> {
        let found = self.servers.iter().find(|(known, _)| *known == protocol);
        &found.expect("both servers speak what is measured of them").1
    }
}

async fn measure(options: &Options, network: Network) -> Result<bool, CampaignError> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(CampaignError::Unfit("server and client need a core each".into()));
    }
    let place = Place::new(options)?;
    let origin = Origin::start().await?;
    let names: Vec<String> = (1..=OBJECTS).map(|id| Content::new(id, 1, SIZE).name()).collect();
    let settings = Settings {
        workers: 1,
        token: true,
        core: Some(SERVER_CORE),
        ..Settings::new(origin.url())
    };
    let mut edge = Edge::start(place.path(), &settings)?;
    let mut ours = Subject {
        id: edge.id(),
        servers: Vec::new(),
        paths: names.iter().map(|name| edge.path(&format!("/{name}"))).collect(),
    };
    for protocol in Protocol::ALL {
        ours.servers.push((protocol, edge.server(protocol)?));
    }
    warm(&ours).await?;
    let requests = if options.quick { REQUESTS.1 } else { REQUESTS.0 };

    let start = |buffer: &str| -> Result<(Nginx, Subject), CampaignError> {
        let nginx =
            Nginx::start(place.path(), origin.address(), edge.certificates(), SERVER_CORE, buffer)?;
        let servers = [Protocol::H1, Protocol::H2]
            .map(|protocol| Ok((protocol, nginx.server(protocol)?)))
            .into_iter()
            .collect::<Result<Vec<_>, CampaignError>>()?;
        let paths = names.iter().map(|name| format!("/{name}")).collect();
        let subject = Subject { id: nginx.id(), servers, paths };
        Ok((nginx, subject))
    };
    let buffer = if options.quick {
        SSL_BUFFERS[1]
    } else {
        let mut tried = Vec::new();
        for buffer in SSL_BUFFERS {
            let (nginx, peer) = start(buffer)?;
            warm(&peer).await?;
            // The better of two: a busy moment of the machine shall not choose for nginx.
            let best = |protocol| -> Result<f64, CampaignError> {
                let one = || tcp(place.path(), &peer, protocol, requests / 3);
                Ok(one()?.min(one()?))
            };
            let (h1, h2) = (best(Protocol::H1)?, best(Protocol::H2)?);
            nginx.stop()?;
            println!("nginx with ssl_buffer_size {buffer}: h1 {h1:.3}, h2 {h2:.3} CPU-s/GB");
            tried.push((h1 + h2, buffer));
        }
        tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or("16k", |(_, buffer)| buffer)
    };
    let (nginx, peer) = start(buffer)?;
    warm(&peer).await?;
    let mut costs = Costs::default();
    for round in 0..if options.quick { ROUNDS.1 } else { ROUNDS.0 } {
        for protocol in [Protocol::H1, Protocol::H2] {
            let own = tcp(place.path(), &ours, protocol, requests)?;
            let theirs = tcp(place.path(), &peer, protocol, requests)?;
            println!("round {round} {protocol}: ours {own:.3}, nginx {theirs:.3} CPU-s/GB");
            costs.add(protocol, own, theirs);
        }
        let own = quic(&edge, &ours, requests / 2)?;
        println!("round {round} h3: ours {own:.3} CPU-s/GB");
        costs.h3.push(own);
    }
    nginx.stop()?;
    edge.check()?;
    let logged = fs::read(edge.directory().join("log/access.jsonl")).unwrap_or_default();
    if logged.is_empty() {
        return Err(CampaignError::Unfit("the edge wrote no access log".into()));
    }
    edge.stop()?;
    let version = nginx::version()?;
    report(&costs, &format!("{version}, ssl_buffer_size {buffer}"), &network).finish(options)
}

#[derive(Default)]
struct Costs {
    h1: Vec<(f64, f64)>,
    h2: Vec<(f64, f64)>,
    h3: Vec<f64>,
}

impl Costs {
    fn add(&mut self, protocol: Protocol, ours: f64, theirs: f64) {
        let list = if protocol == Protocol::H1 { &mut self.h1 } else { &mut self.h2 };
        list.push((ours, theirs));
    }
}

fn report(costs: &Costs, peer: &str, network: &Network) -> Figures {
    let mut figures = Figures::of("hot");
    let on = format!("loopback at MTU {}, {}", network.mtu, network.congestion);
    for (protocol, list) in [(Protocol::H1, &costs.h1), (Protocol::H2, &costs.h2)] {
        let ours: Vec<f64> = list.iter().map(|(ours, _)| *ours).collect();
        let theirs: Vec<f64> = list.iter().map(|(_, theirs)| *theirs).collect();
        // Round by round, since what else the machine does hits both of one round.
        let ratios: Vec<f64> = list.iter().map(|(ours, theirs)| ours / theirs).collect();
        let (ours, theirs) = (median(&ours), median(&theirs));
        figures.add(
            format!("hot.1m.{protocol}.vs_nginx"),
            "Server CPU-seconds a GB of hot 1 MiB objects over TLS 1.3 with AES-128-GCM, ours / \
             Debian's nginx in the same run, median over interleaved rounds, one core each; \
             access log, checksums and path token on",
            ("<= 0.6", "ratio"),
            median(&ratios),
            list.len() as u64,
            Some(format!("medians: ours {ours:.3}, {peer} {theirs:.3} CPU-s/GB; {on}")),
        );
        figures.add(
            format!("hot.1m.{protocol}.cpu_s_per_gb"),
            "Server CPU-seconds a GB of the same, ours alone; depends on the machine",
            ("> 0", "CPU-s/GB"),
            ours,
            list.len() as u64,
            Some(format!("no bar of its own; {on}")),
        );
    }
    figures.add(
        "hot.1m.h3.cpu_s_per_gb",
        "Server CPU-seconds a GB of hot 1 MiB objects over HTTP/3, ours alone; depends on the \
         machine",
        ("> 0", "CPU-s/GB"),
        median(&costs.h3),
        costs.h3.len() as u64,
        Some(format!("no bar yet: Debian's nginx has no HTTP/3; {on}")),
    );
    figures
}

/// Every object twice, every byte checked: what is measured afterwards is right and hot.
async fn warm(subject: &Subject) -> Result<(), CampaignError> {
    for protocol in [Protocol::H1, Protocol::H2] {
        for path in &subject.paths {
            let report = run::run(Plan {
                server: Arc::clone(subject.server(protocol)),
                protocol,
                connections: 1,
                streams: 1,
                paths: vec![path.clone()],
                ranges: 0.0,
                requests: 2,
                time: Duration::from_secs(30),
                deadline: Duration::from_secs(10),
                versions: (1, 1),
                seed: 1,
                headers: Vec::new(),
            })
            .await;
            let report = report.map_err(|error| CampaignError::Unfit(error.to_string()))?;
            let all_right = report.statuses.get(&200) == Some(&2) && report.wrong.is_clean();
            if !all_right || report.error_count() > 0 {
                let message = format!("{path} is not served right: {}", report.to_json());
                return Err(CampaignError::Unfit(message));
            }
        }
    }
    Ok(())
}

/// CPU-seconds a GB over TCP, with h2load as the client.
fn tcp(
    place: &Path,
    subject: &Subject,
    protocol: Protocol,
    requests: u64,
) -> Result<f64, CampaignError> {
    let server = subject.server(protocol);
    let urls: Vec<String> =
        subject.paths.iter().map(|path| format!("https://{}{path}", server.authority())).collect();
    let list = place.join("urls");
    fs::write(&list, urls.join("\n"))
        .map_err(|source| CampaignError::File { path: list.clone(), source })?;
    let mut command = Command::new("taskset");
    command.args(["-c", &CLIENT_CORE.to_string(), "h2load", "-n", &requests.to_string()]);
    command.args(["--connect-to", &server.address.to_string()]);
    match protocol {
        Protocol::H1 => command.args(["--h1", "-c", "8", "-m", "1"]),
        _ => command.args(["-c", "4", "-m", "4"]),
    };
    command.arg("-i").arg(&list);
    let before = cpu::of_tree(subject.id)?;
    let output = command.output().map_err(|source| CampaignError::Tool {
        program: "h2load",
        package: "nghttp2-client",
        source,
    })?;
    let used = cpu::of_tree(subject.id)? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = |needle: &str| text.contains(needle);
    let alpn = String::from_utf8_lossy(protocol.alpn()).into_owned();
    if !said(&format!("status codes: {requests} 2xx"))
        || !said(&format!("Cipher: {CIPHER}"))
        || !said(&format!("Application protocol: {alpn}"))
    {
        return Err(CampaignError::Unfit(format!("h2load was not served as it should:\n{text}")));
    }
    Ok(used.as_secs_f64() / (requests * SIZE) as f64 * 1e9)
}

/// CPU-seconds a GB over HTTP/3, with our own client, every byte checked.
fn quic(edge: &Edge, subject: &Subject, requests: u64) -> Result<f64, CampaignError> {
    let server = subject.server(Protocol::H3);
    let mut command = Command::new("taskset");
    let program = std::env::current_exe()?;
    command.args(["-c", &CLIENT_CORE.to_string()]).arg(program).arg(CLIENT);
    command.args(["--connect", &server.address.to_string(), "--protocol", "h3"]);
    command.arg("--ca").arg(&edge.certificates().ca);
    command.args(["--connections", "4", "--streams", "4", "--seconds", "120"]);
    command.args(["--requests", &requests.to_string()]);
    for path in &subject.paths {
        command.args(["--path", path]);
    }
    let before = cpu::of_tree(subject.id)?;
    let output = command.output()?;
    let used = cpu::of_tree(subject.id)? - before;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(CampaignError::Unfit(format!("weir-load was not served right: {text}")));
    }
    Ok(used.as_secs_f64() / (requests * SIZE) as f64 * 1e9)
}
