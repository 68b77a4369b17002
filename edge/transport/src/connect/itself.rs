//! A connection of a server to its own address, each step of it timed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

use super::{Dial, DialError, Dialed, Target};

/// What it took to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// Our end: the other one sees it as its client's address.
    pub local: SocketAddr,
    /// Until TCP stood.
    pub connect: Duration,
    /// From then until TLS did; none where none is spoken.
    pub tls: Option<Duration>,
    /// `1.2`, `1.3`
    pub version: Option<&'static str>,
}

/// Connects to one address, whatever the target's name is; that is what TLS asks for.
#[derive(Debug, Clone)]
pub struct Itself {
    address: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
    steps: Arc<Mutex<Option<Steps>>>,
}

impl Itself {
    /// For `address`, with a configuration of [`crate::tls::Tls::towards_itself`] where it
    /// speaks TLS.
    pub fn new(address: SocketAddr, tls: Option<rustls::ClientConfig>) -> Self {
        Self { address, tls: tls.map(Arc::new), steps: Arc::default() }
    }

    /// What the last connection took.
    pub fn steps(&self) -> Option<Steps> {
        *self.steps.lock()
    }
}

impl Dial for Itself {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Dialed, DialError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let failed = |source| DialError::Tcp { address: self.address, source };
            let tcp = TcpStream::connect(self.address).await.map_err(failed)?;
            tcp.set_nodelay(true).ok();
            let local = tcp.local_addr().map_err(failed)?;
            let connect = begun.elapsed();
            let steps = Steps { local, connect, tls: None, version: None };
            *self.steps.lock() = Some(steps);
            let Some(tls) = &self.tls else {
                return Ok(Dialed { stream: Box::new(tcp), h2: false });
            };
            let host = &target.host;
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|_| DialError::Name(host.clone()))?;
            let shaken = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
            let stream = shaken.map_err(|source| DialError::Tls { host: host.clone(), source })?;
            let session = stream.get_ref().1;
            let h2 = session.alpn_protocol() == Some(b"h2");
            let version = match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            };
            let tls = Some(begun.elapsed() - connect);
            *self.steps.lock() = Some(Steps { tls, version: Some(version), ..steps });
            Ok(Dialed { stream: Box::new(stream), h2 })
        })
    }
}
