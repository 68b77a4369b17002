//! `weir-steering serve`: reads its configuration, opens keys and database, listens, serves until it
//! is told to stop, and drains.

use std::{
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_config::{Level, LogFormat, Report, Sources, keys, steering::SteeringConfig};
use weir_config_lifecycle::{
    Clock, Notifier, Phase, Pulses, Shutdown, Signals, SystemClock, Watchdog,
};
use weir_config_telemetry::{Metrics, logging};
use weir_edge_http::{Counters, Drained, Limits, Server};
use weir_edge_transport::sockets::{BindError, Passed};
use weir_steering_fleet::{
    Control, LocalSigner, Rules, Signer, SystemEntropy, control::Ground, signer::OpenError,
};
use weir_steering_store::{Backend, Store, StoreError};

use crate::{
    admin::{Admin, Desk, Management},
    certificate::{Own, ServerTlsError},
    listen,
    metrics::Counts,
    nodes::Nodes,
};

/// Connections of nodes at once: ten thousand nodes, and as many that come back.
const CONNECTIONS: usize = 20_000;
/// Connections of operators at once.
const ADMIN_CONNECTIONS: usize = 64;
/// Bytes of a request's body.
const BODY_BYTES: u64 = 1 << 20;

/// What `weir-steering serve` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The configuration, in TOML; config/examples/steering.toml shows every key.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only read and check the configuration, and every file it names. Status 0: sound.
    #[arg(long)]
    pub check: bool,
}

