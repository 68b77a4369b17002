//! Clients that show who they are: whose certificates a server takes.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{CertificateError, Preference, TlsError, provider};

/// Whose certificates a server takes from its clients; by default it asks for none.
#[derive(Clone, Default)]
pub struct Clients(Option<Arc<dyn ClientCertVerifier>>);

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clients").field(&self.0.is_some()).finish()
    }
}

/// Why no client could be known.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The file of the authorities.
    #[error(transparent)]
    File(#[from] CertificateError),
    /// One of them is of no use.
    #[error("the authorities of clients are of no use: {0}")]
    Authority(String),
}

impl Clients {
    /// Those whose certificate an authority of this PEM file has signed. One that shows none is
    /// let in all the same, and the handler sees that; one that shows another is not.
    ///
    /// # Errors
    /// When the file cannot be read or holds no authority.
    pub fn of(authorities: &Path) -> Result<Self, ClientsError> {
        let unread = |source| CertificateError::Chain { path: authorities.to_owned(), source };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authorities).map_err(unread)? {
            let added = roots.add(certificate.map_err(unread)?);
            added.map_err(|error| ClientsError::Authority(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(CertificateError::Empty { path: authorities.to_owned() }.into());
        }
        let provider = provider(Preference::Aes);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| ClientsError::Authority(error.to_string()))?;
        Ok(Self(Some(verifier)))
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.0.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth)
    }
}

impl From<ClientsError> for TlsError {
    fn from(error: ClientsError) -> Self {
        Self(rustls::Error::General(error.to_string()))
    }
}
