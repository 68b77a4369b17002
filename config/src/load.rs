//! From a path to a checked configuration, or to everything that is wrong with it.
//!
//! Files of a `conf.d/` and the environment will be further sheets under the same table reader;
//! a mistake already carries its own file.

use std::{fs, io::Read, path::Path};

use toml::de::DeTable;

use crate::{
    report::Report,
    sheet::{Finding, Sheet},
    table::Table,
};

/// A configuration is a page or two; what is larger is some other file.
pub(crate) const MOST_BYTES: u64 = 1 << 20;

/// Reads one kind of file: something, or mistakes noted in the table's sheet.
pub(crate) type Decode<'d, T> = &'d dyn Fn(&Table<'_>) -> Option<T>;

/// Reads and decodes the file at `path`.
pub(crate) fn load<T>(path: &Path, decode: Decode<'_, T>) -> Result<T, Report> {
    match read(path) {
        Ok(text) => parse(path, &text, decode),
        Err(finding) => {
            let sheet = Sheet::new(path, String::new());
            sheet.found(None, "", finding);
            Err(Report::new(path, sheet.into_mistakes()))
        }
    }
}

/// Decodes text that is already here.
pub(crate) fn parse<T>(path: &Path, text: &str, decode: Decode<'_, T>) -> Result<T, Report> {
    let sheet = Sheet::new(path, text.to_owned());
    match decode_sheet(&sheet, decode) {
        Some(value) if sheet.count() == 0 => Ok(value),
        _ => {
            debug_assert!(sheet.count() > 0, "a decoder that gives nothing says why");
            Err(Report::new(path, sheet.into_mistakes()))
        }
    }
}

/// Decodes a sheet; mistakes are noted in it.
pub(crate) fn decode_sheet<T>(sheet: &Sheet, decode: Decode<'_, T>) -> Option<T> {
    let (root, errors) = DeTable::parse_recoverable(sheet.text());
    for error in &errors {
        sheet.syntax_error(error.span(), error.message());
    }
    let table = Table::root(sheet, root.get_ref());
    let value = decode(&table);
    table.finish();
    value
}

/// The text of a file, or what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<String, Finding> {
    let failed = |error: std::io::Error| {
        let name = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => Finding::new(format!("there is no file {name}"))
                .help("give another one with --config, or start from config/examples/"),
            std::io::ErrorKind::PermissionDenied => {
                Finding::new(format!("{name} may not be read by this user"))
                    .help("look at its owner and mode, and at those of its folders")
            }
            _ => Finding::new(format!("{name} cannot be read: {error}")),
        }
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Finding::new(format!("{} is a folder, not a file", path.display())));
    }
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Finding::new(format!(
            "{} is larger than 1 MiB: it is no configuration",
            path.display()
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Finding::new(format!("{}: line {line} is not UTF-8", path.display()))
            .help("save the file as UTF-8")
    })
}
