//! The keys as one file that can be put away, and back.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    SystemEntropy,
    local::{AUTHORITY, AUTHORITY_KEY, LocalSigner, MESSAGES_KEY, OpenError, put, read, write},
};

/// What is in the file. Whoever has it can be any node: it belongs where secrets are kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// Of this shape.
    weir_authority: u32,
    authority: String,
    authority_key: String,
    messages_key: String,
}

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] OpenError),
    /// The backup's file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no backup.
    #[error("{path} is no backup of an authority: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There are keys already, which are not overwritten.
    #[error("{path} holds keys already: move it away first")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
}

/// Writes the keys of a folder into a new file that its owner alone may read.
///
/// # Errors
/// When there are none, they cannot be used, or the file is there already.
pub fn back_up(folder: &Path, file: &Path) -> Result<(), BackupError> {
    let backup = Backup {
        weir_authority: 1,
        authority: read(&folder.join(AUTHORITY), false)?,
        authority_key: read(&folder.join(AUTHORITY_KEY), true)?,
        messages_key: read(&folder.join(MESSAGES_KEY), true)?,
    };
    sound(folder, &backup)?;
    let text = serde_json::to_string_pretty(&backup).expect("texts are JSON");
    write(file, &text, 0o600).map_err(|source| BackupError::File { path: file.to_owned(), source })
}

/// Puts the keys of a backup into a folder that has none.
///
/// # Errors
/// When the file is no backup, its keys do not belong together, or the folder has some.
pub fn restore(file: &Path, folder: &Path) -> Result<(), BackupError> {
    let text = read(file, true)?;
    let backup: Backup = serde_json::from_str(&text).map_err(|error| BackupError::Malformed {
        path: file.to_owned(),
        // What serde says can quote the file: its place is enough.
        reason: format!("line {}, column {}", error.line(), error.column()),
    })?;
    if backup.weir_authority != 1 {
        let reason = format!("it is of shape {}", backup.weir_authority);
        return Err(BackupError::Malformed { path: file.to_owned(), reason });
    }
    sound(file, &backup)?;
    if [AUTHORITY, AUTHORITY_KEY, MESSAGES_KEY].iter().any(|name| folder.join(name).exists()) {
        return Err(BackupError::Occupied { path: folder.to_owned() });
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| BackupError::File { path: folder.to_owned(), source })?;
    Ok(put(folder, &backup.authority_key, &backup.messages_key, &backup.authority)?)
}

fn sound(at: &Path, backup: &Backup) -> Result<(), OpenError> {
    let Backup { authority, authority_key, messages_key, .. } = backup;
    let authority = authority.clone();
    LocalSigner::of(at, authority, authority_key, messages_key, Box::new(SystemEntropy)).map(drop)
}
