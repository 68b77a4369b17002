//! The edge under test: a configuration in a place, the real binary, and how to reach it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use weir_benches_testbed::ca;
use weir_edge_token::{Claims, SigningKey, insert, key_set};

use super::{
    admin::{Metrics, Operator},
    error::CampaignError,
    group,
    process::{Process, free_address, status_of},
    sibling,
    viewer::Way,
};
use crate::{
    connection::{Protocol, Server},
    tls,
};

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(20);
/// The service's audience and name.
const SERVICE: &str = "film";

/// What a campaign decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of the origin.
    pub origin: String,
    /// Worker threads.
    pub workers: usize,
    /// Whether URLs need a token.
    pub token: bool,
    /// Of the RAM tier, as the configuration writes it.
    pub memory: &'static str,
    /// Of each disk of the disk tier; none has none.
    pub disk: Option<&'static str>,
    /// Disks of that size: `cache/disk0` and so on.
    pub disks: usize,
    /// Deadline of a fill, as the configuration writes it.
    pub deadline: &'static str,
    /// Requests to the origin at once; each has 1 MiB of the memory.
    pub concurrency: usize,
    /// Objects in the metadata table; as many as the edge takes by itself where none is said.
    pub objects: Option<u64>,
    /// More of the configuration: services and upstreams beside the campaign's own.
    pub extra: String,
    /// Run on this core alone.
    pub core: Option<usize>,
    /// Run in this memory group.
    pub group: Option<PathBuf>,
}

impl Settings {
    /// Two workers, no token, RAM and disk, two seconds.
    pub fn new(origin: String) -> Self {
        Self {
            origin,
            workers: 2,
            token: false,
            memory: "512 MiB",
            disk: Some("2 GiB"),
            disks: 1,
            deadline: "2s",
            concurrency: 256,
            objects: None,
            extra: String::new(),
            core: None,
            group: None,
        }
    }
}

/// A running edge.
#[derive(Debug)]
pub struct Edge {
    process: Process,
    start: Start,
    https: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
    certificates: ca::Files,
    token: Option<String>,
    directory: PathBuf,
}

impl Edge {
    /// Writes a configuration into `place` and starts `weir-edge` with it.
    pub fn start(place: &Path, settings: &Settings) -> Result<Self, CampaignError> {
        let directory = place.join("edge");
        let (https, http, admin) = (free_address()?, free_address()?, free_address()?);
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificates = ca::ensure(&directory.join("tls"), "edge", &names, SystemTime::now())?;
        for part in ["state", "run", "log", "keys", "cache"] {
            make(&directory.join(part))?;
        }
        let token = settings.token.then(|| token(&directory)).transpose()?;
        let path = directory.join("edge.toml");
        let config = configuration(settings, https, http, admin);
        write(&path, &config)?;
        let start = Start {
            program: sibling("weir-edge")?,
            config: path,
            log: directory.join("log/edge.out"),
            core: settings.core,
            group: settings.group.clone(),
        };
        let process = start.process()?;
        let mut edge = Self { process, start, https, http, admin, certificates, token, directory };
        edge.wait()?;
        Ok(edge)
    }

    /// Waits until it is ready to serve.
    pub fn wait(&mut self) -> Result<(), CampaignError> {
        let admin = self.admin;
        self.process.wait_until(START, || status_of(admin, "/readyz") == Some(200))
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) -> Result<(), CampaignError> {
        self.process.kill()
    }

    /// Starts it again as it was, at the same addresses, over the same files; says when. It is
    /// not ready yet.
    pub fn start_again(&mut self) -> Result<Instant, CampaignError> {
        let begun = Instant::now();
        self.process = self.start.process()?;
        Ok(begun)
    }

    /// Its counters now.
    pub async fn metrics(&self) -> Result<Metrics, CampaignError> {
        Metrics::read(self.admin).await
    }

    /// Whom operators ask.
    pub fn operator(&self) -> Operator {
        let base = format!("https://localhost:{}/vod", self.https.port());
        Operator::new(self.directory.join("run/admin.sock"), base)
    }

