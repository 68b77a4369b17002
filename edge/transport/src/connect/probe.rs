//! What a new connection to a target takes, step by step, for people who ask.

use std::{net::SocketAddr, time::Duration};

use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::{Connector, DialError, Target, addresses, reach};
use crate::tls::Validity;

/// A target that could be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// How many addresses its name has.
    pub addresses: usize,
    /// Until these were known.
    pub resolved: Duration,
    /// The one that answered first.
    pub peer: Option<SocketAddr>,
    /// From then until TCP stood.
    pub connected: Duration,
    /// Where it speaks TLS.
    pub secured: Option<Secured>,
}

/// A TLS handshake that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secured {
    /// From TCP until its end.
    pub took: Duration,
    /// When the server's certificate is good; none where that cannot be read.
    pub validity: Option<Validity>,
}

/// Why a target could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// As for any connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The time was over.
    #[error("{phase} had not ended after {} ms", limit.as_millis())]
    Late {
        /// What was waited for.
        phase: &'static str,
        /// For all steps together.
        limit: Duration,
    },
}

impl Connector {
    /// Connects as [`super::Dial::dial`] does, lets go of the connection, and tells of each step.
    ///
    /// # Errors
    /// The step that failed, or that was under way at the end of `limit`.
    pub async fn probe(&self, target: &Target, limit: Duration) -> Result<Reached, ProbeError> {
        let begun = Instant::now();
        let until = begun + limit;
        let late = |phase| move |_| ProbeError::Late { phase, limit };
        let found = timeout_at(until, addresses(&target.host, target.port)).await;
        let found = found.map_err(late("the name's resolution"))??;
        let count = found.len();
        let resolved = begun.elapsed();
        let tcp = timeout_at(until, reach(&target.host, found)).await;
        let tcp = tcp.map_err(late("the TCP handshake"))??;
        let connected = begun.elapsed() - resolved;
        let peer = tcp.peer_addr().ok();
        let secured = match target.tls {
            false => None,
            true => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|_| DialError::Name(target.host.clone()))?;
                let connecting = TlsConnector::from(self.tls.clone()).connect(name, tcp);
                let stream = timeout_at(until, connecting)
                    .await
                    .map_err(late("the TLS handshake"))?
                    .map_err(|source| DialError::Tls { host: target.host.clone(), source })?;
                let certificates = stream.get_ref().1.peer_certificates();
                let own = certificates.and_then(|chain| chain.first());
                let validity = own.and_then(|certificate| Validity::of(certificate));
                Some(Secured { took: begun.elapsed() - resolved - connected, validity })
            }
        };
        Ok(Reached { addresses: count, resolved, peer, connected, secured })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        connect::{Roots, client_config},
        tls::{Certificates, Keys, MinVersion, Tls},
    };

    fn target(tls: bool, port: u16) -> Target {
        Target { tls, host: "localhost".into(), port }
    }

    #[tokio::test]
    async fn each_step_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let keys = Keys::load_or_make(&folder.path().join("keys"), Arc::new(|| 1)).unwrap();
        let certificates = Certificates::load([(&chain, &key)]).unwrap();
        assert_eq!(certificates.names(), ["localhost"]);
        let tls = Tls::new(certificates, keys, MinVersion::Tls13).unwrap();
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // The client is gone after the handshake.
                let _ = tls.accept(tcp).await;
            }
        });
        let limit = Duration::from_secs(10);
        let trusting = Connector::new(client_config(&Roots::File(chain)).unwrap());
        let reached = trusting.probe(&target(true, port), limit).await.unwrap();
        let secured = reached.secured.unwrap();
        assert!(reached.addresses >= 1 && reached.peer.is_some());
        assert!(secured.validity.unwrap().not_after > 4_000_000_000);
        let plain = trusting.probe(&target(false, port), limit).await.unwrap();
        assert_eq!(plain.secured, None);
        let careful = Connector::new(client_config(&Roots::Public).unwrap());
        let refused = careful.probe(&target(true, port), limit).await.unwrap_err();
        assert!(refused.to_string().starts_with("TLS with localhost failed"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_told_apart() {
        // Takes the connection and says nothing: the kernel shakes hands for it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connector = Connector::new(client_config(&Roots::Public).unwrap());
        let target = Target { tls: true, host: "127.0.0.1".into(), port };
        let late = connector.probe(&target, Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(late, ProbeError::Late { .. }), "{late}");
    }
}
