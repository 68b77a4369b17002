//! Certificates and which of them a client gets.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    InconsistentKeys, SignatureScheme,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};

/// A certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No certificate at all.
    #[error("no certificate is configured")]
    None,
    /// The chain's file.
    #[error("cannot read the certificate chain {path}")]
    Chain {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The chain's file holds none.
    #[error("{path} holds no certificate: expected PEM, the server's certificate first")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The key's file.
    #[error("cannot read the private key {path}: expected one PEM key (PKCS #8, SEC 1 or PKCS #1)")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A key of a kind that is not used, or none at all.
    #[error("the private key {path} cannot be used")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Not the key of the certificate, or neither is of use.
    #[error("the private key {key} does not serve the certificate {chain}")]
    Pair {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Its names cannot be read.
    #[error("the certificate {chain} is malformed")]
    Malformed {
        /// The chain's file.
        chain: PathBuf,
        /// Why.
        source: webpki::Error,
    },
}

/// Certificates by the names they carry. The first one also serves clients that ask for no
/// name, or for one that nobody has.
pub struct Certificates {
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Arc<CertifiedKey>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.by_name.keys().collect();
        names.sort_unstable();
        f.debug_struct("Certificates").field("names", &names).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads pairs of a chain's and a key's PEM file.
    pub fn load<P: AsRef<Path>>(
        files: impl IntoIterator<Item = (P, P)>,
    ) -> Result<Self, CertificateError> {
        let provider = super::provider(super::Preference::Aes);
        let mut by_name: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        let mut default = None;
        for (chain, key) in files {
            let (chain, key) = (chain.as_ref(), key.as_ref());
            let certified = Arc::new(load(chain, key, &provider)?);
            for name in names(chain, &certified.cert)? {
                by_name.entry(name).or_default().push(Arc::clone(&certified));
            }
            default.get_or_insert(certified);
        }
        Ok(Self { by_name, default: default.ok_or(CertificateError::None)? })
    }

    /// The DNS names they are good for, sorted; `*.` where any first label is.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Each certificate once, with the names it is for, sorted, and the first end of its chain in
    /// Unix seconds; none where that cannot be read. The one for clients that name nobody is the
    /// first.
    pub fn served(&self) -> Vec<(Vec<String>, Option<u64>)> {
        let mut all: Vec<(&Arc<CertifiedKey>, Vec<String>)> = vec![(&self.default, Vec::new())];
        for (name, certified) in self.all() {
            match all.iter_mut().find(|(known, _)| Arc::ptr_eq(known, certified)) {
                Some((_, names)) => names.push(name.to_owned()),
                None => all.push((certified, vec![name.to_owned()])),
            }
        }
        let end = |certified: &CertifiedKey| {
            let times = certified.cert.iter().map(|certificate| super::Validity::of(certificate));
            times.collect::<Option<Vec<_>>>()?.iter().map(|times| times.not_after).min()
        };
        let mut served: Vec<_> = all
            .into_iter()
            .map(|(certified, mut names)| {
                names.sort_unstable();
                (names, end(certified))
            })
            .collect();
        // The map has no order of its own.
        served[1..].sort();
        served
    }

    /// Whether the file of a chain could be used, but for its times.
    ///
    /// # Errors
    /// As [`Self::load`] would give because of this file.
    pub fn check_chain(chain: &Path) -> Result<(), CertificateError> {
        names(chain, &chain_in(chain)?).map(drop)
    }

    /// The same for the file of a private key.
    ///
    /// # Errors
    /// As [`Self::load`] would give because of this file.
    pub fn check_key(key: &Path) -> Result<(), CertificateError> {
        key_in(key, &super::provider(super::Preference::Aes)).map(drop)
    }

    /// Each with a name under which it is known.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Arc<CertifiedKey>)> {
        self.by_name
            .iter()
            .flat_map(|(name, keys)| keys.iter().map(move |key| (name.as_str(), key)))
    }

    /// What clients get who name nobody.
    pub(super) fn default_key(&self) -> &Arc<CertifiedKey> {
        &self.default
    }

    pub(super) fn find(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Arc<CertifiedKey> {
        let exact = name.and_then(|name| self.by_name.get(name));
        // RFC 6125 §6.4.3: a wildcard stands for one whole label, the leftmost.
        let wildcard = || {
            let (_, parent) = name?.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        };
        let candidates = exact.or_else(wildcard).map_or(&[][..], Vec::as_slice);
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let found = candidates.iter().find(usable).or(candidates.first());
        Arc::clone(found.unwrap_or(&self.default))
    }
}

fn load(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let certified = CertifiedKey::new(chain_in(chain)?, key_in(key, provider)?);
    match certified.keys_match() {
        // Of a key that cannot tell its public half nobody knows before the first handshake.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(source) => {
            Err(CertificateError::Pair { chain: chain.to_owned(), key: key.to_owned(), source })
        }
    }
}

/// The certificates of a chain's file, at least one.
fn chain_in(chain: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let unreadable = |source| CertificateError::Chain { path: chain.to_owned(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(CertificateError::Empty { path: chain.to_owned() });
    }
    Ok(certificates)
}

fn key_in(key: &Path, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, CertificateError> {
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| CertificateError::Key { path: key.to_owned(), source })?;
    let usable = provider.key_provider.load_private_key(private);
    usable.map_err(|source| CertificateError::Unusable { path: key.to_owned(), source })
}

fn names(
    chain: &Path,
    certificates: &[CertificateDer<'_>],
) -> Result<Vec<String>, CertificateError> {
    let malformed = |source| CertificateError::Malformed { chain: chain.to_owned(), source };
    let first = certificates.first().expect("an empty chain is refused");
    let parsed = webpki::EndEntityCert::try_from(first).map_err(malformed)?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// The certificates in use, which may be replaced while connections are accepted.
#[derive(Debug)]
pub(crate) struct Store(ArcSwap<Certificates>);

impl Store {
    pub(crate) fn new(certificates: Certificates) -> Self {
        Self(ArcSwap::from_pointee(certificates))
    }

    pub(crate) fn replace(&self, certificates: Arc<Certificates>) {
        self.0.store(certificates);
    }

    pub(super) fn current(&self) -> Arc<Certificates> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Store {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls hands the name over in lower case.
        Some(self.0.load().find(hello.server_name(), hello.signature_schemes()))
    }
}
