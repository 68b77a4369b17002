//! `weir-steering authority`: the keys that sign, as a file that can be put away.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use weir_config::steering::SteeringConfig;
use weir_config_telemetry::logging::tell;
use weir_edge_transport::connect::fingerprint;
use weir_steering_fleet::signer::{back_up, restore};

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Write the keys into a new file. Whoever has it can be any node.
    Backup {
        /// The configuration that names their folder.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The new file.
        file: PathBuf,
    },
    /// Put the keys of a backup into the folder of the configuration, which must have none.
    Restore {
        /// The configuration that names their folder.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The backup.
        file: PathBuf,
    },
    /// Print what `weir-edge join --ca-sha256` takes.
    Fingerprint {
        /// The configuration that names their folder.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Does it. Status 0: done.
pub fn run(command: &Command) -> ExitCode {
    let (Command::Backup { config, .. }
    | Command::Restore { config, .. }
    | Command::Fingerprint { config }) = command;
    let folder = match SteeringConfig::load(config) {
        Ok(config) => config.store.authority,
        Err(report) => {
            tell(report);
            return ExitCode::FAILURE;
        }
    };
    let done = match command {
        Command::Backup { file, .. } => back_up(&folder, file).map_err(|error| error.to_string()),
        Command::Restore { file, .. } => restore(file, &folder).map_err(|error| error.to_string()),
        Command::Fingerprint { .. } => {
            let path = folder.join("authority.pem");
            match std::fs::read_to_string(&path).map(|pem| sha256(&pem)) {
                Ok(Some(text)) => {
                    use std::io::Write;
                    // Nobody reads any more when this fails.
                    let _ = writeln!(std::io::stdout(), "{text}");
                    Ok(())
                }
                Ok(None) => Err(format!("{} holds no certificate", path.display())),
                Err(error) => Err(format!("{}: {error}", path.display())),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("weir-steering: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The fingerprint of an authority, in hexadecimal.
pub(crate) fn sha256(pem: &str) -> Option<String> {
    fingerprint(pem).map(|bytes| weir_steering_fleet::token::hex(&bytes))
}
