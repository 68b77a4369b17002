//! Both sides of a connection that shows who they are.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::*;
use crate::tls::{Certificates, Clients, Keys, MinVersion, Tls};

/// An authority, and what it has signed, as files of a folder.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut asked = CertificateParams::new(Vec::new()).unwrap();
        asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = asked.self_signed(&key).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), &pem).unwrap();
        Self { folder, issuer: Issuer::new(asked, key), pem }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `name.pem` and `name.key`, the authority behind the certificate.
    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (PathBuf, PathBuf) {
        let mut asked = CertificateParams::new(vec![name.to_owned()]).unwrap();
        asked.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = asked.signed_by(&key, &self.issuer).unwrap().pem();
        let (chain, file) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&chain, certificate + &self.pem).unwrap();
        fs::write(&file, key.serialize_pem()).unwrap();
        (chain, file)
    }
}

/// What a server sees of a client: nothing where no connection came to stand, and the fingerprint
/// of the certificate where one was shown.
async fn seen(
    authority: &Authority,
    config: Result<Arc<ClientConfig>, TlsClientError>,
) -> Option<Option<Vec<u8>>> {
    let pair = authority.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let keys = Keys::load_or_make(&authority.path("keys"), Arc::new(|| 1)).unwrap();
    let clients = Clients::of(&authority.path("ca.pem")).unwrap();
    let certificates = Certificates::load([pair]).unwrap();
    let tls = Tls::among(certificates, keys, MinVersion::Tls13, clients).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let (mut stream, agreed) = tls.accept(socket).await.ok()?;
        stream.write_all(b"hello").await.ok()?;
        stream.shutdown().await.ok()?;
        Some(agreed.certificate.map(|shown| shown.to_vec()))
    });
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let heard = async {
        let mut stream = TlsConnector::from(config.unwrap()).connect(name, socket).await.ok()?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.ok()?;
        (said == b"hello").then_some(())
    };
    let heard = heard.await;
    let seen = server.await.unwrap();
    heard.and(seen)
}

#[tokio::test]
async fn a_server_sees_who_its_client_is() {
    let authority = Authority::new();
    let roots = Roots::File(authority.path("ca.pem"));
    let (chain, key) = authority.sign("edge-1", ExtendedKeyUsagePurpose::ClientAuth);
    let shown = seen(&authority, client_config_as(&roots, &chain, &key)).await.unwrap().unwrap();
    let own = CertificateDer::pem_file_iter(&chain).unwrap().next().unwrap().unwrap();
    assert_eq!(shown, own.to_vec());
    // Without one it is let in, and nobody.
    assert_eq!(seen(&authority, super::super::client_config(&roots)).await, Some(None));
}

#[tokio::test]
async fn a_foreign_client_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let roots = Roots::File(authority.path("ca.pem"));
    let (chain, key) = other.sign("edge-1", ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(seen(&authority, client_config_as(&roots, &chain, &key)).await, None);
    // A server's certificate is none of a client.
    let (chain, key) = authority.sign("edge-1", ExtendedKeyUsagePurpose::ServerAuth);
    assert_eq!(seen(&authority, client_config_as(&roots, &chain, &key)).await, None);
}

#[tokio::test]
async fn an_authority_is_known_by_its_fingerprint() {
    let (authority, other) = (Authority::new(), Authority::new());
    let of = |authority: &Authority| client_config_pinned(fingerprint(&authority.pem).unwrap());
    assert_eq!(seen(&authority, of(&authority)).await, Some(None));
    assert_eq!(seen(&authority, of(&other)).await, None);
    assert_eq!(fingerprint("hello"), None);
}

#[test]
fn files_that_are_of_no_use() {
    let authority = Authority::new();
    let roots = Roots::File(authority.path("ca.pem"));
    let (chain, key) = authority.sign("edge-1", ExtendedKeyUsagePurpose::ClientAuth);
    let (_, other) = authority.sign("edge-2", ExtendedKeyUsagePurpose::ClientAuth);
    for (chain, key) in [(&chain, &other), (&key, &chain), (&chain, &authority.path("none"))] {
        let error = client_config_as(&roots, chain, key).unwrap_err().to_string();
        assert!(error.contains("cannot show the certificate"), "{error}");
    }
    assert!(Clients::of(&authority.path("none")).is_err());
    assert!(Clients::of(&key).is_err());
}
