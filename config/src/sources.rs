//! Where a configuration comes from: a file, what lies in the `conf.d` beside it, and the
//! environment.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    keys::Server,
    load::{MOST_BYTES, read},
    report::Report,
    sheet::{Finding, Sheet},
};

/// More files than that are somebody's mistake.
const MOST_FILES: usize = 64;
/// A value of the environment is a line.
const MOST_VALUE: usize = 64 << 10;

/// Where to look.
#[derive(Debug, Clone)]
pub struct Sources {
    file: PathBuf,
    variables: Vec<(String, String)>,
    credentials: Option<PathBuf>,
}

/// What was found there: all that a configuration is made from, but the files that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The main file first, then those of `conf.d` in the order of their names; later ones win.
    pub files: Vec<(PathBuf, String)>,
    /// Variables of the environment that override keys, by name; they win over files.
    pub variables: Vec<(String, String)>,
    /// Where systemd put credentials.
    pub credentials: Option<PathBuf>,
}

impl Sources {
    /// A file and its `conf.d`, without an environment.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), variables: Vec::new(), credentials: None }
    }

    /// The variables of this process that mean the configuration of `server`, and the folder
    /// of credentials that systemd passes.
    #[must_use]
    pub fn environment(
        mut self,
        server: Server,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        for (name, value) in variables {
            if name == "CREDENTIALS_DIRECTORY" {
                self.credentials = Some(value.into());
            } else if name.starts_with(server.prefix()) {
                self.variables.push((name, value));
            }
        }
        self.variables.sort_unstable();
        self
    }

    /// The same, from the environment of this process. What is no Unicode is left out.
    #[must_use]
    pub fn of_process(self, server: Server) -> Self {
        let known = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        self.environment(server, known)
    }

    /// The main file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// A [`Report`] with every file that cannot be read.
    pub fn read(&self) -> Result<Texts, Report> {
        let blank = Sheet::new(&self.file, "");
        let mut paths = vec![self.file.clone()];
        match beside(&self.file) {
            Ok(found) => paths.extend(found),
            Err(finding) => blank.found(None, "", finding),
        }
        let mut files = Vec::new();
        for path in paths {
            match read(&path) {
                Ok(text) => files.push((path, text)),
                Err(finding) => blank.found_in(&path, finding),
            }
        }
        let size: usize = files.iter().map(|(_, text)| text.len()).sum();
        if size as u64 > MOST_BYTES {
            blank.found(None, "", Finding::new("its files together are larger than 1 MiB"));
        }
        for (name, value) in &self.variables {
            if value.len() > MOST_VALUE {
                let what = format!("${name} is longer than 64 KiB");
                blank.found_in(Path::new(&format!("${name}")), Finding::new(what));
            }
        }
        if blank.count() > 0 {
            return Err(Report::new(&self.file, blank.into_mistakes()));
        }
        Ok(Texts {
            files,
            variables: self.variables.clone(),
            credentials: self.credentials.clone(),
        })
    }
}

impl Texts {
    /// One text alone.
    pub(crate) fn of_one(file: &Path, text: &str) -> Self {
        Self {
            files: vec![(file.to_path_buf(), text.to_owned())],
            variables: Vec::new(),
            credentials: None,
        }
    }

    /// The main file.
    pub(crate) fn main(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |(file, _)| file)
    }

    pub(crate) fn sheet(&self) -> Sheet {
        let mut files = self.files.iter();
        let mut sheet = match files.next() {
            Some((file, text)) => Sheet::new(file, text),
            None => Sheet::new(Path::new(""), ""),
        };
        for (file, text) in files {
            sheet.add(file.clone(), text);
        }
        for (name, value) in &self.variables {
            sheet.add_variable(name, value);
        }
        sheet.with_credentials(self.credentials.clone())
    }
}

/// The `*.toml` of the `conf.d` beside a file, by name; hidden ones are no configuration.
fn beside(file: &Path) -> Result<Vec<PathBuf>, Finding> {
    let folder = file.parent().unwrap_or(Path::new("")).join("conf.d");
    let failed = |error: std::io::Error| {
        Finding::new(format!("{} cannot be read: {error}", folder.display()))
            .help("look at its owner and mode")
    };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let shown = name.to_string_lossy();
        if shown.ends_with(".toml") && !shown.starts_with('.') {
            found.push(folder.join(&name));
        }
        if found.len() > MOST_FILES {
            let what = format!("{} holds more than {MOST_FILES} files", folder.display());
            return Err(Finding::new(what).help("write several tables into one file"));
        }
    }
    found.sort_unstable();
    Ok(found)
}
