//! From texts to a checked configuration, or to everything that is wrong with them.

use std::{fs, io::Read, path::Path};

use toml::de::DeTable;

use crate::{
    entries::{Entry, entries},
    environment,
    keys::Server,
    merge,
    report::Report,
    sheet::{Finding, Sheet},
    sources::{Sources, Texts},
    table::Table,
};

/// A configuration is a page or two; what is larger is some other file.
pub(crate) const MOST_BYTES: u64 = 1 << 20;

/// Reads one kind of file: something, or mistakes noted in the table's sheet.
pub(crate) type Decode<'d, T> = &'d dyn Fn(&Table<'_>) -> Option<T>;

/// A configuration, and who said what of it.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The configuration.
    pub config: T,
    /// Every key that holds, in the order of the document.
    pub entries: Vec<Entry>,
    /// What it was made from.
    pub texts: Texts,
}

/// Reads and decodes the file at `path` and its `conf.d`.
pub(crate) fn load<T>(path: &Path, server: Server, decode: Decode<'_, T>) -> Result<T, Report> {
    Ok(of_texts(Sources::new(path).read()?, server, decode)?.config)
}

/// Decodes text that is already here.
pub(crate) fn parse<T>(
    path: &Path,
    text: &str,
    server: Server,
    decode: Decode<'_, T>,
) -> Result<T, Report> {
    Ok(of_texts(Texts::of_one(path, text), server, decode)?.config)
}

/// Decodes texts that were read.
pub(crate) fn of_texts<T>(
    texts: Texts,
    server: Server,
    decode: Decode<'_, T>,
) -> Result<Loaded<T>, Report> {
    let sheet = texts.sheet();
    let mut tree = merge::files(&sheet);
    environment::apply(&sheet, server, &mut tree);
    let table = Table::root(&sheet, &tree);
    let value = decode(&table);
    table.finish();
    match value {
        Some(config) if sheet.count() == 0 => {
            let entries = entries(&sheet, server, &tree);
            Ok(Loaded { config, entries, texts })
        }
        _ => {
            debug_assert!(sheet.count() > 0, "a decoder that gives nothing says why");
            Err(Report::new(texts.main(), sheet.into_mistakes()))
        }
    }
}

/// Decodes the sheet of one file; mistakes are noted in it.
pub(crate) fn decode_sheet<T>(sheet: &Sheet, decode: Decode<'_, T>) -> Option<T> {
    let tree: DeTable<'_> = merge::files(sheet);
    let table = Table::root(sheet, &tree);
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
