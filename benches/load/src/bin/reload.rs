//! `cargo xtask bench reload`: clients over HTTP/1.1, 2 and 3 while the configuration is
//! reloaded again and again and certificates are replaced. None of their requests may fail, and
//! each reload has to be seen by connections that were open before it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use clap::Parser;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::TlsConnector;
use weir_benches_content::{Content, Expected};
use weir_benches_load::{
    Connection, Exchange, Protocol,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings,
        crowd::{Crowd, Stop},
        figures::median,
        program, sibling,
    },
    connection::{Ask, Server},
    tls,
};
use weir_benches_testbed::{Origin, ca};

/// Reloads that shall be taken, and among them replaced certificates: in full, and in short.
const RELOADS: (u64, u64) = (200, 20);
const SWAPS: u64 = 10;
/// Each so many a broken configuration is tried in between, and has to be refused.
const BROKEN: u64 = 10;
/// Clients of each protocol; each opens a new connection after so many requests.
const CLIENTS: u64 = 6;
const REQUESTS_EACH: u64 = 50;
/// Objects that are in memory after their first request.
const OBJECTS: u64 = 32;
const SIZE: u64 = 200_000;
/// Between two reloads: some requests of every client.
const BETWEEN: Duration = Duration::from_millis(60);

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("reload", 0, |_| run(&options))
}

/// What clients of one protocol came to.
#[derive(Debug, Default)]
struct Count {
    requests: AtomicU64,
    handshakes: AtomicU64,
    failed: AtomicU64,
    /// The first few failures, in words.
    words: Mutex<Vec<String>>,
    slowest_us: AtomicU64,
}

async fn run(options: &Options) -> Result<bool, CampaignError> {
    let place = Place::new(options)?;
    let origin = Origin::start().await?;
    let settings = Settings { token: true, ..Settings::new(origin.url()) };
    let mut edge = Edge::start(place.path(), &settings)?;
    let told = Told::new(&edge, origin.url())?;
    let reloads = if options.quick { RELOADS.1 } else { RELOADS.0 };
    let first = told.reload(&edge, 0, true).await?;
    if first["outcome"] != "applied" {
        return Err(CampaignError::Unfit(format!("the first reload was answered {first}")));
    }
    control(&told, &edge).await?;
    let mut crowd = Crowd::default();
    let mut counts = Vec::new();
    for protocol in Protocol::ALL {
        let count = Arc::new(Count::default());
        counts.push(Arc::clone(&count));
        for number in 0..CLIENTS {
            let client = Client {
                server: edge.server(protocol)?,
                protocol,
                prefix: edge.path(""),
                count: Arc::clone(&count),
                next: options.seed + number * 1000 + protocol as u64 * 100_000,
            };
            crowd.join(move |stop| client.go_on(stop));
        }
    }
    let before = edge.metrics().await?.sum("edge_config_reloads_total", "");
    let mut took = Vec::new();
    let mut open = witnesses(&edge).await?;
    for number in 1..=reloads {
        tokio::time::sleep(BETWEEN).await;
        let swap = number % SWAPS == 0;
        let fresh = if swap { Some(told.swap(&edge, number)?) } else { None };
        if number % BROKEN == 5 {
            told.refused(&edge).await?;
        }
        let begun = Instant::now();
        let result = told.reload(&edge, number, true).await?;
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
        let unfit = |what: &str| CampaignError::Unfit(format!("reload {number} {what}: {result}"));
        if result["outcome"] != "applied" {
            return Err(unfit("was not taken"));
        }
        if result["new_certificates"] != u64::from(swap) {
            return Err(unfit("counts other new certificates"));
        }
        for witness in &mut open {
            seen(witness, &edge, number).await?;
        }
        if let Some(fresh) = fresh {
            shown(&edge, &fresh).await?;
        }
    }
    let after = edge.metrics().await?.sum("edge_config_reloads_total", "");
    crowd.leave().await;
    edge.check()?;
    // Each of them, and those that were refused.
    let asked = reloads + reloads / BROKEN;
    if after - before != asked as f64 {
        let what = format!("the edge counted {} of {asked} reloads", after - before);
        return Err(CampaignError::Unfit(what));
    }
    edge.stop()?;
    let mut figures = Figures::of("reload");
    for (protocol, count) in Protocol::ALL.iter().zip(&counts) {
        report(&mut figures, *protocol, count, reloads, &took);
    }
    figures.finish(options)
}