    /// Where the chunks of the disk tier are.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("cache/disk0")
    }

    /// Where it keeps metadata.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state/metadata.redb")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whom a client of `protocol` connects to, over TLS.
    pub fn server(&self, protocol: Protocol) -> Result<Arc<Server>, CampaignError> {
        let tls = Some(tls::config(&self.certificates.ca, protocol)?);
        Ok(Arc::new(Server { address: self.https, name: "localhost".into(), tls }))
    }

    /// Where viewers go who speak `protocol`.
    pub fn way(&self, protocol: Protocol) -> Result<Way, CampaignError> {
        Ok(Way { server: self.server(protocol)?, protocol, prefix: self.path("") })
    }

    /// A way for each of `protocols`, in their order.
    pub fn ways(&self, protocols: &[Protocol]) -> Result<Vec<Way>, CampaignError> {
        protocols.iter().map(|protocol| self.way(*protocol)).collect()
    }

    /// Where it speaks plain HTTP/1.1.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Its certificate, for a peer that shall use the same.
    pub fn certificates(&self) -> &ca::Files {
        &self.certificates
    }

    /// The path under which the edge serves what the origin serves as `path`.
    pub fn path(&self, path: &str) -> String {
        let path = format!("/vod{path}");
        self.token.as_ref().map_or(path.clone(), |token| insert(token, &path))
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> Result<(), CampaignError> {
        self.process.check()
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Drains it; it must end well, and can be started again.
    pub fn rest(&mut self) -> Result<(), CampaignError> {
        self.process.rest(STOP)
    }

    /// Drains it; it must end well.
    pub fn stop(self) -> Result<(), CampaignError> {
        self.process.stop(STOP)
    }
}

/// How the process is started, for the first time and again.
#[derive(Debug)]
struct Start {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    core: Option<usize>,
    group: Option<PathBuf>,
}

impl Start {
    fn process(&self) -> Result<Process, CampaignError> {
        let mut command = group::command(self.group.as_deref(), self.core, &self.program);
        command.arg("--config").arg(&self.config);
        Process::start("weir-edge", &mut command, &self.log)
    }
}

/// A key set beside the configuration, and a token for everything, good for a day.
fn token(directory: &Path) -> Result<String, CampaignError> {
    let unfit = |why: String| CampaignError::Unfit(format!("cannot make a token: {why}"));
    // A key that protects nothing but a benchmark may as well be the same each time.
    let key = SigningKey::from_seed([7; 32], Some("bench")).map_err(|e| unfit(e.to_string()))?;
    write(&directory.join("keys/jwks.json"), &key_set([&key]).to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims::new(SERVICE, "/vod/", now + 24 * 60 * 60);
    key.mint(&claims).map_err(|error| unfit(error.to_string()))
}

fn configuration(
    settings: &Settings,
    https: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
) -> String {
    let Settings { origin, workers, memory, deadline, concurrency, extra, .. } = settings;
    let disk = settings.disk.map_or(String::new(), |size| {
        let disk =
            |number| format!("[[cache.disk]]\npath = \"cache/disk{number}\"\nsize = \"{size}\"\n");
        (0..settings.disks).map(disk).collect()
    });
    let objects = settings.objects.map_or(String::new(), |most| format!("objects = {most}"));
    let token = if settings.token {
        "[service.token]\nrequired = true\naudience = \"film\"\njwks = \"keys/jwks.json\"\n"
    } else {
        ""
    };
    format!(
        r#"[node]
name = "bench"
site = "local"
workers = {workers}

[listen]
https = ["{https}"]
http = ["{http}"]
http3 = true

[admin]
socket = "run/admin.sock"
listen = "{admin}"

[tls]
keys = "state/transport-keys"

[[tls.certificate]]
chain = "tls/edge.pem"
key = "tls/edge.key"

[cache]
memory = "{memory}"
{objects}
# Campaigns count what the disk tier holds: it is offered everything.
admission = "always"
state = "state/metadata.redb"

{disk}
[fill]
concurrency = {concurrency}
deadline = "{deadline}"
resumes = 3

[log]
level = "warn"
format = "json"
access = "log/access.jsonl"

[shutdown]
deadline = "5s"

[[upstream]]
id = "origin"
kind = "http"
url = "{origin}"

[[service]]
id = "{SERVICE}"
path_prefix = "/vod/"
strip_prefix = "/vod/"
preset = "media"
upstreams = ["origin"]

{token}
{extra}"#
    )
}

fn make(path: &Path) -> Result<(), CampaignError> {
    fs::create_dir_all(path).map_err(|source| CampaignError::File { path: path.into(), source })
}

fn write(path: &Path, text: &str) -> Result<(), CampaignError> {
    fs::write(path, text).map_err(|source| CampaignError::File { path: path.into(), source })
}
