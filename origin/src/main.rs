//! `weir-origin`: an S3 server over a local directory, and packaging of films into it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
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

#[tokio::main]
async fn main() -> ExitCode {
    // The environment is read here and nowhere else.
    let log_filter = std::env::var("WEIR_LOG").ok();
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args, log_filter.as_deref()).await,
        Command::Package(args) => package::run(args).await,
        Command::Sample(args) => package::sample::run(args).await,
    }
}
