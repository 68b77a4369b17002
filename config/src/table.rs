//! A TOML table, asked key by key. Asking is declaring: what nobody asked for is unknown.

use std::{cell::RefCell, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    sheet::{Finding, Sheet},
    value::{Value, did_you_mean},
};

/// A table of the file, or its absence.
pub(crate) struct Table<'s> {
    pub(crate) sheet: &'s Sheet,
    /// Nothing when the file does not have it: every key is missing then.
    entries: Option<&'s DeTable<'s>>,
    /// Its header; nothing for the root and for what is not there.
    pub(crate) span: Option<Range<usize>>,
    /// `cache.disk[0]`, empty for the root.
    pub(crate) path: String,
    asked: RefCell<Vec<&'static str>>,
    /// Something else stands in its place, and was noted: nothing is missing from it.
    muted: bool,
}

impl<'s> Table<'s> {
    pub(crate) fn root(sheet: &'s Sheet, entries: &'s DeTable<'s>) -> Self {
        Self::new(sheet, Some(entries), None, String::new())
    }

    pub(crate) fn new(
        sheet: &'s Sheet,
        entries: Option<&'s DeTable<'s>>,
        span: Option<Range<usize>>,
        path: String,
    ) -> Self {
        Self { sheet, entries, span, path, asked: RefCell::default(), muted: false }
    }

    pub(crate) fn exists(&self) -> bool {
        self.entries.is_some()
    }

    /// `fill.deadline`
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// From 1; 0 for what is not in the file.
    pub(crate) fn line(&self) -> usize {
        self.span.as_ref().map_or(0, |span| self.sheet.line_of(span.start))
    }

    /// Where its header stands.
    pub(crate) fn at(&self) -> usize {
        self.span.as_ref().map_or(0, |span| span.start)
    }

    /// The file of its header, or `$NAME` of the environment.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.sheet.part_of(self.at()).file.clone()
    }

    /// A key that must be there. `example` is a value that would be right, as TOML.
    pub(crate) fn required<T>(
        &self,
        key: &'static str,
        example: &'static str,
        read: impl FnOnce(&Value<'s>) -> Option<T>,
    ) -> Option<T> {
        match self.value(key, example) {
            Some(value) => read(&value),
            None => {
                self.missing(key, example);
                None
            }
        }
    }

    /// A key with a default.
    pub(crate) fn or<T>(
        &self,
        key: &'static str,
        example: &'static str,
        default: T,
        read: impl FnOnce(&Value<'s>) -> Option<T>,
    ) -> Option<T> {
        self.value(key, example).map_or(Some(default), |value| read(&value))
    }

    /// A key that may be missing: the inner `None`. The outer one is a mistake.
    pub(crate) fn optional<T>(
        &self,
        key: &'static str,
        example: &'static str,
        read: impl FnOnce(&Value<'s>) -> Option<T>,
    ) -> Option<Option<T>> {
        self.value(key, example).map_or(Some(None), |value| read(&value).map(Some))
    }

    /// A table inside; one that is not there has no keys.
    pub(crate) fn table(&self, key: &'static str) -> Table<'s> {
        let found = self.value(key, "");
        let table = found.as_ref().and_then(Value::table);
        let muted = found.is_some();
        table.unwrap_or_else(|| Table {
            muted,
            ..Table::new(self.sheet, None, None, self.path_of(key))
        })
    }

    /// `[[key]]`: tables in the order of the file.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Table<'s>> {
        let Some(value) = self.value(key, "") else { return Vec::new() };
        let DeValue::Array(items) = value.value else {
            let header = format!("[[{}]]", value.path);
            value.wrong(
                Finding::new(format!(
                    "`{}` must be a list of tables, not {}",
                    value.path,
                    value.kind()
                ))
                .help(format!("write {header}")),
            );
            return Vec::new();
        };
        let item = |(at, item): (usize, &'s Spanned<DeValue<'s>>)| {
            let path = format!("{}[{at}]", value.path);
            Value::new(self.sheet, item, path, "").table()
        };
        items.iter().enumerate().filter_map(item).collect()
    }

    /// All entries of a table whose keys are free, as `(key, value)`.
    pub(crate) fn free(&self) -> Vec<(String, Value<'s>)> {
        let entries = self.entries.into_iter().flatten();
        entries
            .map(|(key, value)| {
                let path = self.path_of(key.get_ref());
                (key.get_ref().to_string(), Value::new(self.sheet, value, path, ""))
            })
            .collect()
    }

    /// Whether a key is written at all, so that a default can depend on another key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    pub(crate) fn value(&self, key: &'static str, example: &'static str) -> Option<Value<'s>> {
        self.asked.borrow_mut().push(key);
        let found = self.entries?.get(key)?;
        Some(Value::new(self.sheet, found, self.path_of(key), example))
    }

    /// A key that must be there is not.
    pub(crate) fn missing(&self, key: &str, example: &str) {
        // After a syntax error nobody knows what is missing.
        if self.muted || self.sheet.syntax_is_broken() {
            return;
        }
        let path = self.path_of(key);
        let mut finding = Finding::new(format!("`{path}` is missing"));
        if !example.is_empty() {
            finding = finding.example(if self.exists() || self.path.is_empty() {
                format!("{key} = {example}")
            } else {
                format!("[{}] {key} = {example}", self.path)
            });
        }
        self.sheet.found(self.span.clone(), &path, finding);
    }

    /// Not one `[[key]]` is there. `keys` are what one would hold.
    pub(crate) fn missing_tables(&self, key: &str, keys: &str) {
        if !self.sheet.syntax_is_broken() {
            let finding = Finding::new(format!("there is no `[[{key}]]`"));
            let finding = finding.example(format!("[[{key}]] {keys}"));
            self.sheet.found(self.span.clone(), key, finding);
        }
    }

    /// Notes a mistake that concerns the table as a whole.
    pub(crate) fn wrong(&self, finding: Finding) {
        self.sheet.found(self.span.clone(), &self.path, finding);
    }

    /// Notes each key that was not asked for. Every table ends with it.
    pub(crate) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let path = self.path_of(name);
            let help = did_you_mean(name, asked.iter().copied()).unwrap_or_else(|| {
                let mut known: Vec<_> = asked.iter().map(|key| format!("`{key}`")).collect();
                known.dedup();
                format!("known here: {}", known.join(", "))
            });
            let finding = Finding::new(format!("unknown key `{path}`")).help(help);
            self.sheet.found(Some(key.span()), &path, finding);
        }
    }
}
