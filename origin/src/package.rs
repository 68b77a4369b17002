//! `weir-origin package FILE…`: films become titles in an object store.
//!
//! Phases of one film, in order: probe, plan, encode, verify, publish. The pure decisions (ladder,
//! keys, playlists) are `weir-origin-media`'s; here are the child processes, the disk and
//! the store.

pub mod sample;

use std::{path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

/// What `weir-origin package` is told.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// Films to package.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Packages every file in turn; one that fails does not stop the others, and the exit status
/// says that one failed.
pub async fn run(args: Args) -> ExitCode {
    let _ = args;
    ExitCode::FAILURE
}
