//! Secrets that stand where they should not, hidden before a line is shown.

use std::ops::Range;

const HIDDEN: &str = "***";

/// A line without its secrets.
pub(super) struct Masked {
    pub(super) text: String,
    hidden: Vec<Range<usize>>,
}

impl Masked {
    /// Where a byte of the original line stands now.
    pub(super) fn moved(&self, at: usize) -> usize {
        let mut to = at;
        for range in &self.hidden {
            if at >= range.end {
                to = to + HIDDEN.len() - range.len();
            } else if at > range.start {
                to -= at - range.start;
            }
        }
        to
    }
}

/// Hides the values of keys that name a secret, and passwords in URLs.
pub(super) fn mask(line: &str) -> Masked {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    for (at, _) in line.match_indices('=') {
        if hidden.last().is_some_and(|range| at < range.end) || !names_secret(&line[..at]) {
            continue;
        }
        hidden.push(value_after(line, at + 1));
    }
    for (at, _) in line.match_indices("://") {
        let start = at + 3;
        let authority = line[start..].split(['/', '"', '\'', '?', '#']).next().unwrap_or_default();
        let Some(end) = authority.rfind('@') else { continue };
        let range = start..start + end;
        if !hidden.iter().any(|other| other.start < range.end && range.start < other.end) {
            hidden.push(range);
        }
    }
    hidden.retain(|range| !range.is_empty());
    hidden.sort_by_key(|range| range.start);
    let mut text = String::with_capacity(line.len());
    let mut from = 0;
    for range in &hidden {
        text.push_str(&line[from..range.start]);
        text.push_str(HIDDEN);
        from = range.end;
    }
    text.push_str(&line[from..]);
    Masked { text, hidden }
}

/// Whether the key that ends here names a secret itself, not the file that holds one.
pub(crate) fn names_secret(before: &str) -> bool {
    let key = before.trim_end().trim_end_matches(['"', '\'']);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key = key.rsplit(|c| !word(c)).next().unwrap_or_default().to_ascii_lowercase();
    let secret = ["secret", "passw", "passphrase", "access_key", "accesskey", "private", "bearer"];
    secret.iter().any(|part| key.contains(part)) && !key.ends_with("_file")
}

/// The value that starts at `from`: the inside of its quotes, or the rest of the line.
fn value_after(line: &str, from: usize) -> Range<usize> {
    let value = line[from..].trim_start();
    let start = line.len() - value.len();
    for quote in ['"', '\''] {
        let triple = quote.to_string().repeat(3);
        if !value.starts_with(quote) || value.starts_with(&triple) {
            continue;
        }
        let inside = &value[1..];
        // An escaped quote would end the hidden part too early: then all of the line is hidden.
        if inside.contains('\\') {
            break;
        }
        if let Some(end) = inside.find(quote) {
            return start + 1..start + 1 + end;
        }
    }
    start..line.len()
}

#[cfg(test)]
mod tests {
    use super::mask;

    fn check(line: &str, expected: &str) {
        assert_eq!(mask(line).text, expected, "{line}");
    }

    #[test]
    fn secrets_are_hidden() {
        check(r#"secret_key = "hunter2" # mine"#, r#"secret_key = "***" # mine"#);
        check(
            r#"credentials = { access_key = 'A', secret_key = 'b' }"#,
            r#"credentials = { access_key = '***', secret_key = '***' }"#,
        );
        check(r#"secret = "a\"b" # c"#, "secret = ***");
        check(r#"password = "unclosed"#, "password = ***");
        check(r#"secret = """abc"#, "secret = ***");
        check(r#""secret_key" = "x""#, r#""secret_key" = "***""#);
        check(r#"url = "http://user:pass@host/a@b""#, r#"url = "http://***@host/a@b""#);
    }

    #[test]
    fn the_rest_is_shown() {
        check(r#"secret_file = "keys/edge.secret""#, r#"secret_file = "keys/edge.secret""#);
        check(r#"credentials = { file = "c.toml" }"#, r#"credentials = { file = "c.toml" }"#);
        check("a = 1", "a = 1");
        // A character of several bytes before the key once split it in its middle.
        check("\u{fffd}=", "\u{fffd}=");
    }

    #[test]
    fn places_move_along() {
        let line = r#"c = { secret = "hunter2", x = 1 }"#;
        let masked = mask(line);
        let at = line.find("x =").unwrap();
        assert!(masked.text[masked.moved(at)..].starts_with("x ="));
        for at in 0..=line.len() {
            assert!(masked.moved(at) <= masked.text.len());
        }
    }
}
