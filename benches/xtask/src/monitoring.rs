//! Alert rules, dashboards and the page: held to Prometheus' own tools, to what servers export,
//! and to a browser.

use std::{net::SocketAddr, path::Path};

use serde_json::{Value, json};

use crate::{
    Failure, apt, files, http,
    run::{Run, find},
    tools,
    up::stack::{Place, Stack},
};

const FOLDER: &str = "config/monitoring";

/// `promtool` over what is shipped: rules parse and do what their tests say, and every
/// expression of every panel parses.
pub fn rules(root: &Path) -> Result<bool, Failure> {
    let promtool = promtool(root)?;
    let folder = root.join(FOLDER);
    let asked = root.join("target/xtask/queries.yml");
    let mut queries = Vec::new();
    for name in ["edge.json", "origin.json"] {
        let path = folder.join("dashboards").join(name);
        let text = files::read(&path)?
            .ok_or_else(|| Failure::new(format!("{} is not there", path.display())))?;
        let sheet = serde_json::from_str(&text)
            .map_err(|why| Failure::new(format!("{} is no JSON: {why}", path.display())))?;
        queries.extend(expressions(&sheet));
    }
    if queries.is_empty() {
        return Err(Failure::new("the dashboards ask for nothing"));
    }
    println!("{} expressions of the dashboards", queries.len());
    files::write(&asked, recording(&queries).as_bytes())?;
    let run = |args: &[&str], file: &Path| {
        let status = Run::new(&promtool).args(args).arg(file).status();
        status.map(|status| status.success())
    };
    Ok(run(&["check", "rules"], &asked)?
        && run(&["check", "rules", "--lint-fatal"], &folder.join("alerts.yml"))?
        && run(&["test", "rules"], &folder.join("alerts_test.yml"))?)
}

/// Every expression of a dashboard, as Prometheus would be asked.
fn expressions(sheet: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let panels = list(&sheet["panels"]);
    let targets = panels.iter().flat_map(|panel| list(&panel["targets"]));
    let asked = targets.filter_map(|target| target["expr"].as_str().map(str::to_owned));
    asked.map(|expr| expr.replace("$__rate_interval", "5m").replace("$node", ".*")).collect()
}

/// JSON is YAML, so nothing has to be quoted by hand.
fn recording(queries: &[String]) -> String {
    let rule =
        |(at, expr): (usize, &String)| json!({ "record": format!("panel:{at}"), "expr": expr });
    let rules: Vec<_> = queries.iter().enumerate().map(rule).collect();
    json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string()
}

/// `promtool check metrics` over what a running edge and its origin export.
pub fn metrics(root: &Path, stack: &Stack) -> Result<bool, Failure> {
    let promtool = promtool(root)?;
    let mut sound = true;
    for (name, address) in addresses(stack) {
        let answer = http::ask(address, "GET", "/metrics", &[], b"")
            .map_err(|why| Failure::new(format!("/metrics of {name}: {why}")))?;
        let text = String::from_utf8(answer.body)
            .map_err(|why| Failure::new(format!("/metrics of {name} is no text: {why}")))?;
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        println!("{name}: {series} series");
        // What it finds goes to its standard error, and is an error of ours.
        match Run::new(&promtool).args(["check", "metrics"]).talk(&text, |line| println!("{line}"))
        {
            Ok(_) if answer.status == 200 && series > 10 => {}
            Ok(_) => {
                println!("FAIL {name}: status {}, {series} series", answer.status);
                sound = false;
            }
            Err(why) => {
                println!("FAIL {name}: {why}");
                sound = false;
            }
        }
    }
    Ok(sound)
}

/// The edges, as they are called.
fn addresses(stack: &Stack) -> Vec<(String, SocketAddr)> {
    stack.edges.iter().map(|edge| (edge.name.clone(), edge.admin)).collect()
}

/// The page of a running edge in a browser, wide and on a phone, light and dark: what must be
/// there is, values change, nobody else is asked, and a server that stops is told of.
pub fn page(place: &Place, stack: &Stack) -> Result<bool, Failure> {
    let log = place.root.join("target/xtask/setup.log");
    let node = tools::node::node(&tools::cache()?, &log)?;
    let chromium = find("chromium").or_else(|| find("chromium-browser"));
    let chromium = chromium.ok_or_else(|| Failure::new("there is no chromium in PATH"))?;
    let edge = stack.edges.first().ok_or_else(|| Failure::new("no edge runs"))?;
    let plan = json!({
        "chromium": chromium,
        "target": edge.admin.to_string(),
        "name": edge.name,
        "shots": place.root.join("target/xtask/page"),
    });
    let script = place.players().join("dashboard.mjs");
    let mut failed = None;
    let told = Run::new(node).arg(script).talk(&plan.to_string(), |line| {
        println!("{line}");
        if let Some(count) = line.strip_prefix("failed ") {
            failed = count.parse::<usize>().ok();
        }
    });
    told?;
    Ok(failed == Some(0))
}

fn promtool(root: &Path) -> Result<std::path::PathBuf, Failure> {
    apt::ensure(&[apt::PROMETHEUS], &root.join("target/xtask/setup.log"))?;
    find("promtool").ok_or_else(|| Failure::new("there is no promtool in PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panels_ask_for_becomes_rules() {
        let sheet = json!({ "panels": [
            { "type": "row", "panels": [] },
            { "targets": [{ "expr": "rate(a{b=~\"$node\"}[$__rate_interval])" }, { "refId": "B" }] },
        ]});
        let found = expressions(&sheet);
        assert_eq!(found, ["rate(a{b=~\".*\"}[5m])"]);
        let rules: Value = serde_json::from_str(&recording(&found)).expect("JSON");
        assert_eq!(rules["groups"][0]["rules"][0]["expr"], found[0]);
    }
}
