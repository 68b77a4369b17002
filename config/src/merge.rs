//! Several files as one tree: later ones win, key by key, and a table of a list is the one of
//! the same name.

use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue},
};

use crate::sheet::Sheet;

/// Keys by which a table of a list is known, in this order.
const NAMES: [&str; 3] = ["id", "path", "chain"];

/// The tables of all files of a sheet.
pub(crate) fn files(sheet: &Sheet) -> DeTable<'_> {
    let mut tree = DeTable::new();
    for part in sheet.parts().iter().filter(|part| part.value.is_none()) {
        let text = &sheet.text()[part.range.clone()];
        let (root, errors) = DeTable::parse_recoverable(text);
        let by = part.range.start;
        for error in &errors {
            let span = error.span().map(|span| span.start + by..span.end + by);
            sheet.syntax_error(span.or(Some(by..by)), error.message());
        }
        merge(&mut tree, shifted_table(root.into_inner(), by));
    }
    tree
}

/// What a table of a list is called.
pub(crate) fn name_of<'t>(table: &'t DeTable<'_>) -> Option<&'t str> {
    NAMES.iter().find_map(|key| table.get(*key)?.get_ref().as_str())
}

fn merge<'s>(into: &mut DeTable<'s>, from: DeTable<'s>) {
    for (key, value) in from {
        let name: &str = key.get_ref();
        match (into.get_mut(name).map(Spanned::get_mut), value) {
            (Some(DeValue::Table(into)), value) if value.get_ref().is_table() => {
                let DeValue::Table(from) = value.into_inner() else { continue };
                merge(into, from);
            }
            (Some(DeValue::Array(into)), value)
                if tables(into) && matches!(value.get_ref(), DeValue::Array(a) if tables(a)) =>
            {
                let DeValue::Array(from) = value.into_inner() else { continue };
                merge_lists(into, from);
            }
            (_, value) => put(into, key, value),
        }
    }
}

/// Key and value anew: a key that stays would keep the place of the one that lost.
pub(crate) fn put<'s>(
    into: &mut DeTable<'s>,
    key: Spanned<DeString<'s>>,
    value: Spanned<DeValue<'s>>,
) {
    let name: &str = key.get_ref();
    into.remove(name);
    into.insert(key, value);
}

fn tables(array: &DeArray<'_>) -> bool {
    !array.is_empty() && array.iter().all(|item| item.get_ref().is_table())
}

/// Those of the same file never meet, so that a name given twice there is still a mistake.
fn merge_lists<'s>(into: &mut DeArray<'s>, from: DeArray<'s>) {
    let before = into.len();
    for item in from {
        let name = item.get_ref().as_table().and_then(name_of).map(str::to_owned);
        let same = |other: &&mut Spanned<DeValue<'s>>| {
            let other = other.get_ref().as_table().and_then(name_of);
            name.is_some() && other == name.as_deref()
        };
        let found = into.iter_mut().take(before).find(same).map(Spanned::get_mut);
        match (found, item) {
            (Some(DeValue::Table(into)), item) => {
                let DeValue::Table(from) = item.into_inner() else { continue };
                merge(into, from);
            }
            (_, item) => into.push(item),
        }
    }
}

fn shifted_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let mut moved = DeTable::new();
    for (key, value) in table {
        let span = key.span().start + by..key.span().end + by;
        moved.insert(Spanned::new(span, key.into_inner()), shifted(value, by));
    }
    moved
}

/// A value whose text begins at byte `by` of the whole.
pub(crate) fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + by..value.span().end + by;
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted_table(table, by)),
        DeValue::Array(array) => {
            DeValue::Array(array.into_iter().map(|item| shifted(item, by)).collect())
        }
        plain => plain,
    };
    Spanned::new(span, value)
}
