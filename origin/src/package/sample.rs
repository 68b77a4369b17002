//! `weir-origin sample`: a film to try things with, drawn and sounded by ffmpeg alone.

use std::{path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

/// What `weir-origin sample` is told.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// Length in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// File to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Writes the sample film.
pub async fn run(args: Args) -> ExitCode {
    let _ = args;
    ExitCode::FAILURE
}
