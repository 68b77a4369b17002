//! `cargo xtask up --check`: stock players play the film to its end in headless Chromium,
//! over HTTP/2 and over HTTP/3. The browser tells what it saw, the edge's access log over
//! which protocol it served.

mod log;

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Failure,
    run::{Run, find},
    say, tools,
    up::stack::{Place, Stack},
};

/// As the page names them.
const PLAYERS: [&str; 4] = ["hls.js", "shaka-hls", "dash.js", "shaka-dash"];
/// Faster than life where every run at 1x would cost minutes; all pictures are decoded still.
const FAST: u32 = 4;
/// Start of the browser and of playback, on a busy host.
const START: Duration = Duration::from_secs(60);
/// The access log is written every quarter of a second.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// One run of one player.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    /// Also the session of its token.
    id: String,
    player: &'static str,
    protocol: &'static str,
    rate: u32,
}

/// Every player over both protocols; `short` keeps one run of each protocol at 1x.
fn cases(short: bool, stamp: u32) -> Vec<Case> {
    let mut all = Vec::new();
    for (protocol, real_time) in [("h2", "hls.js"), ("h3", "dash.js")] {
        for player in PLAYERS {
            let rate = if short && player != real_time { FAST } else { 1 };
            let id = format!("check-{stamp}-{protocol}-{}", player.replace('.', ""));
            all.push(Case { id, player, protocol, rate });
        }
    }
    all
}

/// How many runs passed, by protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Of four, over HTTP/2.
    pub h2: usize,
    /// Of four, over HTTP/3.
    pub h3: usize,
}

impl Outcome {
    /// Whether every run passed.
    pub fn all(self) -> bool {
        self.h2 == PLAYERS.len() && self.h3 == PLAYERS.len()
    }
}

/// Plays every case and prints a line each, then how many passed.
pub fn players(place: &Place, stack: &Stack, short: bool) -> Result<Outcome, Failure> {
    let log = place.root.join("target/xtask/setup.log");
    let node = tools::node::node(&tools::cache()?, &log)?;
    let chromium = find("chromium").or_else(|| find("chromium-browser"));
    let chromium = chromium.ok_or_else(|| Failure::new("there is no chromium in PATH"))?;
    let edge = stack.edges.first().ok_or_else(|| Failure::new("no edge runs"))?;
    let cases = cases(short, std::process::id());
    say::head(&format!(
        "{} runs of a film of {:.0} s in headless Chromium",
        cases.len(),
        stack.film.duration_s
    ));
    let mut runs = Vec::new();
    for case in &cases {
        runs.push(json!({
            "id": case.id, "player": case.player, "protocol": case.protocol, "rate": case.rate,
            "hls": stack.mint(&stack.film.hls, &case.id)?,
            "dash": stack.mint(&stack.film.dash, &case.id)?,
        }));
    }
    let patience = START + Duration::from_secs_f64(stack.film.duration_s * 1.5);
    let plan = json!({
        "chromium": chromium,
        "page": format!("{}/play", edge.url()),
        "spki": stack.spki,
        "user_data": stack.dir.join("chromium"),
        "timeout_s": patience.as_secs(),
        "runs": runs,
    });
    let mut outcome = Outcome::default();
    let mut seen = 0;
    let told =
        Run::new(node).arg(place.players().join("run.mjs")).talk(&plan.to_string(), |line| {
            let Some(case) = cases.get(seen) else { return };
            seen += 1;
            let report = serde_json::from_str(line).unwrap_or(Value::Null);
            let verdict = Verdict::of(case, &report, stack);
            println!("{verdict}");
            let passed = usize::from(verdict.problems.is_empty());
            *(if case.protocol == "h2" { &mut outcome.h2 } else { &mut outcome.h3 }) += passed;
        });
    if let Err(why) = told {
        println!("FAIL {why}");
    }
    // A run that never reported did not pass.
    let passed = outcome.h2 + outcome.h3;
    println!("{passed} passed, {} failed", cases.len() - passed);
    Ok(outcome)
}

/// What became of one case.
#[derive(Debug)]
struct Verdict {
    case: Case,
    line: String,
    problems: Vec<String>,
}

impl Verdict {
    fn of(case: &Case, seen: &Value, stack: &Stack) -> Self {
        let segments = seen["segments"].as_u64().unwrap_or(0);
        let access = stack.edges.first().map(|edge| edge.access_log());
        let begun = Instant::now();
        let mut served = log::Served::default();
        if let Some(access) = access {
            // The log is behind by its writer's pause: look again until it has caught up.
            while begun.elapsed() < LOG_PATIENCE {
                served = log::read(&access, &case.id);
                if served.segments() >= segments {
                    break;
                }
                log::pause();
            }
        }
        Self::judge(case, seen, &served, stack.film.duration_s, stack.film.frames_per_second)
    }

