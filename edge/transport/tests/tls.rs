//! Which certificate, version and cipher a client gets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop where it is")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CipherSuite, ClientConfig, ClientConnection, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use weir_edge_transport::tls::{
    CertificateError, Certificates, HandshakeError, Keys, MinVersion, Tls,
};

struct Authority {
    folder: TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let issuer = rcgen::Issuer::new(params, key);
        Self { folder: tempfile::tempdir().unwrap(), issuer, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = rcgen::CertificateParams::new(names).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        suites: &[CipherSuite],
    ) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        if !suites.is_empty() {
            let find = |wanted: &CipherSuite| {
                let all = aws_lc_rs::ALL_CIPHER_SUITES.iter();
                *all.into_iter().find(|suite| suite.suite() == *wanted).unwrap()
            };
            provider.cipher_suites = suites.iter().map(find).collect();
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

fn tls(files: &[(PathBuf, PathBuf)], min: MinVersion) -> Tls {
    let certificates = Certificates::load(files.iter().map(|(chain, key)| (chain, key))).unwrap();
    Tls::new(certificates, Keys::ephemeral(Arc::new(|| 0)).unwrap(), min).unwrap()
}

/// Shakes hands and lets `look` see the client's side.
async fn shake<T>(
    tls: &Tls,
    client: Arc<ClientConfig>,
    name: &str,
    look: impl FnOnce(&ClientConnection) -> T,
) -> (std::io::Result<T>, Result<(), HandshakeError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let accepted = listener.accept().await.unwrap().0;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connect = TlsConnector::from(client).connect(name, socket);
    let (client, server) = tokio::join!(connect, tls.accept(accepted));
    (client.map(|client| look(client.get_ref().1)), server.map(|_| ()))
}

#[tokio::test]
async fn certificates_by_name() {
    let authority = Authority::new();
    let files = [
        authority.issue("first", &["first.test"]),
        authority.issue("wild", &["*.wild.test"]),
        authority.issue("exact", &["exact.wild.test", "Upper.test"]),
    ];
    let tls = tls(&files, MinVersion::Tls13);
    let served = async |name: &str| {
        let client = authority.client(&[&TLS13], &[]);
        let first = |client: &ClientConnection| client.peer_certificates().unwrap()[0].clone();
        let (seen, _) = shake(&tls, client, name, first).await;
        seen.is_ok()
    };
    for name in ["first.test", "a.wild.test", "exact.wild.test", "upper.test"] {
        assert!(served(name).await, "{name}");
    }
    // The first certificate, which does not name them.
    for name in ["wild.test", "a.b.wild.test", "else.test"] {
        assert!(!served(name).await, "{name}");
    }
    let other = authority.issue("other", &["else.test"]);
    tls.replace_certificates(Certificates::load([(&other.0, &other.1)]).unwrap());
    assert!(served("else.test").await);
    assert!(!served("first.test").await);
}

#[tokio::test]
async fn versions() {
    let authority = Authority::new();
    let files = [authority.issue("x", &["x.test"])];
    let check = async |min, version, expected: Option<&str>| {
        let tls = tls(&files, min);
        let version_of = |client: &ClientConnection| format!("{:?}", client.protocol_version());
        let client = authority.client(&[version], &[]);
        let (seen, served) = shake(&tls, client, "x.test", version_of).await;
        match expected {
            Some(expected) => assert!(seen.unwrap().contains(expected)),
            None => assert!(matches!(served, Err(HandshakeError::NothingInCommon(_)))),
        }
    };
    check(MinVersion::Tls13, &TLS13, Some("TLSv1_3")).await;
    check(MinVersion::Tls13, &TLS12, None).await;
    check(MinVersion::Tls12, &TLS12, Some("TLSv1_2")).await;
    check(MinVersion::Tls12, &TLS13, Some("TLSv1_3")).await;
}

#[tokio::test]
async fn our_order_of_ciphers_unless_chacha_comes_first() {
    use CipherSuite as C;
    let authority = Authority::new();
    let files = [authority.issue("x", &["x.test"])];
    let tls = tls(&files, MinVersion::Tls12);
    let check = async |version, offered: &[C], expected: C| {
        let suite = |client: &ClientConnection| client.negotiated_cipher_suite().unwrap().suite();
        let client = authority.client(&[version], offered);
        let (seen, _) = shake(&tls, client, "x.test", suite).await;
        assert_eq!(seen.unwrap(), expected, "{offered:?}");
    };
    let (aes128, aes256, chacha) = (
        C::TLS13_AES_128_GCM_SHA256,
        C::TLS13_AES_256_GCM_SHA384,
        C::TLS13_CHACHA20_POLY1305_SHA256,
    );
    check(&TLS13, &[aes256, chacha, aes128], aes128).await;
    check(&TLS13, &[aes256, chacha], aes256).await;
    check(&TLS13, &[chacha, aes256, aes128], chacha).await;
    check(&TLS13, &[aes256], aes256).await;
    let (aes128, aes256, chacha) = (
        C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    );
    check(&TLS12, &[aes256, chacha, aes128], aes128).await;
    check(&TLS12, &[chacha, aes128], chacha).await;
}

#[test]
fn files_that_are_no_use_are_named() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("x", &["x.test"]);
    let (_, other_key) = authority.issue("y", &["y.test"]);
    let missing = authority.path("missing");
    let empty = authority.path("empty");
    std::fs::write(&empty, "nothing\n").unwrap();
    let load = |chain: &Path, key: &Path| Certificates::load([(chain, key)]).unwrap_err();
    let check = |error: CertificateError, path: &Path| {
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    };
    check(load(&missing, &key), &missing);
    check(load(&chain, &missing), &missing);
    check(load(&empty, &key), &empty);
    check(load(&chain, &empty), &empty);
    check(load(&chain, &other_key), &other_key);
    let none: [(&Path, &Path); 0] = [];
    assert!(matches!(Certificates::load(none), Err(CertificateError::None)));
}