fn report(figures: &mut Figures, protocol: Protocol, count: &Count, reloads: u64, took: &[f64]) {
    for words in count.words.lock().iter() {
        println!("{protocol}: {words}");
    }
    let requests = count.requests.load(Relaxed);
    figures.add(
        format!("reload.failed_requests.{protocol}"),
        format!(
            "Requests of {CLIENTS} clients that failed or brought a wrong byte while the \
             configuration was reloaded {reloads} times, {} of them with a new certificate",
            reloads / SWAPS
        ),
        ("0", "requests"),
        count.failed.load(Relaxed) as f64,
        requests,
        Some(format!(
            "{requests} requests over {} connections, the slowest took {:.0} ms; each reload was \
             seen by a connection opened before the first one; {} broken configurations were \
             refused in between; a reload took {:.0} ms (median), {:.0} at most",
            count.handshakes.load(Relaxed),
            count.slowest_us.load(Relaxed) as f64 / 1000.0,
            reloads / BROKEN,
            median(took),
            took.iter().copied().fold(0.0, f64::max),
        )),
    );
}

/// What the edge is told.
struct Told {
    cachectl: PathBuf,
    folder: PathBuf,
    origin: String,
}

impl Told {
    fn new(edge: &Edge, origin: String) -> Result<Self, CampaignError> {
        let folder = edge.directory().join("conf.d");
        fs::create_dir_all(&folder)
            .map_err(|source| CampaignError::File { path: folder.clone(), source })?;
        Ok(Self { cachectl: sibling("cachectl")?, folder, origin })
    }

    fn write(&self, text: &str) -> Result<(), CampaignError> {
        write(&self.folder.join("50-reload.toml"), text.as_bytes())
    }

    /// Something of every kind is another one each time: upstreams are made anew, a service
    /// comes and goes, fields, times and the level of the log change.
    async fn reload(
        &self,
        edge: &Edge,
        number: u64,
        good: bool,
    ) -> Result<serde_json::Value, CampaignError> {
        let (origin, ttl) = (&self.origin, 60 + number);
        let level = if number.is_multiple_of(2) { "warn" } else { "error" };
        let (upstream, extra) = match number % 3 {
            0 => ("origin", String::new()),
            1 => (
                "other",
                format!("[[upstream]]\nid = \"other\"\nkind = \"http\"\nurl = \"{origin}\"\n"),
            ),
            _ => (
                "origin",
                "[[service]]\nid = \"guest\"\npath_prefix = \"/guest/\"\npreset = \"proxy\"\n\
                 upstreams = [\"origin\"]\n"
                    .to_owned(),
            ),
        };
        let resumes = if good { (number % 5).to_string() } else { "\"some\"".to_owned() };
        self.write(&format!(
            "[log]\nlevel = \"{level}\"\n[fill]\nresumes = {resumes}\n{extra}\
             [[service]]\nid = \"film\"\ndefault_ttl = \"{ttl}s\"\nupstreams = [\"{upstream}\"]\n\
             [service.response_headers]\nset = {{ \"x-told\" = \"{number}\" }}\n"
        ))?;
        self.ask(edge).await
    }

    async fn ask(&self, edge: &Edge) -> Result<serde_json::Value, CampaignError> {
        let mut command = Command::new(&self.cachectl);
        command.args(["--json", "--socket"]).arg(edge.directory().join("run/admin.sock"));
        command.args(["config", "reload"]);
        let done = tokio::task::spawn_blocking(move || command.output()).await;
        let done = done.map_err(|error| CampaignError::Unfit(error.to_string()))??;
        serde_json::from_slice(&done.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            CampaignError::Unfit(format!("cachectl config reload said no JSON: {error}: {said}"))
        })
    }

    /// A broken configuration is refused, with the place.
    async fn refused(&self, edge: &Edge) -> Result<(), CampaignError> {
        let result = self.reload(edge, 1, false).await?;
        let said = result["refused"].as_str().unwrap_or_default();
        if result["outcome"] == "refused" && said.contains("50-reload.toml:4:11") {
            return Ok(());
        }
        Err(CampaignError::Unfit(format!("a broken configuration was answered {result}")))
    }

    /// Another certificate of the same authority in the place of the one that is served.
    fn swap(&self, edge: &Edge, number: u64) -> Result<CertificateDer<'static>, CampaignError> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let tls = edge.directory().join("tls");
        let made = ca::ensure(&tls, &format!("swap{number}"), &names, SystemTime::now())?;
        let used = edge.certificates();
        for (from, to) in [(&made.chain, &used.chain), (&made.key, &used.key)] {
            fs::rename(from, to)
                .map_err(|source| CampaignError::File { path: to.clone(), source })?;
        }
        CertificateDer::from_pem_file(&used.chain)
            .map_err(|error| CampaignError::Unfit(format!("the new certificate: {error}")))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CampaignError> {
    fs::write(path, bytes).map_err(|source| CampaignError::File { path: path.to_owned(), source })
}

