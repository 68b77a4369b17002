//! TLS for servers: rustls over aws-lc-rs, TLS 1.3 unless 1.2 is asked for, session tickets,
//! no early data.

mod certificates;
mod clients;
mod handshake;
mod itself;
mod keys;
mod proof;
mod validity;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    CipherSuite, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

pub use certificates::{CertificateError, Certificates};
pub use clients::{Clients, ClientsError};
pub use handshake::{HandshakeError, Negotiated};
pub use keys::{Keys, KeysError, UnixSeconds};
pub use proof::ProofError;
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

/// The TLS of one server, shared by all its workers. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Tls {
    tcp: Arc<ArcSwap<Tcp>>,
    quic: Arc<ServerConfig>,
    store: Arc<Store>,
    keys: Keys,
    clients: Clients,
}

/// What TCP speaks.
struct Tcp {
    aes: Arc<ServerConfig>,
    chacha: Arc<ServerConfig>,
}

impl Tcp {
    fn new(
        store: &Arc<Store>,
        keys: &Keys,
        min: MinVersion,
        clients: &Clients,
    ) -> Result<Self, TlsError> {
        let versions: &[&'static SupportedProtocolVersion] = match min {
            MinVersion::Tls12 => &[&TLS13, &TLS12],
            MinVersion::Tls13 => &[&TLS13],
        };
        let of =
            |preference| config(store, keys, preference, versions, &["h2", "http/1.1"], clients);
        let (aes, chacha) = (of(Preference::Aes)?, of(Preference::ChaCha)?);
        Ok(Self { aes: Arc::new(aes), chacha: Arc::new(chacha) })
    }
}

fn config(
    store: &Arc<Store>,
    keys: &Keys,
    preference: Preference,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
    clients: &Clients,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider(preference))
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(clients.verifier())
        .with_cert_resolver(Arc::clone(store) as _);
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    config.ticketer = keys.ticketer();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ignore_client_order = true;
    // A replayed request is not safe until each handler says that it is.
    config.max_early_data_size = 0;
    Ok(config)
}

/// What [`Tls::adopt`] takes: see [`Tls::candidate`].
pub struct Candidate {
    /// The same by itself, for the proof.
    alone: Tls,
    tcp: Arc<Tcp>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Candidate").field(&self.alone).finish()
    }
}

impl Candidate {
    /// Shakes hands with a client for every name of every certificate, and with one that names
    /// nobody, over what TCP and QUIC would use.
    ///
    /// # Errors
    /// The first handshake that fails, or that shows another certificate than the one meant.
    pub fn prove(&self) -> Result<(), ProofError> {
        self.alone.prove()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.store).finish_non_exhaustive()
    }
}

impl Tls {
    /// TCP speaks `min` and later, with HTTP/2 before HTTP/1.1; QUIC speaks 1.3 and HTTP/3.
    pub fn new(certificates: Certificates, keys: Keys, min: MinVersion) -> Result<Self, TlsError> {
        Self::among(certificates, keys, min, Clients::default())
    }

    /// The same, of a server that wants to know its clients.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn among(
        certificates: Certificates,
        keys: Keys,
        min: MinVersion,
        clients: Clients,
    ) -> Result<Self, TlsError> {
        let store = Arc::new(Store::new(certificates));
        let tcp = Arc::new(ArcSwap::from_pointee(Tcp::new(&store, &keys, min, &clients)?));
        let mut quic = config(&store, &keys, Preference::Aes, &[&TLS13], &["h3"], &clients)?;
        // QUIC starts its session before the client's order can be looked at, so follow it.
        quic.ignore_client_order = false;
        Ok(Self { tcp, quic: Arc::new(quic), store, keys, clients })
    }

    /// Certificates and versions that may take the place of those in use, with the same keys.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn candidate(
        &self,
        certificates: Certificates,
        min: MinVersion,
    ) -> Result<Candidate, TlsError> {
        let alone = Self::among(certificates, self.keys.clone(), min, self.clients.clone())?;
        let tcp = Arc::new(Tcp::new(&self.store, &self.keys, min, &self.clients)?);
        Ok(Candidate { alone, tcp })
    }

    /// Takes them, for all handshakes from now on; those under way end as they began.
    pub fn adopt(&self, candidate: Candidate) {
        self.store.replace(candidate.alone.store.current());
        self.tcp.store(candidate.tcp);
    }

    /// Replaces the certificates for all handshakes from now on.
    pub fn replace_certificates(&self, certificates: Certificates) {
        self.store.replace(Arc::new(certificates));
    }

    /// What clients are shown, see [`Certificates::served`].
    pub fn served(&self) -> Vec<(Vec<String>, Option<u64>)> {
        self.store.current().served()
    }

    pub(crate) fn tcp(&self, preference: Preference) -> Arc<ServerConfig> {
        let tcp = self.tcp.load();
        Arc::clone(match preference {
            Preference::Aes => &tcp.aes,
            Preference::ChaCha => &tcp.chacha,
        })
    }

    pub(crate) fn quic(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.quic)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }
}
