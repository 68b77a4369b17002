//! Each requirement of RFC 9111 has its place in the code and its test, or a reason. Comments
//! `RFC 9111 §4.2.3 [age.request]` say which; docs/rfc9111.md is written from them.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use super::house::HOUSE;

const REQUIREMENTS: &str = include_str!("rfc9111.txt");
const DOCUMENT: &str = "docs/rfc9111.md";

/// What the RFC asks for.
struct Requirement {
    section: &'static str,
    level: &'static str,
    id: &'static str,
    what: &'static str,
    /// Why there is no code.
    reason: Option<&'static str>,
}

fn requirements() -> Vec<Requirement> {
    let lines = REQUIREMENTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut parts = line.splitn(5, " | ");
        let mut next = || parts.next().unwrap_or_else(|| panic!("a part is missing: {line}"));
        let (section, level, id, what) = (next(), next(), next(), next());
        let reason = parts.next();
        assert!(["MUST", "MUST NOT", "SHOULD", "SHOULD NOT"].contains(&level), "{line}");
        let known =
            |reason: &str| reason.starts_with("declined: ") || reason.starts_with("other: ");
        assert!(reason.is_none_or(known), "{line}: neither declined nor another's");
        Requirement { section, level, id, what, reason }
    };
    let all: Vec<Requirement> = lines.map(read).collect();
    for (at, one) in all.iter().enumerate() {
        assert!(all[..at].iter().all(|other| other.id != one.id), "{} is there twice", one.id);
    }
    all
}

/// Where an id is marked: `file: function`, and whether that is a test.
#[derive(Default)]
struct Places {
    code: Vec<String>,
    tests: Vec<String>,
}

/// Ids that a line marks, with their section.
fn marked(line: &str) -> Option<(&str, Vec<&str>)> {
    let comment = line.trim_start().strip_prefix("//")?;
    let (_, after) = comment.split_once("RFC 9111 §")?;
    let end = after.find(|char: char| !char.is_ascii_digit() && char != '.')?;
    let ids = after[end..].strip_prefix(" [")?.split_once(']')?.0;
    Some((&after[..end], ids.split(", ").collect()))
}

/// The item that a comment stands in or before.
fn item(lines: &[&str], at: usize) -> String {
    let name = |line: &str| {
        let mut words = line.split(|char: char| !char.is_alphanumeric() && char != '_');
        words.by_ref().find(|word| ["fn", "const", "struct", "enum"].contains(word))?;
        words.next().filter(|word| !word.is_empty()).map(str::to_owned)
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let passed = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[") || line.is_empty()
    };
    let next = lines[at..].iter().find(|line| !passed(line));
    if let Some(name) = next.and_then(|line| name(line)) {
        return name;
    }
    let above = lines[..at].iter().rev();
    let mut above = above.filter(|line| indent(line) < indent(lines[at]));
    above.find_map(|line| line.contains("fn ").then(|| name(line)).flatten()).unwrap_or_default()
}

/// All marks below edge/.
fn places() -> BTreeMap<String, Places> {
    let known = requirements();
    let mut places: BTreeMap<String, Places> = BTreeMap::new();
    for (package, path) in HOUSE.files("rs") {
        if !package.path.starts_with("edge") {
            continue;
        }
        let file = path.strip_prefix(&HOUSE.root).unwrap_or(&path).display().to_string();
        let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{file}: {why}"));
        let lines: Vec<&str> = text.lines().collect();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let in_tests = file.contains("/tests/") || stem == "tests";
        let tests_from = lines.iter().position(|line| line.trim() == "#[cfg(test)]");
        for (at, line) in lines.iter().enumerate() {
            let Some((section, ids)) = marked(line) else { continue };
            let place = format!("{file}: {}", item(&lines, at));
            let test = in_tests || tests_from.is_some_and(|from| at > from);
            for id in ids {
                let requirement = known.iter().find(|known| known.id == id);
                let requirement = requirement.unwrap_or_else(|| panic!("{place}: no [{id}]"));
                assert_eq!(requirement.section, section, "{place}: [{id}] is of another section");
                let all = places.entry(id.to_owned()).or_default();
                let list = if test { &mut all.tests } else { &mut all.code };
                if !list.contains(&place) {
                    list.push(place.clone());
                }
            }
        }
    }
    places
}

fn document(requirements: &[Requirement], places: &BTreeMap<String, Places>) -> String {
    let reason = |kind| {
        let starts = |r: &&Requirement| r.reason.is_some_and(|reason| reason.starts_with(kind));
        requirements.iter().filter(starts).count()
    };
    let mut text = format!(
        "# RFC 9111, requirement by requirement\n\n\
         Written by `UPDATE_EXPECT=1 cargo nextest run --release -p weir-benches rfc9111` from \
         `benches/tests/tidy/rfc9111.txt` and the comments in `edge/` that name a requirement; a \
         test fails where one has no place in the code or no test. {} requirements; {} are asked \
         of somebody else than a shared cache, {} declined.\n\n\
         | § | level | what | code | tests |\n| --- | --- | --- | --- | --- |\n",
        requirements.len(),
        reason("other: "),
        reason("declined: "),
    );
    for Requirement { section, level, id, what, reason } in requirements {
        let list = |places: &[String]| {
            places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join("<br>")
        };
        let what = format!("**{id}** {what}");
        let row = match (reason, places.get(*id)) {
            (Some(reason), _) => format!("| {section} | {level} | {what} | {reason} | |"),
            (None, Some(places)) => format!(
                "| {section} | {level} | {what} | {} | {} |",
                list(&places.code),
                list(&places.tests)
            ),
            (None, None) => format!("| {section} | {level} | {what} | | |"),
        };
        writeln!(text, "{row}").expect("a String takes all that is written to it");
    }
    text
}

#[test]
fn rfc9111_is_kept_and_tested() {
    let (requirements, places) = (requirements(), places());
    let mut missing = Vec::new();
    for Requirement { section, id, reason, .. } in &requirements {
        let (code, tests) = places.get(*id).map_or((0, 0), |all| (all.code.len(), all.tests.len()));
        match reason {
            Some(_) if code + tests > 0 => missing.push(format!("[{id}] is marked and excused")),
            Some(_) => {}
            None => {
                for (count, what) in [(code, "code"), (tests, "a test")] {
                    if count == 0 {
                        missing.push(format!("§{section} [{id}] is marked at no {what}"));
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "{} gaps:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn rfc9111_is_written_down() {
    let path: &Path = &HOUSE.root.join(DOCUMENT);
    let made = document(&requirements(), &places());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &made).expect("the document can be written");
        return;
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    assert!(there == made, "{DOCUMENT} is not what the comments say: run with UPDATE_EXPECT=1");
}

#[test]
fn marks_are_read() {
    let check = |line: &str, expected: Option<(&str, &[&str])>| {
        let found = marked(line);
        let found = found.as_ref().map(|(section, ids)| (*section, ids.as_slice()));
        assert_eq!(found, expected, "{line}");
    };
    check("    // RFC 9111 §4.2.3 [age.request]: so", Some(("4.2.3", &["age.request"])));
    check(
        "/// RFC 9111 §3 [store.final, store.method]",
        Some(("3", &["store.final", "store.method"])),
    );
    check("// RFC 9111 §4.2.3", None);
    check("let x = \"RFC 9111 §3 [store.final]\";", None);
    let code = ["/// RFC", "fn outer() {", "    // here", "    let x = 1;", "    #[inline]", "}"];
    assert_eq!((item(&code, 0), item(&code, 2)), ("outer".to_owned(), "outer".to_owned()));
}
