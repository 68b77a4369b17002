//! `cargo xtask bench unsafe`: unsafe code of everything that ships and tests, and which of it
//! stands without its reason.
//!
//! The compiler denies unsafe code outside two crates and Clippy a block without a reason; this
//! counts what there is, so that the figure has a number behind it.

use std::{fs, path::Path};

use crate::{
    Failure,
    args::Args,
    run::Run,
    scorecard::{self, Put},
};

/// How an unsafe thing begins, past attributes and visibility.
const FORMS: [&str; 5] = ["unsafe {", "unsafe fn ", "unsafe impl", "unsafe trait", "unsafe extern"];
/// Lines above a thing in which its reason may stand, when all of them are comments or the same
/// statement.
const ABOVE: usize = 12;

/// Unsafe code of a source file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Found {
    /// How many there are.
    all: usize,
    /// Lines, from 1, of those without a reason.
    bare: Vec<usize>,
}

/// Counts, and records.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let record = !args.flag("--no-record");
    args.end()?;
    let (mut all, mut bare, mut files) = (0, 0, 0);
    let listed = Run::new("git").args(["ls-files", "*.rs"]).dir(root).output()?;
    for name in listed.lines() {
        let text = fs::read_to_string(root.join(name))
            .map_err(|why| Failure::new(format!("cannot read {name}: {why}")))?;
        // Its own examples.
        if name.ends_with("xtask/src/undocumented.rs") {
            continue;
        }
        files += 1;
        let found = find(&text);
        all += found.all;
        bare += found.bare.len();
        found.bare.iter().for_each(|line| println!("{name}:{line}: no SAFETY comment above"));
    }
    println!("{all} unsafe blocks, functions and impls in {files} files, {bare} without a reason");
    if record {
        scorecard::put(
            root,
            Put {
                id: "unsafe.undocumented".to_owned(),
                measured: bare as f64,
                trials: files,
                what: Some(
                    "Unsafe blocks, functions and impls in the sources that have no SAFETY \
                     comment above them"
                        .to_owned(),
                ),
                bar: Some("0".to_owned()),
                unit: Some("places".to_owned()),
                command: Some("cargo xtask bench unsafe".to_owned()),
                note: Some(format!(
                    "{all} of them in all; control: planted ones are found by the command's test"
                )),
            },
        )?;
    }
    Ok(bare == 0)
}

fn find(text: &str) -> Found {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Found::default();
    for (number, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let here = FORMS.iter().map(|form| code.matches(form).count()).sum::<usize>();
        // In a text, as in a list of what to look for.
        if here == 0 || FORMS.iter().any(|form| code.contains(&format!("\"{form}"))) {
            continue;
        }
        found.all += here;
        if !reasoned(&lines[..number]) {
            found.bare.push(number + 1);
        }
    }
    found
}

/// Whether the comment right above, or above the statement's first lines, gives a reason.
fn reasoned(above: &[&str]) -> bool {
    for line in above.iter().rev().take(ABOVE) {
        if line.starts_with("//") {
            if line.contains("SAFETY:") || line.contains("# Safety") {
                return true;
            }
        } else if line.ends_with([';', '}']) || line.is_empty() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_and_missed() {
        let check = |text: &str, all: usize, bare: &[usize]| {
            assert_eq!(find(text), Found { all, bare: bare.to_vec() }, "{text}");
        };
        check("fn safe() {}", 0, &[]);
        check("let a = unsafe { b() };", 1, &[1]);
        check("// SAFETY: b reads nothing.\nlet a = unsafe { b() };", 1, &[]);
        check("// SAFETY: b reads\n// nothing.\nlet a =\n    unsafe { b() };", 1, &[]);
        check("// SAFETY: of another.\nc();\nlet a = unsafe { b() };", 1, &[3]);
        check("// why\nunsafe impl Send for A {}", 1, &[2]);
        check("/// # Safety\n/// None.\npub unsafe fn a() {}", 1, &[]);
        check("// unsafe { b() }", 0, &[]);
        check("let forms = [\"unsafe {\"];", 0, &[]);
    }
}
