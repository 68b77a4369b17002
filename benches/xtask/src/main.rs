//! `cargo xtask`: reads the command, runs it, says how it ended.

use std::{path::PathBuf, process::ExitCode};

use weir_benches_xtask::{
    Failure,
    args::{Args, nearest},
    bench, compat, scorecard, signals, test, up,
};

const USAGE: &str = "\
cargo xtask COMMAND

  up [--film FILE] [--listen ADDR,…] [--port N] [--plain-http] [--dir DIR] [--no-build]
        Sets up what is missing, packages a film, starts an origin and an edge, and prints
        the URL where the film plays. One edge for each address of --listen. --no-build
        takes the programs in target/release as they are.
  up --check [--short]
        The same, played by four stock players in headless Chromium over HTTP/2 and HTTP/3.
        --short plays one of each at 1x and the others faster.
  test [--only STAGE]
        Sets up and runs every test.
  scorecard [--check]
        Makes the tables of docs/ from docs/scorecard.json and says what does not hold.
        --check changes nothing and fails where they differ.
  scorecard put --id ID --measured N [--trials N] [--what TEXT] [--bar BAR] [--unit UNIT]
                [--command TEXT] [--note TEXT]
        Writes a figure; a bar is like 1, '<= 0.6' or '> 0'.
  bench NAME [ARGUMENT…]
        Runs a benchmark and writes its figures; without a name it lists them.
  s3-compat --server ours|moto|garage
        Holds an S3 server against what Weir expects of one.
  deny
        Licences, bans and sources of all dependencies.
";

const COMMANDS: [&str; 6] = ["up", "test", "scorecard", "bench", "s3-compat", "deny"];

fn main() -> ExitCode {
    let mut args = Args::new(std::env::args().skip(1));
    if args.flag("--help") || args.flag("-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) if signals::asked() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(why) => {
            eprintln!("xtask: {why}");
            if why.usage {
                eprintln!("`cargo xtask --help` shows what there is");
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Args) -> Result<bool, Failure> {
    let root = root()?;
    match args.command().as_deref() {
        Some("up") => up::command(&root, args),
        Some("test") => test::command(&root, args),
        Some("scorecard") => scorecard::command(&root, args),
        Some("bench") => bench::command(&root, args),
        Some("s3-compat") => compat::command(&root, args),
        Some("deny") => args.end().and_then(|()| test::deny(&root)),
        Some(other) => {
            let near = nearest(other, &COMMANDS);
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(Failure::usage(format!("there is no command `{other}`{hint}")))
        }
        None => {
            args.end()?;
            Err(Failure::usage("which command?"))
        }
    }
}

/// The repository this program was built from.
fn root() -> Result<PathBuf, Failure> {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    if root.join("Cargo.lock").is_file() {
        return Ok(root);
    }
    Err(Failure::new(format!(
        "the repository was at {} when this was built and is not any more; build it anew there \
         with `cargo xtask`",
        root.display()
    )))
}
