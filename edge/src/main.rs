//! `weir-edge --config edge.toml`: reads arguments, loads config, builds, runs, drains.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use weir_config::{Loaded, LogFormat, Sources, edge::EdgeConfig, keys::Server};
use weir_config_lifecycle::{
    Clock, Notifier, NotifyError, Shutdown, Signals, SystemClock, Watchdog, heap, watchdog,
};
use weir_config_telemetry::logging::{self, Logging};
use weir_edge::{
    assemble, fleet,
    judge::{Contents, chain, uncovered},
    reload::{Parts, Reloader},
    run,
};
use weir_edge_transport::sockets::{Passed, passed_by_systemd};

/// The edge server: HLS and DASH segments over HTTP/1.1, HTTP/2 and HTTP/3.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Option<Serve>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this node a member of a fleet, with a token of its control plane.
    Join(fleet::join::Args),
}

/// What serving takes.
#[derive(Debug, clap::Args)]
struct Serve {
    /// The configuration; every key is in config/examples/edge.toml.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only read and check the configuration, and every file it names. Status 0: sound.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    heap::keep_small();
    let args = match Args::parse() {
        Args { command: Some(Command::Join(args)), .. } => return fleet::join::run(&args),
        Args { serve: Some(args), .. } => args,
        Args { .. } => Args::command().error(ErrorKind::MissingSubcommand, "--config FILE").exit(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let contents = Contents { now: args.check.then(|| clock.unix_seconds()) };
    let sources = Sources::new(&args.config).of_process(Server::Edge);
    let loaded = match sources.read().and_then(|texts| EdgeConfig::of(texts, &contents)) {
        Ok(loaded) => loaded,
        Err(report) => {
            logging::tell(report);
            return ExitCode::FAILURE;
        }
    };
    if args.check {
        let mut doubts = assemble::disks::odd(&loaded.config);
        doubts.extend(uncovered(&loaded.config));
        for doubt in doubts {
            logging::tell(format_args!("warning: {doubt}"));
        }
        return ExitCode::SUCCESS;
    }
    // Before anything else opens a file: the descriptors are known by their numbers.
    let (pid, fds) = (std::env::var("LISTEN_PID").ok(), std::env::var("LISTEN_FDS").ok());
    let passed = match passed_by_systemd(pid.as_deref(), fds.as_deref()) {
        Ok(passed) => passed,
        Err(error) => {
            logging::tell(format_args!("error: {}", chain(&error)));
            return ExitCode::FAILURE;
        }
    };
    let manager = match Manager::of_process() {
        Ok(manager) => manager,
        Err(error) => {
            logging::tell(format_args!("error: {}", chain(&error)));
            return ExitCode::FAILURE;
        }
    };
    match serve(sources, loaded, passed, manager, &clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::tell(format_args!("error: {}", chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

/// The service manager that started us, where one did and asks to hear of us.
struct Manager {
    notifier: Notifier,
    period: Option<Duration>,
}

impl Manager {
    fn of_process() -> Result<Self, NotifyError> {
        let notifier = Notifier::new(std::env::var_os("NOTIFY_SOCKET").as_deref())?;
        let text = |name| std::env::var(name).ok();
        let (pid, micros) = (text("WATCHDOG_PID"), text("WATCHDOG_USEC"));
        Ok(Self { notifier, period: watchdog::period(pid.as_deref(), micros.as_deref()) })
    }
}

fn serve(
    sources: Sources,
    loaded: Loaded<EdgeConfig>,
    passed: Passed,
    manager: Manager,
    clock: &Arc<dyn Clock>,
) -> Result<(), Box<dyn std::error::Error>> {
    let filter = std::env::var("WEIR_LOG").ok();
    let config = &loaded.config.clone();
    let verbosity = logging::init(Logging {
        level: config.log.level.as_str().parse()?,
        json: config.log.format == LogFormat::Json,
        filter: filter.as_deref(),
    })?;
    // Fills, disk and admin; the workers that serve have their own.
    let fills = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(assemble::workers(config).clamp(1, 4))
        .thread_name("fill")
        .enable_all()
        .build()?;
    fills.block_on(async {
        let shutdown = Shutdown::new();
        let signals = Signals::listen()?;
        let tls = assemble::tls(config, clock)?;
        let handle = tokio::runtime::Handle::current();
        let readiness = shutdown.readiness().clone();
        let pool = assemble::pool()?;
        let node = assemble::node(config, &pool, Arc::clone(clock), handle, readiness).await?;
        fleet::start(config, &node);
        let Manager { notifier, period } = manager;
        let begun = Instant::now();
        let pulses = Arc::clone(&node.pulses);
        // Until the end of this block.
        let _watchdog = period
            .map(|every| Watchdog::start(pulses, notifier.clone(), every, move || begun.elapsed()))
            .transpose()?;
        let serving = "serving".to_owned();
        tokio::spawn(notifier.clone().follow(node.readiness.clone(), serving));
        let parts = Parts {
            sources,
            node: Arc::downgrade(&node),
            pool,
            tls: tls.clone(),
            verbosity,
            log_filter: filter,
        };
        let reloader = Reloader::new(parts, loaded, clock.unix_millis());
        let _the_first = node.config.set(Arc::clone(&reloader));
        tokio::spawn(Arc::clone(&reloader).drive(notifier.clone()));
        let access = node.access.clone();
        let reopen = move || {
            if let Some(access) = &access {
                access.reopen();
            }
        };
        let reread = {
            let reopen = reopen.clone();
            move || {
                reopen();
                reloader.wake();
            }
        };
        tokio::spawn(signals.drive(shutdown.clone(), reread, reopen));
        let served = run::run(config, Arc::clone(&node), tls, passed, &shutdown).await;
        node.engine.cache().close().await;
        if let Some(access) = &node.access {
            access.close();
        }
        served.map_err(Into::into)
    })
}
