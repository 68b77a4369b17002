//! The keys in this process, in a folder that nobody else may read.

use std::{
    fmt, fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{Issuer, KeyPair};
use weir_steering_api::{PublicKey, Signed};

use super::{Entropy, Issue, Issued, Signer, SignerError, profile};
use crate::token::hex;

/// The authority's certificate; everybody may read it.
pub(super) const AUTHORITY: &str = "authority.pem";
/// Its key, PKCS #8, PEM.
pub(super) const AUTHORITY_KEY: &str = "authority.key";
/// What messages are signed with, PKCS #8, base64.
pub(super) const MESSAGES_KEY: &str = "messages.key";
/// None of these files is larger.
const MOST_BYTES: u64 = 64 << 10;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read a key.
    #[error("{path} may be read by others (mode {mode:o}): `chmod 600` it")]
    Open {
        /// Which.
        path: PathBuf,
        /// How it is.
        mode: u32,
    },
    /// Some of the files are there, and others are not.
    #[error(
        "{path} is missing and others of its kind are there: restore the folder from its backup; \
         with a new authority every node would have to join again"
    )]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A key or certificate that is none, or not of the other one.
    #[error("{path} is of no use: {reason}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Signs in this process.
pub struct LocalSigner {
    authority: String,
    issuer: Issuer<'static, KeyPair>,
    messages: Ed25519KeyPair,
    messages_id: String,
    entropy: Box<dyn Entropy>,
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSigner")
            .field("messages_id", &self.messages_id)
            .finish_non_exhaustive()
    }
}

impl LocalSigner {
    /// Reads the keys of a folder; makes the folder and them where there are none at all.
    ///
    /// # Errors
    /// When they cannot be read, others may read them, or they do not belong together.
    pub fn open(folder: &Path, entropy: Box<dyn Entropy>, now_s: u64) -> Result<Self, OpenError> {
        let names = [AUTHORITY, AUTHORITY_KEY, MESSAGES_KEY];
        let there = names.map(|name| folder.join(name).exists());
        if !there.contains(&true) {
            make(folder, entropy.as_ref(), now_s)?;
        } else if let Some(at) = there.iter().position(|there| !there) {
            return Err(OpenError::Missing { path: folder.join(names[at]) });
        }
        let authority = read(&folder.join(AUTHORITY), false)?;
        let key = read(&folder.join(AUTHORITY_KEY), true)?;
        let messages = read(&folder.join(MESSAGES_KEY), true)?;
        Self::of(folder, authority, &key, &messages, entropy)
    }

    /// The same from texts; `folder` is for what is said of them.
    pub(super) fn of(
        folder: &Path,
        authority: String,
        key: &str,
        messages: &str,
        entropy: Box<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        let unusable =
            |name: &str, reason: String| OpenError::Unusable { path: folder.join(name), reason };
        let key =
            KeyPair::from_pem(key).map_err(|error| unusable(AUTHORITY_KEY, error.to_string()))?;
        if !certifies(&authority, &key) {
            let reason = format!("it is not the certificate of the key in {AUTHORITY_KEY}");
            return Err(unusable(AUTHORITY, reason));
        }
        let issuer = Issuer::from_ca_cert_pem(&authority, key)
            .map_err(|error| unusable(AUTHORITY, error.to_string()))?;
        let messages = STANDARD
            .decode(messages.trim())
            .ok()
            .and_then(|bytes| Ed25519KeyPair::from_pkcs8(&bytes).ok())
            .ok_or_else(|| unusable(MESSAGES_KEY, "it is no Ed25519 key".to_owned()))?;
        let digest = digest::digest(&digest::SHA256, messages.public_key().as_ref());
        let messages_id = hex(&digest.as_ref()[..8]);
        Ok(Self { authority, issuer, messages, messages_id, entropy })
    }
}

#[async_trait]
impl Signer for LocalSigner {
    fn authority(&self) -> &str {
        &self.authority
    }

    fn keys(&self) -> Vec<PublicKey> {
        let key = STANDARD.encode(self.messages.public_key().as_ref());
        vec![PublicKey { id: self.messages_id.clone(), key }]
    }

    async fn certify(&self, issue: &Issue) -> Result<Issued, SignerError> {
        let mut serial = [0; 16];
        self.entropy.fill(&mut serial);
        // RFC 5280 §4.1.2.2: positive, and as short as it can be written.
        serial[0] = (serial[0] & 0x3f) | 0x40;
        let asked = profile::of(issue, serial)?;
        let certificate = asked
            .signed_by(&self.issuer)
            .map_err(|error| SignerError::Failed(error.to_string()))?;
        Ok(Issued { certificate: certificate.pem(), serial: hex(&serial) })
    }

    async fn sign(&self, payload: String) -> Result<Signed, SignerError> {
        let signature = self.messages.sign(&Signed::signed_bytes(&payload));
        let signature = STANDARD.encode(signature.as_ref());
        Ok(Signed { key: self.messages_id.clone(), payload, signature })
    }
}

/// Whether the certificate carries that key.
fn certifies(authority: &str, key: &KeyPair) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(authority.as_bytes()) else { return false };
    let Ok(certificate) = pem.parse_x509() else { return false };
    certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
        && certificate.is_ca()
}

fn make(folder: &Path, entropy: &dyn Entropy, now_s: u64) -> Result<(), OpenError> {
    let failed = |source| OpenError::File { path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let unmade = |error: &dyn fmt::Display| failed(io::Error::other(error.to_string()));
    let key = KeyPair::generate().map_err(|error| unmade(&error))?;
    let mut tail = [0; 4];
    entropy.fill(&mut tail);
    let authority = profile::authority(&format!("weir fleet {}", hex(&tail)), now_s)
        .self_signed(&key)
        .map_err(|error| unmade(&error))?;
    let messages = Ed25519KeyPair::generate().map_err(|error| unmade(&error))?;
    let messages = messages.to_pkcs8().map_err(|error| unmade(&error))?;
    put(folder, &key.serialize_pem(), &STANDARD.encode(messages.as_ref()), &authority.pem())
}

/// Writes all three; the certificate comes last, since without it nothing counts.
pub(super) fn put(
    folder: &Path,
    key: &str,
    messages: &str,
    authority: &str,
) -> Result<(), OpenError> {
    let files = [
        (AUTHORITY_KEY, key, 0o600),
        (MESSAGES_KEY, messages, 0o600),
        (AUTHORITY, authority, 0o644),
    ];
    for (name, text, mode) in files {
        let path = folder.join(name);
        write(&path, text, mode).map_err(|source| OpenError::File { path, source })?;
    }
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| OpenError::File { path: folder.to_owned(), source })
}

/// Never over a file that is there.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

pub(super) fn read(path: &Path, secret: bool) -> Result<String, OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    let about = fs::metadata(path).map_err(failed)?;
    let mode = about.mode() & 0o777;
    if secret && mode & 0o077 != 0 {
        return Err(OpenError::Open { path: path.to_owned(), mode });
    }
    if about.len() > MOST_BYTES {
        return Err(failed(io::Error::other("larger than any such file")));
    }
    fs::read_to_string(path).map_err(failed)
}
