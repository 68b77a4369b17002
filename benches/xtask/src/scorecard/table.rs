//! The tables between `<!-- scorecard:begin PREFIX… -->` and `<!-- scorecard:end -->` in the
//! Markdown files of `docs/`: all figures whose id starts with one of the prefixes, or all.

use std::path::{Path, PathBuf};

use super::{Figure, Scorecard};
use crate::{Failure, files};

const BEGIN: &str = "<!-- scorecard:begin";
const END: &str = "<!-- scorecard:end -->";

/// Writes every table anew.
pub(super) fn write(root: &Path, card: &Scorecard) -> Result<(), Failure> {
    for (path, text, fresh) in each(root, card)? {
        if text != fresh {
            files::write(&path, fresh.as_bytes())?;
        }
    }
    Ok(())
}

/// Names the files whose tables are not what the figures say, and the figures that are in no
/// table.
pub(super) fn stale(root: &Path, card: &Scorecard) -> Result<Vec<String>, Failure> {
    let all = each(root, card)?;
    let unlisted = card.figures.iter().filter(|figure| {
        let row = format!("| `{}` |", figure.id);
        !all.iter().any(|(_, _, fresh)| fresh.contains(&row))
    });
    let unlisted = unlisted.map(|figure| {
        format!("{} is in no table: name its prefix at a scorecard:begin in docs/", figure.id)
    });
    let old = all.iter().filter(|(_, text, fresh)| text != fresh).map(|(path, ..)| {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        format!("{name} is not what docs/scorecard.json says: run `cargo xtask scorecard`")
    });
    Ok(old.chain(unlisted).collect())
}

/// Path, text and what the text should be, of every Markdown file in `docs/`.
fn each(root: &Path, card: &Scorecard) -> Result<Vec<(PathBuf, String, String)>, Failure> {
    let mut found = Vec::new();
    let mut left = vec![root.join("docs")];
    while let Some(dir) = left.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|x| x == "md")
                && let Some(text) = files::read(&path)?
                && text.contains(BEGIN)
            {
                let fresh = filled(&text, card)
                    .map_err(|why| Failure::new(format!("{}: {why}", path.display())))?;
                found.push((path, text, fresh));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn filled(text: &str, card: &Scorecard) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let line = rest[at..].find("-->").ok_or("a scorecard marker is not closed")? + at + 3;
        let prefixes: Vec<&str> = rest[at + BEGIN.len()..line - 3].split_whitespace().collect();
        let end = rest[line..].find(END).ok_or("scorecard:begin has no scorecard:end")? + line;
        out.push_str(&rest[..line]);
        out.push_str(&table(card.figures.iter().filter(|figure| {
            prefixes.is_empty() || prefixes.iter().any(|p| figure.id.starts_with(p))
        })));
        rest = &rest[end..];
        out.push_str(END);
        rest = &rest[END.len()..];
    }
    out.push_str(rest);
    Ok(out)
}

fn table<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let mut out = String::from(
        "\n| figure | what | bar | measured | holds | trials | command | at |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for f in figures {
        let note = f.note.as_ref().map_or(String::new(), |note| format!(" *{}*", cell(note)));
        out.push_str(&format!(
            "| `{}` | {}{note} | {} | {} {} | {} | {} | `{}` | {} {} |\n",
            cell(&f.id),
            cell(&f.what),
            cell(&f.bar.to_string()),
            f.measured,
            cell(&f.unit),
            if f.holds { "yes" } else { "**no**" },
            f.trials,
            cell(&f.command),
            f.commit,
            f.date,
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scorecard::Put;

    fn root() -> (tempfile::TempDir, Scorecard) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut card = Scorecard { figures: Vec::new() };
        for id in ["a.one", "b.two"] {
            let put = Put {
                id: id.into(),
                measured: 1.0,
                trials: 1,
                what: Some("x | y".into()),
                bar: Some("1".into()),
                unit: Some("count".into()),
                command: Some("true".into()),
                note: None,
            };
            card.put(put, "0123456789ab", "2026-11-20").expect("whole");
        }
        (dir, card)
    }

    #[test]
    fn tables_are_filled_between_their_markers_only() {
        let (dir, card) = root();
        let path = dir.path().join("docs/deep/x.md");
        let text = "Before\n<!-- scorecard:begin b. -->\nbefore\n<!-- scorecard:end -->\nAfter\n";
        files::write(&path, text.as_bytes()).expect("writes");
        let problems = stale(dir.path(), &card).expect("reads");
        assert!(problems[0].contains("run `cargo xtask scorecard`"), "{problems:?}");
        assert!(problems[1].contains("a.one is in no table"), "{problems:?}");
        assert_eq!(problems.len(), 2, "{problems:?}");
        write(dir.path(), &card).expect("writes");
        let fresh = files::read(&path).expect("reads").expect("is there");
        assert!(fresh.starts_with("Before\n") && fresh.ends_with("-->\nAfter\n"), "{fresh}");
        assert!(fresh.contains("`b.two` | x \\| y | 1 | 1 count | yes"), "{fresh}");
        assert!(!fresh.contains("a.one") && !fresh.contains("before"), "{fresh}");
        files::write(&path, text.replace("b. -->", "a. b. -->").as_bytes()).expect("writes");
        write(dir.path(), &card).expect("writes");
        assert!(stale(dir.path(), &card).expect("reads").is_empty());
    }

    #[test]
    fn an_open_marker_is_an_error() {
        let (_, card) = root();
        for text in ["<!-- scorecard:begin", "<!-- scorecard:begin -->\nno end"] {
            assert!(filled(text, &card).is_err(), "{text}");
        }
    }
}
