//! The configurations that ran, on disk beside the cache's state: a file each, the last twenty.
//! They are texts as they were read; the files that they name are not kept.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use weir_config::Texts;
use weir_config_admin::ConfigRevision;

use super::Cause;

/// Older ones go. Each is at most 1 MiB of text and what JSON adds.
const KEPT: usize = 20;

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    revision: u64,
    unix_ms: u64,
    cause: String,
    changed: Vec<String>,
    files: Vec<(PathBuf, String)>,
    variables: Vec<(String, String)>,
    credentials: Option<PathBuf>,
}

/// All that are kept, oldest first.
#[derive(Debug)]
pub(super) struct History {
    folder: PathBuf,
    kept: Vec<Kept>,
}

impl History {
    /// Beside the state file, and of its name. What cannot be read is left out: a history that is
    /// damaged is no reason not to start.
    pub(super) fn open(state: &Path) -> Self {
        let folder = state.with_extension("config");
        let mut kept: Vec<Kept> = Vec::new();
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let read = fs::read(&path).map_err(io::Error::other);
            let read = read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            match read {
                Ok(one) => kept.push(one),
                Err(error) => {
                    let file = path.display();
                    tracing::warn!(%file, %error, "an old configuration cannot be read");
                }
            }
        }
        kept.sort_by_key(|kept| kept.revision);
        Self { folder, kept }
    }

    /// Keeps what runs from now on and gives its number: that of the last one, where nothing is
    /// different.
    pub(super) fn record(
        &mut self,
        texts: &Texts,
        cause: &Cause,
        changed: &[String],
        now_millis: u64,
    ) -> u64 {
        let last = self.kept.last();
        if let Some(last) = last.filter(|last| last.same(texts)) {
            return last.revision;
        }
        let one = Kept {
            revision: last.map_or(1, |last| last.revision + 1),
            unix_ms: now_millis,
            cause: cause.to_string(),
            changed: changed.to_vec(),
            files: texts.files.clone(),
            variables: texts.variables.clone(),
            credentials: texts.credentials.clone(),
        };
        let revision = one.revision;
        if let Err(error) = self.write(&one) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "the configuration cannot be kept for a rollback");
        }
        self.kept.push(one);
        while self.kept.len() > KEPT {
            let old = self.kept.remove(0);
            let _gone_already = fs::remove_file(self.file(old.revision));
        }
        revision
    }

    /// What a revision was made from.
    pub(super) fn texts(&self, revision: u64) -> Option<Texts> {
        let one = self.kept.iter().find(|kept| kept.revision == revision)?;
        Some(Texts {
            files: one.files.clone(),
            variables: one.variables.clone(),
            credentials: one.credentials.clone(),
        })
    }

    /// Newest first.
    pub(super) fn list(&self) -> Vec<ConfigRevision> {
        let line = |kept: &Kept| ConfigRevision {
            revision: kept.revision,
            unix_ms: kept.unix_ms,
            cause: kept.cause.clone(),
            changed: kept.changed.clone(),
            files: kept.files.iter().map(|(file, _)| file.display().to_string()).collect(),
        };
        self.kept.iter().rev().map(line).collect()
    }

    fn file(&self, revision: u64) -> PathBuf {
        self.folder.join(format!("{revision:08}.json"))
    }

    /// Whole or not at all, for this user only: a configuration tells much of a site.
    fn write(&self, one: &Kept) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let (file, temporary) = (self.file(one.revision), self.folder.join("new"));
        let mut options = fs::OpenOptions::new();
        let mut out =
            options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        out.write_all(&serde_json::to_vec(one)?)?;
        out.sync_all()?;
        fs::rename(temporary, file)
    }
}

impl Kept {
    fn same(&self, texts: &Texts) -> bool {
        self.files == texts.files
            && self.variables == texts.variables
            && self.credentials == texts.credentials
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Texts {
        let files = vec![(PathBuf::from("edge.toml"), text.to_owned())];
        Texts { files, variables: Vec::new(), credentials: None }
    }

    #[test]
    fn the_last_twenty_are_kept_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("metadata.redb");
        let mut history = History::open(&state);
        for n in 1..=25 {
            let text = texts(&format!("# {n}"));
            assert_eq!(history.record(&text, &Cause::Operator, &["a".into()], n), n);
            assert_eq!(history.record(&text, &Cause::Hangup, &[], n), n, "nothing is different");
        }
        let mut again = History::open(&state);
        let numbers: Vec<_> = again.list().iter().map(|kept| kept.revision).collect();
        assert_eq!(numbers, (6..=25).rev().collect::<Vec<_>>());
        assert_eq!(again.texts(7), Some(texts("# 7")));
        assert_eq!(again.texts(5), None);
        assert_eq!(again.record(&texts("# 25"), &Cause::Start, &[], 99), 25);
        fs::write(state.with_extension("config").join("00000009.json"), "{").unwrap();
        assert_eq!(History::open(&state).list().len(), 19);
    }
}
