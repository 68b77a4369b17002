//! `cargo xtask bench malformed`: what nobody may send, sent to a running edge section by section
//! of the RFCs, and how much of it was refused.

use std::path::Path;

use crate::{
    Failure,
    args::Args,
    interop::{self, Kit},
    say,
    scorecard::{self, Put},
    up::{
        plan::Options,
        stack::{Place, Reserved, Stack},
    },
};

/// Runs the command; true when every check of every kit held.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let record = !args.flag("--no-record");
    let built = args.flag("--no-build");
    args.end()?;
    let place = Place { root: root.to_owned() };
    if !built {
        place.build()?;
    }
    let dir = root.join("target/xtask/malformed");
    crate::files::remove(&dir)?;
    let options = Options::alone(dir, true)?;
    crate::up::prepare(&place, &options)?;
    let mut stack = Stack::start(&place, &options, Reserved::take(&options)?)?;
    let mut all = true;
    for kit in Kit::ALL {
        say::head(&format!("── {}", kit.as_str()));
        let found = interop::run(&place, &stack, kit)?;
        all &= found.passed;
        if !record {
            continue;
        }
        let (name, rules) = (kit.as_str(), kit.rules());
        let what = format!(
            "of messages, frames and streams that {rules} calls malformed, sent to a running edge \
             section by section, those that it refused before anybody upstream was asked"
        );
        let measured = found.refused as f64 / found.sent.max(1) as f64;
        scorecard::put(
            root,
            Put {
                id: format!("{name}.malformed_refused_ratio"),
                measured,
                trials: found.sent,
                what: Some(what),
                bar: Some("1".to_owned()),
                unit: Some("ratio".to_owned()),
                command: Some("cargo xtask bench malformed".to_owned()),
                note: None,
            },
        )?;
    }
    Ok(stack.servers.end() && all)
}
