//! The edge's access log, as far as one session's segments are concerned.

use std::{collections::BTreeMap, path::Path, thread, time::Duration};

use serde_json::Value;

/// Segments that the edge served to one session, and manifests.
#[derive(Debug, Default)]
pub(super) struct Served {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    path: String,
    protocol: String,
    status: u64,
    whole: bool,
    cache: String,
    segment: bool,
}

/// Reads what is there; a log that cannot be read holds nothing.
pub(super) fn read(log: &Path, session: &str) -> Served {
    parse(&std::fs::read_to_string(log).unwrap_or_default(), session)
}

/// Until the edge may have written more.
#[expect(
    clippy::disallowed_methods,
    reason = "a file that another process appends to sends no event"
)]
pub(super) fn pause() {
    thread::sleep(Duration::from_millis(50));
}

/// The lines of `session`; a line that is being written is no line yet.
pub(super) fn parse(text: &str, session: &str) -> Served {
    let lines = text.lines().filter(|line| line.contains(session));
    let values = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mine = values.filter(|line| line["sid"] == *session);
    let word = |line: &Value, name: &str| line[name].as_str().unwrap_or("?").to_owned();
    let lines = mine.map(|line| {
        let path = word(&line, "path");
        let name = path.split('?').next().unwrap_or(&path);
        Line {
            segment: !name.ends_with(".m3u8") && !name.ends_with(".mpd"),
            protocol: word(&line, "protocol"),
            status: line["status"].as_u64().unwrap_or(0),
            whole: line["whole"] == true,
            cache: word(&line, "cache"),
            path,
        }
    });
    Served { lines: lines.collect() }
}

impl Served {
    /// Segments, init segments among them.
    pub(super) fn segments(&self) -> u64 {
        self.lines.iter().filter(|line| line.segment).count() as u64
    }

    /// What should not be: another protocol, a refusal, more bodies that broke off than the
    /// player `cancelled`.
    pub(super) fn problems(&self, protocol: &str, mut cancelled: u64) -> Vec<String> {
        let mut found = Vec::new();
        for (other, count) in self.count(|line| &line.protocol) {
            if other != protocol {
                let all = self.segments();
                found.push(format!("{count} of {all} over {other}, not {protocol}"));
            }
        }
        for line in &self.lines {
            // 499 is one that was cancelled before its head.
            let broken = line.status == 499 || !line.whole;
            if !matches!(line.status, 200 | 206 | 499) {
                found.push(format!("{} was answered {}", line.path, line.status));
            } else if broken && cancelled > 0 {
                cancelled -= 1;
            } else if broken {
                found.push(format!("{} was broken off", line.path));
            }
        }
        if let Some(line) = self.lines.iter().find(|line| !line.segment)
            && line.protocol != protocol
        {
            found.push(format!("the manifest came over {}", line.protocol));
        }
        found
    }

    /// `h3`, or `h2 and h3`.
    pub(super) fn protocols(&self) -> String {
        let names: Vec<String> = self.count(|line| &line.protocol).into_keys().collect();
        names.join(" and ")
    }

    /// `20 miss, 3 hit_mem`
    pub(super) fn caches(&self) -> String {
        let counted = self.count(|line| &line.cache);
        let words: Vec<String> = counted.iter().map(|(name, n)| format!("{n} {name}")).collect();
        words.join(", ")
    }

    fn count(&self, of: fn(&Line) -> &String) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.segment) {
            *counts.entry(of(line).clone()).or_insert(0) += 1;
        }
        counts
    }
}
