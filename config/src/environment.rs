//! Variables of the environment that override keys: `WEIR_EDGE__FILL__DEADLINE=5s` is
//! `fill.deadline`, `WEIR_EDGE__UPSTREAM__S3_MAIN__REGION` that of the upstream `s3-main`.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    keys::Server,
    merge::{name_of, put, shifted},
    sheet::{Finding, Part, Sheet},
    value::did_you_mean,
};

/// Puts what the variables of a sheet say into the tree of its files.
pub(crate) fn apply<'s>(sheet: &'s Sheet, server: Server, tree: &mut DeTable<'s>) {
    for part in sheet.parts() {
        let Some(value) = part.value else { continue };
        let name = &sheet.text()[part.range.start..value - 1];
        let Some(rest) = name.strip_prefix(server.prefix()) else { continue };
        let steps: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let variable = Variable { sheet, server, part, value };
        variable.put(tree, "", &steps);
    }
}

struct Variable<'s> {
    sheet: &'s Sheet,
    server: Server,
    part: &'s Part,
    /// Where its value starts.
    value: usize,
}

impl<'s> Variable<'s> {
    /// Goes the steps that are left from the table `path` on.
    fn put(&self, table: &mut DeTable<'s>, path: &str, steps: &[String]) {
        let [step, rest @ ..] = steps else { return };
        let known = self.server.children(path);
        let plain = |name: &&'static str| name.trim_end_matches("[]");
        let Some(name) = known.iter().find(|name| plain(name) == *step) else {
            let help = did_you_mean(step, known.iter().map(plain)).unwrap_or_else(|| {
                let known: Vec<_> = known.iter().map(plain).collect();
                format!("known here: {}", known.join(", "))
            });
            let what = format!("`{step}` is no key of {}", shown(path));
            return self.wrong(Finding::new(what).help(help));
        };
        let inner = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        let key = self.server.keys().find(|key| key.path == inner);
        match (key, rest) {
            (Some(key), []) => {
                let kind = key.kind;
                if let Some(value) = self.read(|text| kind.is_plain_text(text)) {
                    put(table, self.key(plain(name)), value);
                }
            }
            (None, []) => {
                let what = format!("`{}` is a table: say which key of it", inner);
                let names = self.server.children(&inner).join(", ");
                self.wrong(Finding::new(what).help(format!("known there: {names}")));
            }
            (_, rest) if name.ends_with("[]") => self.put_into_list(table, name, &inner, rest),
            (_, rest) => {
                let name = plain(name);
                let there = table.get(name).is_some_and(|value| value.get_ref().is_table());
                if !there {
                    let made = DeValue::Table(DeTable::new());
                    put(table, self.key(name), Spanned::new(self.part.range.clone(), made));
                }
                if let Some(DeValue::Table(found)) = table.get_mut(name).map(Spanned::get_mut) {
                    self.put(found, &inner, rest);
                }
            }
        }
    }

    /// One table of a list: by its name, or by its number from 0.
    fn put_into_list(&self, table: &mut DeTable<'s>, list: &str, inner: &str, steps: &[String]) {
        let [which, rest @ ..] = steps else { return };
        let (list, header) = (list.trim_end_matches("[]"), inner.trim_end_matches("[]"));
        let items: &mut [Spanned<DeValue<'s>>] = match table.get_mut(list).map(Spanned::get_mut) {
            Some(DeValue::Array(items)) => items,
            _ => &mut [],
        };
        let as_variable = |name: &str| {
            let plain =
                |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
            name.chars().map(plain).collect::<String>()
        };
        let names: Vec<Option<String>> = items
            .iter()
            .map(|item| item.get_ref().as_table().and_then(name_of).map(as_variable))
            .collect();
        let matching: Vec<usize> = (0..names.len())
            .filter(|at| names[*at].as_deref() == Some(which.as_str()) || which.parse() == Ok(*at))
            .collect();
        match (matching.as_slice(), rest) {
            (_, []) => self.wrong(
                Finding::new(format!("`{inner}` of \"{which}\" is a table: say which key of it"))
                    .help(format!("known there: {}", self.server.children(inner).join(", "))),
            ),
            ([at], rest) => {
                if let DeValue::Table(found) = items[*at].get_mut() {
                    self.put(found, inner, rest);
                }
            }
            ([], _) => {
                let known: Vec<_> = names.iter().flatten().map(String::as_str).collect();
                let help = did_you_mean(which, known.iter().copied());
                let help = help.unwrap_or_else(|| match known.as_slice() {
                    [] => format!("the environment makes none: write a [[{header}]] into a file"),
                    known => format!("known: {}", known.join(", ")),
                });
                let what = format!("there is no `[[{header}]]` that is called \"{which}\"");
                self.wrong(Finding::new(what).help(help));
            }
            (_, _) => self.wrong(
                Finding::new(format!("\"{which}\" is more than one `[[{header}]]`"))
                    .help("name it by its number, from 0"),
            ),
        }
    }

    fn key(&self, name: &str) -> Spanned<Cow<'s, str>> {
        Spanned::new(self.part.range.start..self.value - 1, Cow::Owned(name.to_owned()))
    }

    /// The value, as text or as TOML.
    fn read(&self, is_text: impl Fn(&str) -> bool) -> Option<Spanned<DeValue<'s>>> {
        let span = self.value..self.part.range.end;
        let text: &'s str = &self.sheet.text()[span.clone()];
        if is_text(text) {
            return Some(Spanned::new(span, DeValue::String(Cow::Borrowed(text))));
        }
        let (value, errors) = DeValue::parse_recoverable(text);
        for error in &errors {
            let at =
                error.span().map_or(span.clone(), |e| e.start + span.start..e.end + span.start);
            self.sheet.syntax_error(Some(at), error.message());
        }
        errors.is_empty().then(|| shifted(value, self.value))
    }

    fn wrong(&self, finding: Finding) {
        self.sheet.found(Some(self.part.range.start..self.value - 1), "", finding);
    }
}

fn shown(path: &str) -> String {
    if path.is_empty() { "the configuration".to_owned() } else { format!("`{path}`") }
}
