//! The client's side of TLS: one trusted CA, one protocol, one cipher where it matters.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::connection::Protocol;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA cannot be read.
    #[error("cannot read the CA from {path}")]
    Ca {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The settings do not fit together.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

/// TLS 1.3 towards servers whose certificate is signed by the CA in `ca`. AES-128-GCM is
/// offered first, as servers under measurement use it.
pub fn config(ca: &Path, protocol: Protocol) -> Result<Arc<ClientConfig>, TlsError> {
    with(ca, protocol, aws_lc_rs::default_provider())
}

/// The same for HTTP/3, with a key share so small that a ClientHello is one datagram.
pub fn small_hello(ca: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    with(ca, Protocol::H3, provider)
}

fn with(
    ca: &Path,
    protocol: Protocol,
    mut provider: CryptoProvider,
) -> Result<Arc<ClientConfig>, TlsError> {
    let cannot = |source| TlsError::Ca { path: ca.display().to_string(), source };
    let certificates = CertificateDer::pem_file_iter(ca)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| cannot(io::Error::other(error)))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(cannot(io::Error::other("it holds no certificate")));
    }
    provider.cipher_suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.alpn().to_vec()];
    Ok(Arc::new(config))
}
