//! What a configuration says, key by key, each value with the place that says it.

use std::{fmt, path::PathBuf};

use toml::de::{DeTable, DeValue};

use crate::{
    keys::{Class, Key, Kind, Server},
    merge::name_of,
    sheet::{Sheet, names_secret},
};

/// Instead of a value that names a secret.
const HIDDEN: &str = "\"***\"";

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file; line and column from 1.
    File {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// Nobody: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => {
                write!(out, "{}:{line}:{column}", file.display())
            }
            Self::Environment(name) => write!(out, "${name}"),
            Self::Default => out.write_str("default"),
        }
    }
}

/// One key and what holds for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `service[film].default_ttl`
    pub key: String,
    /// As TOML, in one line; in words where a default depends on something else.
    pub value: String,
    /// Who says so.
    pub origin: Origin,
    /// When a change of it takes effect.
    pub class: Class,
}

/// Every key of a tree that was found sound, and the defaults of those that it leaves out.
pub(crate) fn entries(sheet: &Sheet, server: Server, tree: &DeTable<'_>) -> Vec<Entry> {
    let mut found = Vec::new();
    Walk { sheet, server, found: &mut found }.table(tree, "", "");
    found
}

struct Walk<'w> {
    sheet: &'w Sheet,
    server: Server,
    found: &'w mut Vec<Entry>,
}

impl Walk<'_> {
    /// `path` is that of the declaration, `shown` the one with names.
    fn table(&mut self, table: &DeTable<'_>, path: &str, shown: &str) {
        for child in self.server.children(path) {
            let name = child.trim_end_matches("[]");
            let inner = joined(path, child);
            let shown = joined(shown, name);
            let key = self.server.keys().find(|key| key.path == inner);
            let value = table.get(name).map(|value| (value.span().start, value.get_ref()));
            match (key, value) {
                (Some(key), Some((_, DeValue::Table(free)))) if key.kind == Kind::Map => {
                    for (name, value) in free {
                        let name = text(name.get_ref());
                        self.told(key, &joined(&shown, &name), value.span().start, value.get_ref());
                    }
                }
                (Some(key), Some((at, value))) => self.told(key, &shown, at, value),
                (Some(key), None) => self.default(key, table, &shown),
                (None, Some((_, DeValue::Table(found)))) => self.table(found, &inner, &shown),
                (None, Some((_, DeValue::Array(items)))) => {
                    for (at, item) in items.iter().enumerate() {
                        let Some(item) = item.get_ref().as_table() else { continue };
                        let at = at.to_string();
                        let name = name_of(item).unwrap_or(&at);
                        self.table(item, &inner, &format!("{shown}[{name}]"));
                    }
                }
                (None, _) if child.ends_with("[]") || self.optional(&inner) => {}
                (None, _) => self.table(&DeTable::new(), &inner, &shown),
            }
        }
    }

    /// A table that means something by being there.
    fn optional(&self, path: &str) -> bool {
        let mut inside = self.server.keys().filter(|key| key.table() == path);
        path.contains("[]") && inside.any(|key| key.is_required())
    }

    fn told(&mut self, key: &Key, shown: &str, at: usize, value: &DeValue<'_>) {
        let part = self.sheet.part_of(at);
        let origin = match part.value {
            Some(_) => {
                let name = part.file.to_string_lossy();
                Origin::Environment(name.trim_start_matches('$').to_owned())
            }
            None => {
                let (line, column) = self.sheet.line_and_column(at);
                Origin::File { file: part.file.clone(), line, column }
            }
        };
        let value = if names_secret(shown) { HIDDEN.to_owned() } else { written(value) };
        self.found.push(Entry { key: shown.to_owned(), value, origin, class: key.class });
    }

    fn default(&mut self, key: &Key, table: &DeTable<'_>, shown: &str) {
        let kind = table.get("kind").and_then(|kind| kind.get_ref().as_str());
        let foreign = !key.only.is_empty() && kind.is_some_and(|kind| kind != key.only);
        if foreign || key.is_required() || key.default.is_empty() {
            return;
        }
        let value =
            key.literal_default().map_or_else(|| format!("({})", key.default), str::to_owned);
        let origin = Origin::Default;
        self.found.push(Entry { key: shown.to_owned(), value, origin, class: key.class });
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value as TOML in one line.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(plain) => quoted(plain),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.as_str().to_owned(),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| written(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let pairs: Vec<_> = table
                .iter()
                .map(|(key, value)| {
                    let key = text(key.get_ref());
                    let hidden = names_secret(&key);
                    let value = if hidden { HIDDEN.to_owned() } else { written(value.get_ref()) };
                    format!("{key} = {value}")
                })
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

/// A key, quoted where it has to be.
fn text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
