//! Whether certificates serve: each is shown to a client in a handshake of its own, in memory,
//! before anybody is served with it. A key that does not sign, a name that finds another
//! certificate and a kind of key that no cipher suite takes come out here and not at a viewer.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, DigitallySignedStruct, ServerConfig,
    ServerConnection, SideData, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};

use super::{Preference, Tls, provider};

/// Flights of a handshake, and some more.
const TURNS: usize = 16;
/// Stands in for what a wildcard stands for.
const LABEL: &str = "weir-check";

/// A certificate that does not serve.
#[derive(Debug, thiserror::Error)]
#[error("a handshake for {name} failed")]
pub struct ProofError {
    /// The name that the client asked for.
    pub name: String,
    /// Why.
    #[source]
    pub source: rustls::Error,
}

impl Tls {
    /// See [`super::Candidate::prove`].
    pub(super) fn prove(&self) -> Result<(), ProofError> {
        let certificates = self.store.current();
        let quic = self.quic();
        let configs = [(self.tcp(Preference::Aes), &b"h2"[..]), (quic, &b"h3"[..])];
        let all = certificates.all().map(|(name, key)| (Some(name.replace('*', LABEL)), key));
        let nobody = (None, certificates.default_key());
        for (name, key) in all.chain([nobody]) {
            let schemes = schemes(key);
            // Two of a name and a kind of key: the first is the one that is served.
            let meant = certificates.find(name.as_deref(), &schemes);
            for (config, protocol) in &configs {
                let shaken = shake(config, protocol, name.as_deref(), &meant, &schemes);
                shaken.map_err(|source| ProofError {
                    name: name.clone().unwrap_or_else(|| "a client that names nobody".to_owned()),
                    source,
                })?;
            }
        }
        Ok(())
    }
}

/// What a key signs with, of all that clients offer.
fn schemes(key: &CertifiedKey) -> Vec<SignatureScheme> {
    let known = provider(Preference::Aes).signature_verification_algorithms.supported_schemes();
    known.into_iter().filter(|scheme| key.key.choose_scheme(&[*scheme]).is_some()).collect()
}

fn shake(
    server: &Arc<ServerConfig>,
    protocol: &[u8],
    name: Option<&str>,
    meant: &CertifiedKey,
    schemes: &[SignatureScheme],
) -> Result<(), rustls::Error> {
    let provider = provider(Preference::Aes);
    let verifier = Exactly {
        meant: vec![meant.end_entity_cert()?.clone().into_owned()],
        algorithms: provider.signature_verification_algorithms,
        schemes: schemes.to_vec(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    // RFC 6066 §3: an address is never sent as a name.
    let name = ServerName::try_from(name.unwrap_or("127.0.0.1").to_owned())
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    for _ in 0..TURNS {
        carry(&mut client, &mut server)?;
        carry(&mut server, &mut client)?;
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
    }
    Err(rustls::Error::HandshakeNotComplete)
}

/// Everything that one side has to say, to the other.
fn carry<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), rustls::Error> {
    let lost = |error: io::Error| rustls::Error::General(error.to_string());
    let mut said = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut said).map_err(lost)?;
    }
    let mut rest = said.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).map_err(lost)?;
        to.process_new_packets()?;
    }
    Ok(())
}

/// Takes these certificates and no other, whoever signed them: that is for clients to judge.
#[derive(Debug)]
pub(super) struct Exactly {
    pub(super) meant: Vec<CertificateDer<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.meant.iter().any(|meant| meant == shown) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("it was shown the certificate of another name".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
