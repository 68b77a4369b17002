//! Outgoing connections: name resolution, TCP, TLS. A dialer hands out a stream and says
//! whether the other side chose HTTP/2. What it leaves to others: deadlines, pools, HTTP.

mod itself;
mod known;
mod probe;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

pub use itself::{Itself, Steps};
pub use known::{client_config_as, client_config_pinned, fingerprint};
pub use probe::{ProbeError, Reached, Secured};

/// How long one address may take before the next one is tried beside it
/// (RFC 8305 §8, Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried at most; a name with more is a mistake or an attack.
const ADDRESSES: usize = 16;

/// Where to connect: a host name or address without brackets, and whether TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Whether the connection is TLS; the certificate must then name `host`.
    pub tls: bool,
    /// A DNS name or an IP address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// A byte stream to a peer.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A connection that stands.
pub struct Dialed {
    /// The bytes in both directions, plain or decrypted.
    pub stream: Box<dyn Stream>,
    /// Whether ALPN settled on HTTP/2; HTTP/1.1 otherwise.
    pub h2: bool,
}

impl fmt::Debug for Dialed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialed").field("h2", &self.h2).finish_non_exhaustive()
    }
}

/// Why a connection did not come to stand. The deadline is the caller's.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host is neither a DNS name nor an address.
    #[error("{0:?} is no host name")]
    Name(String),
    /// The resolver failed.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The name that was looked up.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The resolver knows no address of the name.
    #[error("{0} has no address")]
    NoAddress(String),
    /// Every address refused; the source is that of the last one.
    #[error("cannot connect to {address}: {source}")]
    Tcp {
        /// The address tried last.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The handshake failed: certificate, version or a broken connection.
    #[error("TLS with {host} failed: {source}")]
    Tls {
        /// The name the certificate had to carry.
        host: String,
        /// What rustls said.
        source: io::Error,
    },
}

/// Opens connections. Tests and simulations bring their own.
pub trait Dial: Send + Sync + fmt::Debug + 'static {
    /// Connects, and shakes hands where the target asks for TLS.
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Dialed, DialError>>;
}

/// Whose certificates count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Roots {
    /// The public authorities that browsers trust (webpki-roots).
    #[default]
    Public,
    /// Only the authorities in this PEM file.
    File(PathBuf),
}

/// Why no TLS client configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsClientError {
    /// The file with the authorities cannot be read or parsed.
    #[error("cannot read authorities from {path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is fine but holds no certificate.
    #[error("{0} holds no certificate; it must hold the PEM certificate of at least one authority")]
    Empty(PathBuf),
    /// The certificate that is to be shown, or its key.
    #[error("cannot show the certificate of {path}: {reason}")]
    Own {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refuses the combination.
    #[error("cannot make a TLS client configuration: {0}")]
    Config(#[from] rustls::Error),
}

/// A TLS client configuration on aws-lc-rs: TLS 1.2 and 1.3, server name checked, `h2` and
/// `http/1.1` offered, sessions resumed from a memory of 256 servers.
///
/// # Errors
/// When the file of `roots` cannot be read, parsed or holds nothing.
pub fn client_config(roots: &Roots) -> Result<Arc<rustls::ClientConfig>, TlsClientError> {
    let store = roots_of(roots)?;
    // The provider is named here, not installed for the process: which one is in use must not
    // depend on who came first.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots_of(roots: &Roots) -> Result<RootCertStore, TlsClientError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Public => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::File(path) => add_file(&mut store, path)?,
    }
    Ok(store)
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<(), TlsClientError> {
    let wrong = |reason: String| TlsClientError::Read { path: path.to_path_buf(), reason };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if store.is_empty() { Err(TlsClientError::Empty(path.to_path_buf())) } else { Ok(()) }
}

/// Connects over the network.
#[derive(Clone)]
pub struct Connector {
    tls: Arc<rustls::ClientConfig>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    /// A connector that speaks TLS as `tls` says.
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls }
    }
}

