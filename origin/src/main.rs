//! `weir-origin`: an S3 server over a local directory, and packaging of films into it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_config_lifecycle::{Notifier, watchdog};
use weir_edge_transport::sockets::passed_by_systemd;
use weir_origin::{package, serve};

#[derive(Debug, Parser)]
#[command(version, about = "Keeps films: an S3 server over a local directory, and packaging.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a local directory by the S3 protocol.
    Serve(serve::Args),
    /// Encode films, write their HLS and DASH manifests, and publish them.
    Package(package::Args),
    /// Write a generated film to try things with.
    Sample(package::sample::Args),
}

fn main() -> ExitCode {
    // Before anything else opens a file: the descriptors are known by their numbers.
    let host = match host() {
        Ok(host) => host,
        Err(error) => {
            weir_config_telemetry::logging::tell(format_args!("weir-origin: {error}"));
            return ExitCode::FAILURE;
        }
    };
    start(host)
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

#[tokio::main]
async fn start(host: serve::Host) -> ExitCode {
    // The environment is read here and nowhere else.
    let log_filter = std::env::var("WEIR_LOG").ok();
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args, host, log_filter.as_deref()).await,
        Command::Package(args) => package::run(args).await,
        Command::Sample(args) => package::sample::run(args).await,
    }
}
