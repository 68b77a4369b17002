//! `dev-ca`: makes or keeps a development CA and a leaf certificate under it.

use std::{path::PathBuf, process::ExitCode, time::SystemTime};

use clap::Parser;
use weir_benches_testbed::ca;

/// Makes a development CA and a certificate for the given names, or keeps what is valid.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where ca.pem, ca.key, LEAF.pem and LEAF.key are.
    #[arg(long)]
    dir: PathBuf,
    /// File name of the leaf.
    #[arg(long, default_value = "edge")]
    leaf: String,
    /// A host name or IP address that the leaf serves; can be given many times.
    #[arg(long = "name", required = true)]
    names: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let made = ca::ensure(&arguments.dir, &arguments.leaf, &arguments.names, SystemTime::now());
    let files = match made {
        Ok(files) => files,
        Err(error) => {
            eprintln!("dev-ca: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            return ExitCode::FAILURE;
        }
    };
    if arguments.json {
        let report = serde_json::json!({
            "ca": files.ca,
            "chain": files.chain,
            "key": files.key,
            "spki_sha256": files.spki_sha256,
            "kept_ca": files.kept.0,
            "kept_leaf": files.kept.1,
        });
        println!("{report}");
    } else {
        println!("ca: {}", files.ca.display());
        println!("chain: {}", files.chain.display());
        println!("key: {}", files.key.display());
        println!("spki-sha256: {}", files.spki_sha256);
    }
    ExitCode::SUCCESS
}
