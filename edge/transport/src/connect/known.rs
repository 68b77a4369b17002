//! Connections on which the client shows a certificate of its own, and those whose authority is
//! known by its fingerprint alone.

use std::{path::Path, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use super::{Roots, TlsClientError, roots_of};

/// As [`super::client_config`], and shows the certificate of these PEM files.
///
/// # Errors
/// When a file cannot be read or parsed, or the two do not belong together.
pub fn client_config_as(
    roots: &Roots,
    chain: &Path,
    key: &Path,
) -> Result<Arc<ClientConfig>, TlsClientError> {
    let unread = |path: &Path, reason: String| TlsClientError::Own { path: path.into(), reason };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unread(chain, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots_of(roots)?)
        .with_client_auth_cert(certificates, key)
        .map_err(|error| unread(chain, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Trusts a server that shows, above its own certificate, the authority of this fingerprint: the
/// SHA-256 of its DER.
///
/// # Errors
/// When rustls refuses the combination.
pub fn client_config_pinned(sha256: [u8; 32]) -> Result<Arc<ClientConfig>, TlsClientError> {
    let provider = provider();
    let verifier = Pinned { sha256, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The fingerprint of the first certificate of a PEM text; none where there is none.
pub fn fingerprint(pem: &str) -> Option<[u8; 32]> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    digest(&SHA256, &certificate).as_ref().try_into().ok()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The chain has to end where the fingerprint says; all else is checked as ever.
#[derive(Debug)]
struct Pinned {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let meant = |shown: &&CertificateDer<'_>| digest(&SHA256, shown).as_ref() == self.sha256;
        let Some(authority) = intermediates.iter().find(meant) else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