/// Shows that a reload can fail requests and that this is seen: a service goes elsewhere, and the
/// next request on an open connection finds nothing.
async fn control(told: &Told, edge: &Edge) -> Result<(), CampaignError> {
    let mut open = witnesses(edge).await?;
    told.write(
        "[[service]]\nid = \"film\"\npath_prefix = \"/elsewhere/\"\nstrip_prefix = \"/\"\n",
    )?;
    told.ask(edge).await?;
    for connection in &mut open {
        if seen(connection, edge, 0).await.is_ok() {
            let what = "a service that went away is still found";
            return Err(CampaignError::Unfit(what.into()));
        }
    }
    told.reload(edge, 0, true).await.map(drop)
}

/// A connection of each protocol that is open from before the first reload to the end.
async fn witnesses(edge: &Edge) -> Result<Vec<Connection>, CampaignError> {
    let mut open = Vec::new();
    for protocol in Protocol::ALL {
        open.push(Connection::open(&edge.server(protocol)?, protocol).await?);
    }
    Ok(open)
}

/// A connection that was there before answers by the new configuration.
async fn seen(witness: &mut Connection, edge: &Edge, number: u64) -> Result<(), CampaignError> {
    let content = Content::new(1, 1, SIZE);
    let ask = Ask::path(edge.path(&format!("/{}", content.name()))).expect(Expected::all(&content));
    let exchange = witness.get(&ask).await;
    let told = exchange.headers.get("x-told").and_then(|value| value.to_str().ok());
    if told == Some(&*number.to_string()) && failure(&exchange).is_none() {
        return Ok(());
    }
    let why = failure(&exchange);
    Err(CampaignError::Unfit(format!(
        "after reload {number} an open connection was told {told:?} ({why:?})"
    )))
}

/// A new connection is shown the new certificate.
async fn shown(edge: &Edge, fresh: &CertificateDer<'static>) -> Result<(), CampaignError> {
    let unfit = |why: String| CampaignError::Unfit(format!("the new certificate: {why}"));
    let server = edge.server(Protocol::H1)?;
    let config = tls::config(&edge.certificates().ca, Protocol::H1)?;
    let socket = tokio::net::TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").map_err(|error| unfit(error.to_string()))?;
    let stream = TlsConnector::from(config).connect(name, socket).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    if leaf == Some(fresh) {
        Ok(())
    } else {
        Err(unfit("a new connection was shown another".into()))
    }
}

/// Why an exchange is no good.
fn failure(exchange: &Exchange) -> Option<String> {
    if let Some(error) = &exchange.error {
        return Some(error.clone());
    }
    match exchange.verdict {
        None => Some(format!("status {:?}", exchange.status)),
        Some(verdict) if !verdict.is_clean() => Some(format!("wrong bytes: {verdict}")),
        Some(_) => None,
    }
}

/// One client, who asks without a pause.
struct Client {
    server: Arc<Server>,
    protocol: Protocol,
    prefix: String,
    count: Arc<Count>,
    next: u64,
}

impl Client {
    async fn go_on(mut self, stop: Stop) {
        while !stop.asked() {
            let mut connection = match Connection::open(&self.server, self.protocol).await {
                Ok(connection) => connection,
                Err(error) => {
                    self.failed(format!("no connection: {error}"));
                    continue;
                }
            };
            self.count.handshakes.fetch_add(1, Relaxed);
            for _ in 0..REQUESTS_EACH {
                if stop.asked() {
                    return;
                }
                self.one(&mut connection).await;
                // What a failure did to the connection is not another failure.
                if !connection.is_open() {
                    break;
                }
            }
        }
    }

    /// Mostly something that is in memory; at times something new, so that fills run, too.
    async fn one(&mut self, connection: &mut Connection) {
        self.next += 1;
        let number =
            if self.next.is_multiple_of(10) { 10_000 + self.next } else { self.next % OBJECTS };
        let content = Content::new(number + 1, 1, SIZE);
        let path = format!("{}/{}", self.prefix, content.name());
        let ask = Ask::path(path).expect(Expected::all(&content));
        let exchange = connection.get(&ask).await;
        self.count.requests.fetch_add(1, Relaxed);
        let took = exchange.ended.duration_since(exchange.begun).as_micros();
        self.count.slowest_us.fetch_max(u64::try_from(took).unwrap_or(u64::MAX), Relaxed);
        if let Some(why) = failure(&exchange) {
            self.failed(format!("object {number}: {why}"));
        }
    }

    fn failed(&self, words: String) {
        self.count.failed.fetch_add(1, Relaxed);
        let mut kept = self.count.words.lock();
        if kept.len() < 5 {
            kept.push(words);
        }
    }
}