impl Dial for Connector {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Dialed, DialError>> {
        Box::pin(async move {
            let tcp = connect(&target.host, target.port).await?;
            if !target.tls {
                return Ok(Dialed { stream: Box::new(tcp), h2: false });
            }
            let name = ServerName::try_from(target.host.clone())
                .map_err(|_| DialError::Name(target.host.clone()))?;
            let stream = TlsConnector::from(self.tls.clone())
                .connect(name, tcp)
                .await
                .map_err(|source| DialError::Tls { host: target.host.clone(), source })?;
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok(Dialed { stream: Box::new(stream), h2 })
        })
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, DialError> {
    reach(host, addresses(host, port).await?).await
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    Ok(match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((host, port))
            .await
            .map_err(|source| DialError::Resolve { host: host.to_owned(), source })?
            .take(ADDRESSES)
            .collect(),
    })
}

async fn reach(host: &str, addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
    let stream = race(interleave(addresses))
        .await
        .ok_or_else(|| DialError::NoAddress(host.to_owned()))?
        .map_err(|(address, source)| DialError::Tcp { address, source })?;
    // A request's head must not wait for the acknowledgement of what went before it.
    stream.set_nodelay(true).ok();
    Ok(stream)
}

/// Families in turn, in the resolver's order within each (RFC 8305 §4), so that a broken
/// family costs one attempt.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut other = other.into_iter();
    let mut mixed = Vec::new();
    for address in one {
        mixed.push(address);
        mixed.extend(other.next());
    }
    mixed.extend(other);
    mixed
}

/// The first connection that stands; none when there is no address at all.
async fn race(addresses: Vec<SocketAddr>) -> Option<Result<TcpStream, (SocketAddr, io::Error)>> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = None;
    loop {
        match waiting.next() {
            Some(address) => attempts
                .push(async move { TcpStream::connect(address).await.map_err(|e| (address, e)) }),
            None if attempts.is_empty() => return last.map(Err),
            None => {}
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(result) = attempts.next() => match result {
                Ok(stream) => return Some(Ok(stream)),
                Err(failed) => last = Some(failed),
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let check = |given: &[&str], expected: &[&str]| {
            let parse = |list: &[&str]| -> Vec<SocketAddr> {
                list.iter().map(|a| a.parse().unwrap()).collect()
            };
            assert_eq!(interleave(parse(given)), parse(expected));
        };
        check(&[], &[]);
        check(&["10.0.0.1:1"], &["10.0.0.1:1"]);
        check(
            &["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"],
            &["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "10.0.0.3:1"],
        );
        check(&["10.0.0.1:1", "[::1]:1", "[::2]:1"], &["10.0.0.1:1", "[::1]:1", "[::2]:1"]);
    }

    #[test]
    fn targets_print_as_urls() {
        let check = |tls, host: &str, expected: &str| {
            assert_eq!(Target { tls, host: host.into(), port: 81 }.to_string(), expected);
        };
        check(false, "a.example", "http://a.example:81");
        check(true, "::1", "https://[::1]:81");
    }

    #[test]
    fn files_of_authorities_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, text: Option<&str>, expected: &str| {
            let path = dir.path().join(name);
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = client_config(&Roots::File(path)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("absent.pem", None, "cannot read authorities");
        check("text.pem", Some("hello"), "holds no certificate");
        check(
            "torn.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "cannot read authorities",
        );
        let ca = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let path = dir.path().join("good.pem");
        std::fs::write(&path, ca.cert.pem()).unwrap();
        let config = client_config(&Roots::File(path)).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        client_config(&Roots::Public).unwrap();
    }

    #[tokio::test]
    async fn a_refused_address_falls_to_the_next_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = closed.local_addr().unwrap();
        drop(closed);
        let stream = race(vec![refused, good]).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let (address, error) = race(vec![refused]).await.unwrap().unwrap_err();
        assert_eq!((address, error.kind()), (refused, io::ErrorKind::ConnectionRefused));
        assert!(race(Vec::new()).await.is_none());
    }
}
