//! `weir-edge join`: makes this node a member of a fleet. Its key is made here and stays here.

use std::{io::Read, path::PathBuf, process::ExitCode};

use weir_config::edge::EdgeConfig;
use weir_config_telemetry::logging::tell;
use weir_steering_client::{Home, Joining, Membership, join};

/// A token is a line.
const TOKEN_BYTES: u64 = 4096;

/// What `weir-edge join` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The configuration that names the node, its site, and `steering.state`.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The file with the token that `cachectl enroll token create` printed.
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// SHA-256 of the authority's certificate, in hexadecimal, as printed with the token.
    #[arg(long, value_name = "HEX")]
    pub ca_sha256: String,
    /// Give up a membership that is there for a new one.
    #[arg(long)]
    pub again: bool,
    /// The control plane: https://host:port.
    pub url: String,
}

/// Joins. Status 0: done.
pub fn run(args: &Args) -> ExitCode {
    match joined(args) {
        Ok((folder, member)) => {
            let ends_s = member.ends_ms / 1_000;
            tell(format_args!(
                "{} has joined {}: its key and certificate are in {}; the certificate ends at \
                 Unix time {ends_s} and is renewed by itself from {} on",
                member.node,
                member.url,
                folder.display(),
                member.renew_ms / 1_000,
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn joined(args: &Args) -> Result<(PathBuf, Membership), String> {
    let sha256 = fingerprint(&args.ca_sha256)
        .ok_or("--ca-sha256 takes 64 hexadecimal digits, as printed with the token")?;
    let config = EdgeConfig::load(&args.config).map_err(|report| report.to_string())?;
    let Some(folder) = config.steering.state else {
        let file = args.config.display();
        return Err(format!(
            "{file} names no folder for the membership: set `[steering] state = \"state/steering\"`"
        ));
    };
    let mut token = String::new();
    std::fs::File::open(&args.token_file)
        .and_then(|file| file.take(TOKEN_BYTES).read_to_string(&mut token))
        .map_err(|error| format!("{}: {error}", args.token_file.display()))?;
    let joining = Joining {
        url: args.url.trim_end_matches('/').to_owned(),
        token: token.trim().to_owned(),
        sha256,
        node: config.node.name,
        site: config.node.site,
        again: args.again,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let member = runtime.block_on(join(&Home::at(&folder), joining));
    Ok((folder, member.map_err(|error| error.to_string())?))
}

/// 32 bytes of hexadecimal, with colons or without.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `+f` would be taken for a number.
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn fingerprints() {
        let plain = "0f".repeat(32);
        assert_eq!(fingerprint(&plain), Some([15; 32]));
        assert_eq!(fingerprint(&vec!["0F"; 32].join(":")), Some([15; 32]));
        for bad in ["", "0f", &"0g".repeat(32), &"+f".repeat(32), &"0f".repeat(33)] {
            assert_eq!(fingerprint(bad), None, "{bad}");
        }
    }
}