    fn judge(case: &Case, seen: &Value, served: &log::Served, duration: f64, fps: f64) -> Self {
        let number = |name: &str| seen[name].as_f64().unwrap_or(0.0);
        let mut problems = Vec::new();
        if let Some(error) = seen["error"].as_str() {
            problems.push(format!("the player stopped: {error}"));
        }
        for problem in seen["problems"].as_array().into_iter().flatten() {
            problems.push(format!("the page complains: {}", problem.as_str().unwrap_or("?")));
        }
        if seen["ended"] != json!(true) {
            problems.push("it did not come to its end".to_owned());
        }
        let (current, frames) = (number("current_s"), number("frames"));
        // Encoders add a few samples of sound; a missing segment is seconds.
        if (current - duration).abs() > 0.5 {
            problems.push(format!("it stands at {current:.2} s of {duration:.2} s"));
        }
        if frames < duration * fps * 0.95 {
            problems.push(format!("{frames} pictures decoded, expected {:.0}", duration * fps));
        }
        let segments = seen["segments"].as_u64().unwrap_or(0);
        if segments == 0 {
            problems.push("it asked for no segment".to_owned());
        }
        if number("failed") > 0.0 {
            problems.push(format!("{} segments were refused", number("failed")));
        }
        // What a player cancels may or may not have reached the edge.
        let aborted = seen["aborted"].as_u64().unwrap_or(0);
        if !(segments..=segments + aborted).contains(&served.segments()) {
            problems.push(format!(
                "the page saw {segments} segments and cancelled {aborted}, the edge logged {}",
                served.segments()
            ));
        }
        problems.extend(served.problems(case.protocol, aborted));
        for (protocol, count) in seen["protocols"].as_object().into_iter().flatten() {
            if protocol != case.protocol {
                problems.push(format!("the browser saw {count} segments over {protocol}"));
            }
        }
        let line = format!(
            "{} {:<10} {:<7} {current:.1} s at {}x, {frames:.0} pictures, {segments} segments all \
             over {}: {}; {} stalls, {:.0} s",
            case.protocol,
            case.player,
            seen["version"].as_str().unwrap_or("?").trim_start_matches('v'),
            case.rate,
            served.protocols(),
            served.caches(),
            number("stalls"),
            number("took_s"),
        );
        Self { case: case.clone(), line, problems }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return write!(f, "pass {}", self.line);
        }
        let Case { protocol, player, .. } = &self.case;
        write!(f, "FAIL {protocol} {player}: {}", self.problems.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_player_over_both_and_one_of_each_in_real_time() {
        let all = cases(true, 7);
        assert_eq!(all.len(), 8);
        for protocol in ["h2", "h3"] {
            let mine: Vec<_> = all.iter().filter(|c| c.protocol == protocol).collect();
            assert_eq!(mine.len(), 4);
            assert_eq!(mine.iter().filter(|c| c.rate == 1).count(), 1);
        }
        assert!(cases(false, 7).iter().all(|c| c.rate == 1));
    }

    #[test]
    fn verdicts() {
        let case = &cases(false, 7)[4];
        let good = json!({
            "ended": true, "error": null, "current_s": 20.02, "frames": 500, "segments": 2,
            "failed": 0, "aborted": 0, "protocols": {"h3": 2}, "version": "1.2.3", "problems": [], "took_s": 21.0, "stalls": 0,
        });
        let line = |path: &str, protocol: &str, status: u16, whole: bool| {
            json!({
                "sid": case.id, "path": path, "protocol": protocol, "status": status,
                "whole": whole, "cache": "miss", "bytes": 10,
            })
            .to_string()
        };
        let served = |lines: &[String]| log::parse(&lines.join("\n"), &case.id);
        let right = [line("/v/1.m4s", "h3", 200, true), line("/v/2.m4s", "h3", 206, true)];
        let check = |seen: &Value, lines: &[String], expected: &str| {
            let verdict = Verdict::judge(case, seen, &served(lines), 20.0, 25.0);
            let problems = verdict.problems.join("; ");
            assert_eq!(problems.is_empty(), expected.is_empty(), "{problems}");
            assert!(problems.contains(expected), "{problems}");
        };
        let but = |name: &str, value: Value| {
            let mut seen = good.clone();
            seen[name] = value;
            seen
        };
        check(&good, &right, "");
        check(&but("ended", json!(false)), &right, "come to its end");
        check(&but("error", json!("x")), &right, "stopped: x");
        check(&but("problems", json!(["x"])), &right, "complains: x");
        check(&but("current_s", json!(17.0)), &right, "stands at 17.00 s");
        check(&but("frames", json!(400)), &right, "400 pictures");
        check(&but("segments", json!(0)), &[], "no segment");
        check(&but("failed", json!(1)), &right, "refused");
        check(&Value::Null, &right, "come to its end");
        check(&good, &right[..1], "the edge logged 1");
        let [first, _] = &right;
        let second =
            |protocol, status, whole| [first.clone(), line("/v/2.m4s", protocol, status, whole)];
        check(&good, &second("h2", 200, true), "1 of 2 over h2, not h3");
        check(&good, &second("h3", 503, true), "answered 503");
        check(&good, &second("h3", 200, false), "broken off");
        check(
            &but("protocols", json!({"h2": 1, "h3": 1})),
            &right,
            "browser saw 1 segments over h2",
        );
        let mut cancelled = but("aborted", json!(1));
        cancelled["segments"] = json!(1);
        check(&cancelled, &second("h3", 200, false), "");
        check(&cancelled, &right[..1], "");
    }
}
