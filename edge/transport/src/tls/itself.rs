//! How a server asks itself: a client that takes the server's own certificates and no other.

use std::sync::Arc;

use rustls::{ClientConfig, pki_types::CertificateDer};

use super::{Preference, Tls, TlsError, proof::Exactly, provider};

impl Tls {
    /// A client's configuration for connections to this very server, whoever signed its
    /// certificates. `protocols` is what ALPN offers. No sessions are resumed: each connection
    /// shows a whole handshake.
    ///
    /// # Errors
    /// When rustls refuses the combination.
    pub fn towards_itself(&self, protocols: &[&str]) -> Result<ClientConfig, TlsError> {
        let provider = provider(Preference::Aes);
        let certificates = self.store.current();
        let named = certificates.all().map(|(_, key)| key);
        let own = |key: &rustls::sign::CertifiedKey| -> Option<CertificateDer<'static>> {
            Some(key.end_entity_cert().ok()?.clone().into_owned())
        };
        let mut meant: Vec<_> = named.filter_map(|key| own(key)).collect();
        meant.extend(own(certificates.default_key()));
        let algorithms = provider.signature_verification_algorithms;
        let schemes = algorithms.supported_schemes();
        let verifier = Exactly { meant, algorithms, schemes };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}
