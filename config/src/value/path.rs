//! Paths, and the files they name.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::Value;
use crate::{
    judge::Flaw,
    load::{self, Decode},
    secret::Secret,
    sheet::{Finding, Sheet},
};

/// What a path begins with that names a credential of systemd.
const CREDENTIAL: &str = "credential:";
/// Keys and credentials are short.
const MOST_SECRET_BYTES: usize = 4096;

impl Value<'_> {
    /// A path, resolved against the folder of the configuration. What it names may be missing.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let text = self.some_text()?;
        if text.contains('\0') {
            return self.refuse(Finding::new(format!("`{}` holds a NUL byte", self.path)));
        }
        match text.strip_prefix(CREDENTIAL) {
            Some(name) => self.credential(name),
            None => Some(self.sheet.resolve(text)),
        }
    }

    /// systemd.exec(5), `LoadCredential=`: a file of that name in a folder of this service.
    fn credential(&self, name: &str) -> Option<PathBuf> {
        let key = &self.path;
        if name.is_empty() || name == ".." || name.contains('/') {
            return self.refuse(
                Finding::new(format!("`{key}`: \"{name}\" is no name of a credential"))
                    .help("the name alone, as LoadCredential= gives it"),
            );
        }
        let Some(folder) = self.sheet.credentials() else {
            return self.refuse(
                Finding::new(format!(
                    "`{key}` names the credential \"{name}\", and there are none"
                ))
                .help(format!(
                    "$CREDENTIALS_DIRECTORY is not set: the unit needs LoadCredential={name}:FILE"
                )),
            );
        };
        Some(folder.join(name))
    }

    /// The same for a file that must be there and readable.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let path = self.path()?;
        let opened = File::open(&path).and_then(|file| file.metadata());
        match opened {
            Ok(data) if data.is_dir() => self.refuse(Finding::new(format!(
                "`{}` names a folder, not a file: {}",
                self.path,
                path.display()
            ))),
            Ok(_) => Some(path),
            Err(error) => self.unreadable(&path.display().to_string(), &error),
        }
    }

    /// The same for a file that is written: it may be missing, and is then made. A device is as good.
    pub(crate) fn written(&self) -> Option<PathBuf> {
        let path = self.path()?;
        let shown = path.display();
        if path.is_dir() || self.some_text()?.ends_with('/') {
            return self.refuse(
                Finding::new(format!("`{}` names a folder, not a file: {shown}", self.path))
                    .help("the file that is to be written in it"),
            );
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // What is missing of it is made.
        let there = folder.into_iter().flat_map(Path::ancestors).find(|folder| folder.exists());
        match there {
            Some(file) if !file.is_dir() => self.refuse(Finding::new(format!(
                "`{}` names {shown}, and {} is no folder",
                self.path,
                file.display()
            ))),
            _ => Some(path),
        }
    }

    fn unreadable<T>(&self, path: &str, error: &std::io::Error) -> Option<T> {
        let key = &self.path;
        self.refuse(match error.kind() {
            std::io::ErrorKind::NotFound => {
                Finding::new(format!("`{key}` names a file that does not exist: {path}"))
                    .help("paths start at the folder of this configuration")
            }
            std::io::ErrorKind::PermissionDenied => {
                Finding::new(format!("`{key}` names a file that this user may not read: {path}"))
                    .help("look at its owner and mode, and at those of its folders")
            }
            _ => Finding::new(format!("`{key}` names a file that cannot be read: {path}: {error}")),
        })
    }

    /// A file of which somebody who knows such files finds nothing wrong.
    pub(crate) fn judged<F>(&self, file: PathBuf, judge: impl FnOnce(&Path) -> F) -> Option<PathBuf>
    where
        F: IntoIterator<Item = Flaw>,
    {
        let mut sound = true;
        for flaw in judge(&file) {
            sound = false;
            // The key itself is right: an example of it would not help.
            self.sheet.found(Some(self.span.clone()), &self.path, flawed(&self.path, flaw));
        }
        sound.then_some(file)
    }

    /// The content of a file that holds one secret.
    pub(crate) fn secret_file(&self) -> Option<Secret> {
        let path = self.file()?;
        let text = match load::read(&path) {
            Ok(text) => text,
            Err(finding) => return self.refuse(finding),
        };
        let secret = text.trim();
        let length = secret.len();
        if !(16..=MOST_SECRET_BYTES).contains(&length) || secret.contains(char::is_whitespace) {
            return self.refuse(
                Finding::new(format!(
                    "`{}` names a file that holds no usable secret: {}",
                    self.path,
                    path.display()
                ))
                .help("one line of 16 to 4096 characters without white space"),
            );
        }
        Some(Secret::new(secret))
    }

    /// A file of its own that holds secrets, as TOML: its mistakes are reported with its own
    /// name and lines, and none of its lines is shown.
    pub(crate) fn confidential_toml<T>(&self, decode: Decode<'_, T>) -> Option<T> {
        let path = self.file()?;
        let text = match load::read(&path) {
            Ok(text) => text,
            Err(finding) => return self.refuse(finding),
        };
        let sheet = Sheet::new(&path, &text).confidential();
        let value = load::decode_sheet(&sheet, decode);
        let sound = sheet.count() == 0;
        self.sheet.adopt(sheet);
        value.filter(|_| sound)
    }
}

/// What is wrong with the file that `key` names.
pub(crate) fn flawed(key: &str, flaw: Flaw) -> Finding {
    Finding { help: flaw.help, ..Finding::new(format!("`{key}`: {}", flaw.what)) }
}
