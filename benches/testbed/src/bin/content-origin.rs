//! `content-origin`: a healthy origin of self-proving content, for trying things by hand.

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;
use weir_benches_testbed::Origin;

/// Serves any path that ends in OBJECT-SIZE.bin (OBJECT in hex, SIZE in bytes) until Ctrl-C.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let origin = match Origin::start_on(arguments.listen).await {
        Ok(origin) => origin,
        Err(error) => {
            eprintln!("content-origin: cannot listen on {}: {error}", arguments.listen);
            return ExitCode::FAILURE;
        }
    };
    println!("listening on {}", origin.address());
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("content-origin: cannot wait for a signal: {error}");
        return ExitCode::FAILURE;
    }
    println!("{} requests", origin.all_requests());
    ExitCode::SUCCESS
}