/// What the service manager that started us gives and wants; nothing of it where none did.
#[derive(Debug, Default)]
pub struct Host {
    /// The sockets it holds.
    pub passed: Passed,
    /// Where it wants to hear of us.
    pub notifier: Notifier,
    /// How often it wants to hear that all is well.
    pub watchdog: Option<Duration>,
}

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] Report),
    #[error(transparent)]
    Logging(#[from] logging::LoggingError),
    #[error("store.authority")]
    Authority(#[source] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("TLS for nodes")]
    Tls(#[from] ServerTlsError),
    #[error("listen.nodes")]
    Listen(#[source] BindError),
    #[error("admin.listen")]
    Management(#[source] BindError),
    #[error("admin.socket {path}")]
    Admin {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path}")]
    Folder {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("a socket cannot be used")]
    Socket(#[source] io::Error),
    #[error("no thread for the watchdog")]
    Watchdog(#[source] io::Error),
    #[error(transparent)]
    Signals(#[from] weir_config_lifecycle::SignalsError),
}

/// Serves until a signal. The status is 0 after a clean drain, 1 where it could not start or
/// had to cut requests off.
pub async fn run(args: Args, host: Host, log_filter: Option<&str>) -> ExitCode {
    let done = match args.check {
        true => load(&args).map(|_| Drained::default()).map_err(ServeError::from),
        false => serve(&args, host, log_filter).await,
    };
    match done {
        Ok(Drained { dropped: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(ServeError::Config(report)) => {
            logging::tell(report);
            ExitCode::FAILURE
        }
        Err(error) => {
            // The log may not have started, and a person reads this.
            logging::tell(format_args!("weir-steering: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn load(args: &Args) -> Result<SteeringConfig, Report> {
    let texts = Sources::new(&args.config).of_process(keys::Server::Steering).read()?;
    Ok(SteeringConfig::of(texts)?.config)
}

/// An error with its causes, each once: transparent ones carry the text of theirs.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

async fn serve(args: &Args, host: Host, log_filter: Option<&str>) -> Result<Drained, ServeError> {
    // First, so that an early Ctrl-C is not lost.
    let signals = Signals::listen()?;
    let config = load(args)?;
    start_log(&config, log_filter)?;
    let shutdown = Shutdown::new();
    let Host { passed, notifier, watchdog } = host;
    let steering =
        Steering::start(passed, &config, Arc::new(SystemClock), shutdown.clone()).await?;
    let begun = Instant::now();
    let pulses = Arc::clone(&steering.pulses);
    let _watchdog = watchdog
        .map(|every| Watchdog::start(pulses, notifier.clone(), every, move || begun.elapsed()))
        .transpose()
        .map_err(ServeError::Watchdog)?;
    tokio::spawn(notifier.follow(shutdown.readiness().clone(), "serving nodes".into()));
    let hearing = tokio::spawn(signals.drive(shutdown.clone(), || {}, || {}));
    let drained = steering.finished().await;
    shutdown.stop();
    // It ends by itself now; a panic in it was reported.
    let _ = hearing.await;
    tracing::info!(finished = drained.finished, dropped = drained.dropped, "stopped");
    Ok(drained)
}

fn start_log(config: &SteeringConfig, filter: Option<&str>) -> Result<(), logging::LoggingError> {
    let level = match config.log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    // Statements are not for the log.
    let own = format!("warn,sqlx=error,weir={level}");
    let json = config.log.format == LogFormat::Json;
    logging::init(logging::Logging { level, json, filter: Some(filter.unwrap_or(&own)) }).map(drop)
}

/// A running control plane.
#[derive(Debug)]
pub struct Steering {
    addresses: Vec<SocketAddr>,
    management: Option<SocketAddr>,
    control: Arc<Control>,
    servers: JoinSet<Drained>,
    pulses: Arc<Pulses>,
    socket: PathBuf,
}

impl Steering {
    /// Opens everything and begins to serve; what cannot be had is an error, and nothing is
    /// served then. Ends with `shutdown`, within the deadline of the configuration.
    ///
    /// # Errors
    /// What cannot be had.
    pub async fn start(
        mut passed: Passed,
        config: &SteeringConfig,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Result<Self, ServeError> {
        let entropy = Arc::new(SystemEntropy);
        let folder = &config.store.authority;
        let signer = LocalSigner::open(folder, Box::new(SystemEntropy), clock.unix_seconds());
        let signer: Arc<dyn Signer> = Arc::new(signer.map_err(ServeError::Authority)?);
        let store = Store::open(&backend(config)?).await?;
        let rules = Rules {
            certificate: config.fleet.certificate,
            grace: config.fleet.grace,
            every: config.fleet.report_every,
        };
        let ground =
            Ground { store, signer: Arc::clone(&signer), entropy, clock: Arc::clone(&clock) };
        let control = Arc::new(Control::open(ground, rules).await?);
        let own = Own {
            signer,
            clock: Arc::clone(&clock),
            names: config.listen.names.clone(),
            folder: folder.join("server"),
        };
        let tls = own.tls().await?;

        let listeners =
            listen::tcp(&config.listen.nodes, &mut passed).map_err(ServeError::Listen)?;
        let management = listen::tcp(config.admin.listen.as_slice(), &mut passed);
        let management = management.map_err(ServeError::Management)?;
        let socket = config.admin.socket.clone();
        let admin = listen::unix(&socket)
            .map_err(|source| ServeError::Admin { path: socket.display().to_string(), source })?;
        for address in passed.left() {
            tracing::warn!(%address, "a socket was passed that the configuration does not name");
        }

        let ports = listeners.iter().map(|(address, _)| address.port());
        let urls =
            ports.flat_map(|port| config.listen.names.iter().map(move |name| url(name, port)));
        let readiness = shutdown.readiness().clone();
        let counts = Counts::new(Metrics::new());
        let (control, urls) = (Arc::clone(&control), urls.collect());
        let desk = Arc::new(Desk { control: Arc::clone(&control), counts, readiness, urls });
        let pulses = Arc::new(Pulses::default());
        tokio::spawn(pulses.pulse("threads").go_on());
        tokio::spawn(Control::keep(Arc::downgrade(&control)));
        tokio::spawn(own.renew(tls.clone()));
        let orders = follow(&shutdown, config.shutdown.deadline);
        let mut steering = Self {
            addresses: Vec::new(),
            management: None,
            control: Arc::clone(&control),
            servers: JoinSet::new(),
            pulses: Arc::clone(&pulses),
            socket,
        };
        let nodes = Arc::new(Nodes { control });
        for (address, listener) in listeners {
            let listener = listen::adopt(listener).map_err(ServeError::Socket)?;
            let limits =
                Limits { connections: CONNECTIONS, body_bytes: BODY_BYTES, ..Limits::default() };
            let counters = Arc::new(Counters::default());
            let server = Server::new(Arc::clone(&nodes), limits, counters, Arc::clone(&clock))
                .watched(Arc::clone(&pulses));
            let (orders, tls) = (orders.clone(), tls.clone());
            steering.servers.spawn(async move { server.tls(listener, &tls, &orders).await });
            steering.addresses.push(address);
            tracing::info!(%address, "nodes may come");
        }
        let limits = Limits { connections: ADMIN_CONNECTIONS, ..Limits::default() };
        for (address, listener) in management {
            let listener = listen::adopt(listener).map_err(ServeError::Socket)?;
            let handler = Arc::new(Management(Arc::clone(&desk)));
            let server = Server::new(handler, limits.clone(), Arc::default(), Arc::clone(&clock));
            let orders = orders.clone();
            steering.servers.spawn(async move { server.plain(listener, &orders).await });
            steering.management = Some(address);
            tracing::info!(%address, "health and metrics");
        }
        let server = Server::new(Arc::new(Admin(desk)), limits, Arc::default(), clock);
        steering.servers.spawn(async move { server.unix(admin, &orders).await });
        shutdown.readiness().advance(Phase::Serving);
        Ok(steering)
    }

    /// Where nodes come, with the ports that were found where 0 was asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where health and metrics are asked for.
    pub fn management(&self) -> Option<SocketAddr> {
        self.management
    }

    /// The fleet.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Waits for the end of all servers.
    pub async fn finished(mut self) -> Drained {
        let mut all = Drained::default();
        while let Some(server) = self.servers.join_next().await {
            // A server that panicked was reported when it did; nothing of it is left to wait
            // for.
            all += server.unwrap_or_default();
        }
        self.control.flush().await;
        self.control.store().close().await;
        let _gone = fs::remove_file(&self.socket);
        all
    }
}

fn backend(config: &SteeringConfig) -> Result<Backend, ServeError> {
    if let Some(url) = &config.store.postgres {
        return Ok(Backend::Postgres(url.expose().to_owned()));
    }
    let file = &config.store.sqlite;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |source| ServeError::Folder { path: folder.display().to_string(), source };
        fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(Backend::Sqlite(file.clone()))
}

fn url(name: &str, port: u16) -> String {
    if name.contains(':') {
        format!("https://[{name}]:{port}")
    } else {
        format!("https://{name}:{port}")
    }
}

/// The orders of the process as the servers take them.
fn follow(shutdown: &Shutdown, deadline: Duration) -> weir_edge_http::Shutdown {
    let orders = weir_edge_http::Shutdown::new(CancellationToken::new(), deadline);
    let (begin, cut, shutdown) = (orders.begin.clone(), orders.cut.clone(), shutdown.clone());
    tokio::spawn(async move {
        shutdown.draining().await;
        begin.cancel();
        shutdown.stopped().await;
        cut.cancel();
    });
    orders
}
