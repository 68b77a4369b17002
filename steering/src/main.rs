//! `weir-steering`: the control plane, and the keys that it signs with.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_config_lifecycle::{Notifier, watchdog};
use weir_edge_transport::sockets::passed_by_systemd;
use weir_steering::{authority, serve};

#[derive(Debug, Parser)]
#[command(version, about = "The control plane: who belongs to the fleet, and what it is told.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let nodes join, report and be told.
    Serve(serve::Args),
    /// The keys that sign: put them away, put them back, show their fingerprint.
    #[command(subcommand)]
    Authority(authority::Command),
}

fn main() -> ExitCode {
    // Before anything else opens a file: the descriptors are known by their numbers.
    let host = match host() {
        Ok(host) => host,
        Err(error) => {
            weir_config_telemetry::logging::tell(format_args!("weir-steering: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // The environment is read here and nowhere else.
    let log_filter = std::env::var("WEIR_LOG").ok();
    match Cli::parse().command {
        Command::Serve(args) => run(args, host, log_filter.as_deref()),
        Command::Authority(command) => authority::run(&command),
    }
}

#[tokio::main(worker_threads = 2)]
async fn run(args: serve::Args, host: serve::Host, log_filter: Option<&str>) -> ExitCode {
    serve::run(args, host, log_filter).await
}

/// What a service manager says in the environment.
fn host() -> Result<serve::Host, Box<dyn std::error::Error>> {
    let text = |name| std::env::var(name).ok();
    let (pid, fds) = (text("LISTEN_PID"), text("LISTEN_FDS"));
    let passed = passed_by_systemd(pid.as_deref(), fds.as_deref())?;
    let notifier = Notifier::new(std::env::var_os("NOTIFY_SOCKET").as_deref())?;
    let (pid, micros) = (text("WATCHDOG_PID"), text("WATCHDOG_USEC"));
    let watchdog = watchdog::period(pid.as_deref(), micros.as_deref());
    Ok(serve::Host { passed, notifier, watchdog })
}
