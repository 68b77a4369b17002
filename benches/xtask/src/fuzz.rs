//! `cargo xtask bench fuzz [--minutes N] [--target NAME]`: cargo-fuzz on the targets of
//! `edge/fuzz`, looking where the code goes. What it finds stays in `target/fuzz`; an input that
//! fails belongs into `edge/fuzz/corpus`, where every test run sees it again.

use std::{fs, path::Path};

use crate::{
    Failure,
    args::{Args, nearest},
    files,
    run::Run,
    say, tools,
};

/// Minutes for all targets together, where none are said.
const MINUTES: u64 = 10;
/// Seconds after which one input hangs.
const PATIENCE: u32 = 10;
/// MiB of memory that one input may take.
const MEMORY: u32 = 2048;

/// Runs the command; true when no input failed.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let minutes = match args.value("--minutes")? {
        None => MINUTES,
        Some(text) => text.parse().ok().filter(|minutes| *minutes > 0).ok_or_else(|| {
            Failure::usage(format!("--minutes: `{text}` is no number of minutes"))
        })?,
    };
    let only = args.value("--target")?;
    args.end()?;
    let names = wanted(targets(root)?, only)?;
    let log = root.join("target/xtask/setup.log");
    let fuzz = tools::cargo::fuzz(&tools::cache()?, &log)?;
    let home = root.join("target/fuzz");
    let seconds = (minutes * 60 / names.len() as u64).max(1);
    let mut failed = Vec::new();
    for name in &names {
        say::head(&format!("── {name}, {seconds} s"));
        let found = home.join("corpus").join(name);
        let kept = home.join("failed").join(name);
        files::directory(&found)?;
        files::directory(&kept)?;
        let run = Run::new(&fuzz).args(["run", "--fuzz-dir", "edge/fuzz/libfuzzer"]);
        let run = run.arg("--target-dir").arg(home.join("build")).arg(name).arg(&found);
        let run = run.arg(root.join("edge/fuzz/corpus").join(name)).arg("--");
        let run = run.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={PATIENCE}"));
        let run = run.arg(format!("-rss_limit_mb={MEMORY}"));
        let run = run.arg(format!("-artifact_prefix={}/", kept.display()));
        let run = run.args(["-print_final_stats=1", "-verbosity=0"]);
        // Its instrumentation is not stable; the toolchain is pinned, so neither does it move.
        let run = run.env("RUSTC_BOOTSTRAP", "1").dir(root);
        if !run.status()?.success() {
            failed.push(format!("{name}: see {}", kept.display()));
        }
    }
    for line in &failed {
        println!("FAIL {line}");
    }
    println!("{} passed, {} failed", names.len() - failed.len(), failed.len());
    Ok(failed.is_empty())
}

/// Every target, by its corpus.
fn targets(root: &Path) -> Result<Vec<String>, Failure> {
    let corpus = root.join("edge/fuzz/corpus");
    let entries = fs::read_dir(&corpus).map_err(|why| Failure::path("read", &corpus, &why))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn wanted(names: Vec<String>, only: Option<String>) -> Result<Vec<String>, Failure> {
    let Some(only) = only else { return Ok(names) };
    if names.contains(&only) {
        return Ok(vec![only]);
    }
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = nearest(&only, &known);
    let hint = near.map_or_else(|| known.join(", "), |near| format!("did you mean `{near}`?"));
    Err(Failure::usage(format!("--target: there is no fuzz target `{only}`; {hint}")))
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn targets_are_known() {
        let names = || vec!["control".to_owned(), "range".to_owned()];
        assert_eq!(wanted(names(), None).expect("all"), names());
        assert_eq!(wanted(names(), Some("range".into())).expect("one"), ["range"]);
        let why = wanted(names(), Some("rangs".into())).expect_err("none").to_string();
        assert!(why.contains("did you mean `range`?"), "{why}");
    }
}
