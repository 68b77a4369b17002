//! One figure, and the bar that it is held against.

use std::fmt;

use serde_json::Value;

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    /// A plain number in the file: exactly that.
    Exactly(f64),
    /// `<= N`
    AtMost(f64),
    /// `>= N`
    AtLeast(f64),
    /// `< N`
    Below(f64),
    /// `> N`
    Above(f64),
}

impl Bar {
    /// Reads `1`, `== 1`, `<= 0.6`, `>= 4`, `< 2` or `> 0`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let after = |sign: &str| text.strip_prefix(sign);
        let (number, bar): (&str, fn(f64) -> Self) = if let Some(number) = after("==") {
            (number, Self::Exactly)
        } else if let Some(number) = after("<=") {
            (number, Self::AtMost)
        } else if let Some(number) = after(">=") {
            (number, Self::AtLeast)
        } else if let Some(number) = after("<") {
            (number, Self::Below)
        } else if let Some(number) = after(">") {
            (number, Self::Above)
        } else {
            (text, Self::Exactly)
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(bar(number)),
            _ => Err(format!("bar `{text}` is neither a number nor like `<= 0.6`")),
        }
    }

    /// Whether `measured` is good enough.
    pub fn holds(self, measured: f64) -> bool {
        match self {
            Self::Exactly(bar) => measured == bar,
            Self::AtMost(bar) => measured <= bar,
            Self::AtLeast(bar) => measured >= bar,
            Self::Below(bar) => measured < bar,
            Self::Above(bar) => measured > bar,
        }
    }

    /// Whether nothing at all is allowed, so that a check that sees nothing would pass it.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Exactly(0.0) | Self::AtMost(0.0))
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(bar) => write!(f, "{bar}"),
            Self::AtMost(bar) => write!(f, "<= {bar}"),
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
            Self::Below(bar) => write!(f, "< {bar}"),
            Self::Above(bar) => write!(f, "> {bar}"),
        }
    }
}

/// One figure as the file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Unique; lower case, with dots.
    pub id: String,
    /// What it means.
    pub what: String,
    /// What it must be.
    pub bar: Bar,
    /// What it was.
    pub measured: f64,
    /// Its unit.
    pub unit: String,
    /// Whether it is good enough.
    pub holds: bool,
    /// How often it was measured.
    pub trials: u64,
    /// The command that measures it again.
    pub command: String,
    /// The commit that was checked out.
    pub commit: String,
    /// The day, `2026-11-20`.
    pub date: String,
    /// What a reader must know besides.
    pub note: Option<String>,
}

impl Figure {
    /// Reads one figure.
    pub(super) fn from_json(value: &Value) -> Result<Self, String> {
        let id = value["id"].as_str().ok_or("a figure has no id")?.to_owned();
        let wrong = |name: &str, kind: &str| format!("{id}: `{name}` is missing or no {kind}");
        let text =
            |name: &str| value[name].as_str().map(str::to_owned).ok_or_else(|| wrong(name, "text"));
        let known = [
            "id", "what", "bar", "measured", "unit", "holds", "trials", "command", "commit",
            "date", "note",
        ];
        let fields = value.as_object().into_iter().flatten();
        if let Some((name, _)) = fields.clone().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(format!("{id}: `{name}` is no field; there are {}", known.join(", ")));
        }
        let figure = Self {
            what: text("what")?,
            bar: match &value["bar"] {
                Value::Number(number) => Bar::parse(&number.to_string()),
                Value::String(text) => Bar::parse(text),
                _ => Err(wrong("bar", "bar")),
            }?,
            measured: value["measured"].as_f64().ok_or_else(|| wrong("measured", "number"))?,
            unit: text("unit")?,
            holds: value["holds"].as_bool().ok_or_else(|| wrong("holds", "truth"))?,
            trials: value["trials"].as_u64().ok_or_else(|| wrong("trials", "count"))?,
            command: text("command")?,
            commit: text("commit")?,
            date: text("date")?,
            note: match &value["note"] {
                Value::Null => None,
                Value::String(note) => Some(note.clone()),
                _ => return Err(wrong("note", "text")),
            },
            id,
        };
        figure.check()?;
        Ok(figure)
    }

    /// Says what of it cannot be.
    pub(super) fn check(&self) -> Result<(), String> {
        let id = &self.id;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._|-".contains(&b);
        if id.is_empty() || !id.bytes().all(plain) {
            return Err(format!(
                "id `{id}` is not of lower-case letters, digits, `.`, `_`, `|`, `-`"
            ));
        }
        for (name, text) in [("what", &self.what), ("unit", &self.unit), ("command", &self.command)]
        {
            if text.trim().is_empty() {
                return Err(format!("{id}: {name} is empty"));
            }
        }
        if self.trials == 0 {
            return Err(format!("{id}: trials is 0: then nothing was measured"));
        }
        if !self.measured.is_finite() {
            return Err(format!("{id}: measured is no finite number"));
        }
        let hex = self.commit.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || !(7..=40).contains(&self.commit.len()) {
            return Err(format!("{id}: commit `{}` is no hash", self.commit));
        }
        let shape = self.date.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b });
        if !shape.eq(*b"0000-00-00") {
            return Err(format!("{id}: date `{}` is not like 2026-11-20", self.date));
        }
        Ok(())
    }

    /// As the file holds it, fields in the order in which one reads them.
    pub(super) fn to_json(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let bar = match self.bar {
            Bar::Exactly(number) => number.to_string(),
            other => quoted(&other.to_string()),
        };
        let mut fields = vec![
            ("id", quoted(&self.id)),
            ("what", quoted(&self.what)),
            ("bar", bar),
            ("measured", self.measured.to_string()),
            ("unit", quoted(&self.unit)),
            ("holds", self.holds.to_string()),
            ("trials", self.trials.to_string()),
            ("command", quoted(&self.command)),
            ("commit", quoted(&self.commit)),
            ("date", quoted(&self.date)),
        ];
        if let Some(note) = &self.note {
            fields.push(("note", quoted(note)));
        }
        let lines: Vec<String> =
            fields.iter().map(|(name, value)| format!("    \"{name}\": {value}")).collect();
        format!("  {{\n{}\n  }}", lines.join(",\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        for (bar, good, bad) in [
            ("1", 1.0, 0.99),
            ("== 4", 4.0, 5.0),
            ("<= 0.6", 0.6, 0.61),
            (">=4", 4.0, 3.0),
            ("< 2", 1.9, 2.0),
            ("> 0", 1.0, 0.0),
        ] {
            let bar = Bar::parse(bar).expect(bar);
            assert!(bar.holds(good) && !bar.holds(bad), "{bar}");
            assert_eq!(Bar::parse(&bar.to_string()), Ok(bar));
        }
        for text in ["", "~ 3", "<= many", "<= inf", "NaN"] {
            assert!(Bar::parse(text).is_err(), "{text}");
        }
        let zero = |text: &str| Bar::parse(text).expect(text).is_zero();
        assert!(zero("0") && zero("<= 0") && !zero("> 0") && !zero("1"));
    }
}
