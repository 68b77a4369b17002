//! What a node keeps of its membership, in a folder of its own: its key and certificate, the
//! authority, where the control plane is, the last good messages.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use weir_steering_api::{Kind, PublicKey, Signed};

/// Key and certificate, PEM, in one file: they change together.
const OWN: &str = "node.pem";
/// The authority, PEM.
const AUTHORITY: &str = "authority.pem";
/// See [`Membership`].
const MEMBERSHIP: &str = "membership.json";
/// The last good message of each kind.
const MESSAGES: &str = "messages";
/// None of the files is larger than a message may be.
const MOST_BYTES: u64 = 24 << 20;

/// Where a node belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// Of the control plane.
    pub url: String,
    /// The node's name, as its certificate has it.
    pub node: String,
    /// Unix time from which the next certificate is asked for.
    pub renew_ms: u64,
    /// Unix time at which this one ends.
    pub ends_ms: u64,
    /// What messages are signed with.
    pub keys: Vec<PublicKey>,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody has joined with it.
    #[error("{path} is missing: the node has not joined; `weir-edge join` does that")]
    NotJoined {
        /// Which.
        path: PathBuf,
    },
    /// Others may read the key.
    #[error("{path} may be read by others (mode {mode:o}): `chmod 600` it")]
    Open {
        /// Which.
        path: PathBuf,
        /// How it is.
        mode: u32,
    },
    /// A file that is not ours, or is torn.
    #[error("{path} cannot be read: {reason}; remove it and join again")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// Of that path, whether it is there or not.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with key and certificate.
    pub fn own(&self) -> PathBuf {
        self.folder.join(OWN)
    }

    /// The file with the authority.
    pub fn authority(&self) -> PathBuf {
        self.folder.join(AUTHORITY)
    }

    /// The fingerprint of the certificate; none where there is none.
    pub(crate) fn fingerprint(&self) -> Option<[u8; 32]> {
        let text = self.read(&self.own()).ok()?;
        weir_edge_transport::connect::fingerprint(std::str::from_utf8(&text).ok()?)
    }

    /// Whether a node has joined with it.
    pub fn is_joined(&self) -> bool {
        self.own().exists()
    }

    /// Where the node belongs.
    ///
    /// # Errors
    /// It has not joined, or what it kept cannot be used.
    pub fn membership(&self) -> Result<Membership, HomeError> {
        let own = self.own();
        let about = match fs::metadata(&own) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(HomeError::NotJoined { path: own });
            }
            Err(source) => return Err(HomeError::File { path: own, source }),
        };
        let mode = about.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Open { path: own, mode });
        }
        let path = self.folder.join(MEMBERSHIP);
        let text = self.read(&path)?;
        serde_json::from_slice(&text)
            .map_err(|error| HomeError::Malformed { path, reason: error.to_string() })
    }

    /// Keeps a membership, the certificate with its key, and the authority.
    ///
    /// # Errors
    /// A file cannot be written; the ones before are kept then.
    pub fn keep(&self, own: &str, authority: &str, member: &Membership) -> Result<(), HomeError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|source| HomeError::File { path: self.folder.clone(), source })?;
        let text = serde_json::to_vec_pretty(member).expect("texts and numbers are JSON");
        self.write(&self.authority(), authority.as_bytes())?;
        self.write(&self.folder.join(MEMBERSHIP), &text)?;
        // Last: with it the node has joined.
        self.write(&self.own(), own.as_bytes())
    }

    /// The last good messages. What cannot be read is as if it were not there.
    pub(crate) fn messages(&self) -> Vec<Signed> {
        let file = |kind: &Kind| self.folder.join(MESSAGES).join(format!("{}.json", kind.as_str()));
        let read = |kind: &Kind| serde_json::from_slice(&self.read(&file(kind)).ok()?).ok();
        Kind::ALL.iter().filter_map(read).collect()
    }

    /// Keeps a message in the place of the last one of its kind.
    pub(crate) fn keep_message(&self, kind: Kind, signed: &Signed) -> Result<(), HomeError> {
        let folder = self.folder.join(MESSAGES);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| HomeError::File { path: folder.clone(), source })?;
        let text = serde_json::to_vec(signed).expect("texts are JSON");
        self.write(&folder.join(format!("{}.json", kind.as_str())), &text)
    }

    /// Forgets messages: they were of another fleet, or of another life of this one.
    pub(crate) fn forget_messages(&self) -> Result<(), HomeError> {
        let path = self.folder.join(MESSAGES);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(HomeError::File { path, source })
            }
            _ => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, HomeError> {
        use io::Read;
        let failed = |source| HomeError::File { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(failed)?;
        file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// The whole file or the one before, whenever the process dies.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
        let draft = path.with_extension("new");
        let written = (|| {
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            fs::File::open(path.parent().unwrap_or(&self.folder))?.sync_all()
        })();
        written.map_err(|source| HomeError::File { path: path.to_owned(), source })
    }
}
