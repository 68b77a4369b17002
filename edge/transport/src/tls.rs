//! TLS for servers: rustls over aws-lc-rs, TLS 1.3 unless 1.2 is asked for, session tickets,
//! no early data.

mod certificates;
mod handshake;
mod keys;
mod validity;

use std::{fmt, sync::Arc};

use rustls::{
    CipherSuite, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

pub use certificates::{CertificateError, Certificates};
pub use handshake::{HandshakeError, Negotiated};
pub use keys::{Keys, KeysError, UnixSeconds};
pub use validity::Validity;

pub(crate) use keys::tickets_opened;

use certificates::Store;

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// 1.2, for clients that are still around.
    Tls12,
    /// 1.3.
    #[default]
    Tls13,
}

/// Which cipher comes first. We choose, because AES-128-GCM costs us least and nearly every
/// client has it in hardware; a client that puts ChaCha20 first says that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preference {
    Aes,
    ChaCha,
}

impl Preference {
    /// What the order of `suites` tells.
    fn of(suites: &[CipherSuite]) -> Self {
        let known = suites.iter().find_map(|suite| match suite {
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Some(Self::ChaCha),
            CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Some(Self::Aes),
            _ => None,
        });
        known.unwrap_or(Self::Aes)
    }
}

/// aws-lc-rs with its cipher suites in our order.
pub(crate) fn provider(preference: Preference) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = format!("{:?}", suite.suite());
        match preference {
            Preference::ChaCha if name.contains("CHACHA20") => 0,
            Preference::Aes if name.contains("CHACHA20") => 3,
            _ if name.contains("AES_128") => 1,
            _ => 2,
        }
    });
    Arc::new(provider)
}

/// No usable configuration comes of these settings.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up")]
pub struct TlsError(#[from] rustls::Error);

/// The TLS of one server, shared by all its workers. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    aes: Arc<ServerConfig>,
    chacha: Arc<ServerConfig>,
    quic: Arc<ServerConfig>,
    store: Arc<Store>,
    keys: Keys,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.store).finish_non_exhaustive()
    }
}

impl Tls {
    /// TCP speaks `min` and later, with HTTP/2 before HTTP/1.1; QUIC speaks 1.3 and HTTP/3.
    pub fn new(certificates: Certificates, keys: Keys, min: MinVersion) -> Result<Self, TlsError> {
        let store = Arc::new(Store::new(certificates));
        let versions: &[&SupportedProtocolVersion] = match min {
            MinVersion::Tls12 => &[&TLS13, &TLS12],
            MinVersion::Tls13 => &[&TLS13],
        };
        let config = |preference, versions, protocols: &[&str]| -> Result<_, TlsError> {
            let mut config = ServerConfig::builder_with_provider(provider(preference))
                .with_protocol_versions(versions)?
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(&store) as _);
            config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
            config.ticketer = keys.ticketer();
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ignore_client_order = true;
            // A replayed request is not safe until each handler says that it is.
            config.max_early_data_size = 0;
            Ok(config)
        };
        let tcp = ["h2", "http/1.1"];
        let aes = Arc::new(config(Preference::Aes, versions, &tcp)?);
        let chacha = Arc::new(config(Preference::ChaCha, versions, &tcp)?);
        let mut quic = config(Preference::Aes, &[&TLS13], &["h3"])?;
        // QUIC starts its session before the client's order can be looked at, so follow it.
        quic.ignore_client_order = false;
        Ok(Self { aes, chacha, quic: Arc::new(quic), store, keys })
    }

    /// Replaces the certificates for all handshakes from now on.
    pub fn replace_certificates(&self, certificates: Certificates) {
        self.store.replace(certificates);
    }

    pub(crate) fn tcp(&self, preference: Preference) -> Arc<ServerConfig> {
        Arc::clone(match preference {
            Preference::Aes => &self.aes,
            Preference::ChaCha => &self.chacha,
        })
    }

    pub(crate) fn quic(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.quic)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }
}
