//! `weir-origin serve`: S3 over a local directory. It reads its configuration, opens the store,
//! listens, serves until it is told to stop, and drains.

mod admin;
mod answer;
mod chunks;
mod digest;
mod gate;
mod grants;
mod handler;
mod objects;
mod operation;
mod report;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use weir_config::{Level, LogFormat, Report, Sources, keys, origin::OriginConfig};
use weir_config_lifecycle::{
    Clock, Notifier, Phase, Pulses, Shutdown, Signals, SystemClock, Watchdog,
};
use weir_config_telemetry::{AccessLog, AccessLogError, AccessOptions, Metrics, logging};
use weir_edge_http::{Counters, Drained, Limits, Server};
use weir_edge_transport::sockets::{BindError, Passed, bind_tcp};
use weir_origin_store::{Directory, DirectoryOptions, OpenError};

use self::{admin::Admin, answer::chain, grants::Grants, handler::S3Handler, report::Reports};

/// Connections of S3 clients at once.
const CONNECTIONS: usize = 4096;
/// Connections of operators at once.
const ADMIN_CONNECTIONS: usize = 64;
/// Bytes of a request's body: the largest PUT, and what its framing adds.
const MAX_BODY_BYTES: u64 = 6 << 30;

/// What `weir-origin serve` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The configuration, in TOML; config/examples/origin.toml shows every key.
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

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] Report),
    #[error(transparent)]
    Logging(#[from] logging::LoggingError),
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    #[error("store.path: {0}")]
    Store(#[source] OpenError),
    #[error("listen.http: {0}")]
    Listen(#[source] BindError),
    #[error("admin.listen: {0}")]
    Admin(#[source] BindError),
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
    if args.check {
        return check(&args);
    }
    match serve(&args, host, log_filter).await {
        Ok(Drained { dropped: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // The log may not have started, and a person reads this.
            logging::tell(format_args!("weir-origin: {}", start_error(&error)));
            ExitCode::FAILURE
        }
    }
}

fn check(args: &Args) -> ExitCode {
    match load(args) {
        Ok(_) => ExitCode::SUCCESS,
        Err(report) => {
            logging::tell(report);
            ExitCode::FAILURE
        }
    }
}

fn load(args: &Args) -> Result<OriginConfig, Report> {
    let texts = Sources::new(&args.config).of_process(keys::Server::Origin).read()?;
    Ok(OriginConfig::of(texts)?.config)
}

/// Transparent errors carry their text already; the rest adds its causes.
fn start_error(error: &ServeError) -> String {
    match error {
        ServeError::Store(source) => format!("store.path: {}", chain(source)),
        ServeError::Listen(source) => format!("listen.http: {}", chain(source)),
        ServeError::Admin(source) => format!("admin.listen: {}", chain(source)),
        error => chain(error),
    }
}

async fn serve(args: &Args, host: Host, log_filter: Option<&str>) -> Result<Drained, ServeError> {
    // First, so that an early Ctrl-C is not lost.
    let signals = Signals::listen()?;
    let config = load(args)?;
    start_log(&config, log_filter)?;
    let shutdown = Shutdown::new();
    let Host { passed, notifier, watchdog } = host;
    let clock = Arc::new(SystemClock);
    let metrics = Metrics::new();
    let origin = Origin::start_on(passed, &config, clock, &metrics, shutdown.clone()).await?;
    let begun = Instant::now();
    let pulses = Arc::clone(&origin.pulses);
    let _watchdog = watchdog
        .map(|every| Watchdog::start(pulses, notifier.clone(), every, move || begun.elapsed()))
        .transpose()
        .map_err(ServeError::Watchdog)?;
    tokio::spawn(notifier.follow(shutdown.readiness().clone(), "serving S3".into()));
    let access = origin.access.clone();
    let reopen = move || {
        if let Some(access) = &access {
            access.reopen();
        }
    };
    let hearing = tokio::spawn(signals.drive(shutdown.clone(), reopen.clone(), reopen));
    let drained = origin.finished().await;
    shutdown.stop();
    // It ends by itself now; a panic in it was reported.
    let _ = hearing.await;
    tracing::info!(finished = drained.finished, dropped = drained.dropped, "stopped");
    Ok(drained)
}

fn start_log(config: &OriginConfig, filter: Option<&str>) -> Result<(), logging::LoggingError> {
    let level = match config.log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    // s3s reports every missing key as an error, and signatures and whole requests to those
    // who debug: what matters of it is told here.
    let own = format!("warn,s3s=off,weir={level}");
    let json = config.log.format == LogFormat::Json;
    logging::init(logging::Logging { level, json, filter: Some(filter.unwrap_or(&own)) }).map(drop)
}

/// A running server.
#[derive(Debug)]
pub struct Origin {
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    access: Option<AccessLog>,
    servers: JoinSet<Drained>,
    pulses: Arc<Pulses>,
}

impl Origin {
    /// Opens everything and begins to serve; what cannot be had is an error, and nothing is
    /// served then. Ends with `shutdown`, within the deadline of the configuration.
    pub async fn start(
        config: &OriginConfig,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        shutdown: Shutdown,
    ) -> Result<Self, ServeError> {
        Self::start_on(Passed::default(), config, clock, metrics, shutdown).await
    }

    /// The same on sockets that a service manager holds; what it does not hold is bound here.
    pub async fn start_on(
        mut passed: Passed,
        config: &OriginConfig,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        shutdown: Shutdown,
    ) -> Result<Self, ServeError> {
        let access = match &config.log.access {
            None => None,
            Some(path) => Some(AccessLog::open(path, AccessOptions::default())?),
        };
        let listeners = listen(&config.listen.http, &mut passed).map_err(ServeError::Listen)?;
        let admin =
            listen(config.admin.listen.as_slice(), &mut passed).map_err(ServeError::Admin)?;
        for address in passed.left() {
            tracing::warn!(%address, "a socket was passed that the configuration does not name");
        }
        let store = open(config, Arc::clone(&clock)).await?;

        let orders = follow(&shutdown, config.shutdown.deadline);
        let reports = Reports::new(metrics, access.clone(), Arc::clone(&clock));
        let handler = Arc::new(S3Handler::new(
            Arc::new(store.clone()),
            Grants::new(config),
            config.store.region.clone(),
            Arc::clone(&clock),
            Arc::new(reports),
        ));
        let readiness = shutdown.readiness().clone();
        let asked = Arc::new(Admin { metrics: metrics.clone(), readiness, store });
        let counters = Arc::new(Counters::default());
        let pulses = Arc::new(Pulses::default());
        tokio::spawn(pulses.pulse("threads").go_on());
        let (addresses, servers) = (Vec::new(), JoinSet::new());
        let mut origin = Self { addresses, admin: None, access, servers, pulses };
        for (address, listener) in listeners {
            let listener = adopt(listener)?;
            let limits = Limits {
                connections: CONNECTIONS,
                body_bytes: MAX_BODY_BYTES,
                ..Limits::default()
            };
            let server = Server::new(
                Arc::clone(&handler),
                limits,
                Arc::clone(&counters),
                Arc::clone(&clock),
            )
            .watched(Arc::clone(&origin.pulses));
            let orders = orders.clone();
            origin.servers.spawn(async move { server.plain(listener, &orders).await });
            origin.addresses.push(address);
            tracing::info!(%address, "serving S3");
        }
        for (address, listener) in admin {
            let listener = adopt(listener)?;
            let limits = Limits { connections: ADMIN_CONNECTIONS, ..Limits::default() };
            let server =
                Server::new(Arc::clone(&asked), limits, Arc::default(), Arc::clone(&clock));
            let orders = orders.clone();
            origin.servers.spawn(async move { server.plain(listener, &orders).await });
            origin.admin = Some(address);
            tracing::info!(%address, "answering operators");
        }
        shutdown.readiness().advance(Phase::Serving);
        Ok(origin)
    }

    /// Where S3 is served, with the ports that were found where 0 was asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where operators ask.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Waits for the end of all servers.
    pub async fn finished(mut self) -> Drained {
        let mut all = Drained::default();
        while let Some(server) = self.servers.join_next().await {
            // A server that panicked was reported when it did; nothing of it is left to wait
            // for.
            all += server.unwrap_or_default();
        }
        if let Some(access) = self.access.take() {
            // Waits for the disk.
            let _ = tokio::task::spawn_blocking(move || access.flush()).await;
        }
        all
    }
}

fn listen(
    addresses: &[SocketAddr],
    passed: &mut Passed,
) -> Result<Vec<(SocketAddr, std::net::TcpListener)>, BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let (found, sockets) = match passed.take(*address) {
            Some(bound) => (bound.address, bound.tcp),
            None => bind_tcp(*address, 1)?,
        };
        listeners.extend(sockets.into_iter().map(|socket| (found, socket)));
    }
    Ok(listeners)
}

fn adopt(listener: std::net::TcpListener) -> Result<TcpListener, ServeError> {
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(ServeError::Socket)
}

async fn open(config: &OriginConfig, clock: Arc<dyn Clock>) -> Result<Directory, ServeError> {
    let path = config.store.path.clone();
    let options = DirectoryOptions::new(config.store.buckets.clone(), clock);
    let opened = tokio::task::spawn_blocking(move || Directory::open(&path, options)).await;
    opened.map_err(|error| ServeError::Socket(io::Error::other(error)))?.map_err(ServeError::Store)
}

/// The orders of the process as the servers take them.
fn follow(shutdown: &Shutdown, deadline: std::time::Duration) -> weir_edge_http::Shutdown {
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
