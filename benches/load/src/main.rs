//! `weir-load`: load over HTTP/1.1, 2 or 3 with every byte checked; prints JSON.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_benches_load::cli::main(std::env::args_os())
}
