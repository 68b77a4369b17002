//! The certificate that nodes are shown: made by our own authority for the names of the
//! configuration, with a key that is never kept, and made again at two thirds of its time.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use weir_config_lifecycle::Clock;
use weir_edge_transport::tls::{
    CertificateError, Certificates, Clients, ClientsError, Keys, KeysError, MinVersion, Tls,
    TlsError,
};
use weir_steering_fleet::{Issue, Signer, SignerError, Subject};

/// How long it is good.
const LIFE_S: u64 = 7 * 86_400;
/// And from when on: clocks differ.
const BACKDATE_S: u64 = 3_600;
/// Between two looks at whether it is time for the next.
const LOOK: Duration = Duration::from_secs(600);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// No key, or no request.
    #[error("no key could be made: {0}")]
    Key(#[from] rcgen::Error),
    /// The signer.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was made cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The authority.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// Keys of tickets.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// All of it together.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Makes certificates for this server.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What nodes reach it by.
    pub(crate) names: Vec<String>,
    /// A folder for the files that TLS reads.
    pub(crate) folder: PathBuf,
}

impl Own {
    /// TLS that shows the first one, and knows nodes by theirs.
    pub(crate) async fn tls(&self) -> Result<Tls, ServerTlsError> {
        let authority = self.put("authority.pem", self.signer.authority())?;
        let certificates = self.make().await?;
        let clock = Arc::clone(&self.clock);
        let seconds = Arc::new(move || clock.unix_seconds());
        let keys = Keys::load_or_make(&self.folder.join("transport-keys"), seconds)?;
        let clients = Clients::of(&authority)?;
        Ok(Tls::among(certificates, keys, MinVersion::Tls13, clients)?)
    }

    /// Shows the next one in time, for ever.
    pub(crate) async fn renew(self, tls: Tls) {
        let mut made_s = self.clock.unix_seconds();
        loop {
            tokio::time::sleep(LOOK).await;
            let now_s = self.clock.unix_seconds();
            // A clock that was set back counts, too: it may not be good yet.
            if now_s >= made_s && now_s - made_s < LIFE_S / 3 * 2 {
                continue;
            }
            match self.make().await {
                Ok(certificates) => {
                    tls.replace_certificates(certificates);
                    made_s = now_s;
                    tracing::info!("nodes are shown a new certificate");
                }
                Err(error) => tracing::error!(%error, "no new certificate; again in 10 min"),
            }
        }
    }

    async fn make(&self) -> Result<Certificates, ServerTlsError> {
        let key = KeyPair::generate()?;
        let csr = CertificateParams::new(Vec::new())?.serialize_request(&key)?.pem()?;
        let now_s = self.clock.unix_seconds();
        let subject = Subject::Server(self.names.clone());
        let (from_s, ends_s) = (now_s.saturating_sub(BACKDATE_S), now_s + LIFE_S);
        let issued = self.signer.certify(&Issue { csr, subject, from_s, ends_s }).await?;
        // The authority comes with it, for those who know it by its fingerprint alone.
        let chain = format!("{}\n{}", issued.certificate.trim_end(), self.signer.authority());
        let chain = self.put("server.pem", &chain)?;
        let key = self.put("server.key", &key.serialize_pem())?;
        let certificates = Certificates::load([(&chain, &key)])?;
        let gone = fs::remove_file(&key);
        gone.map_err(|source| ServerTlsError::File { path: key, source })?;
        Ok(certificates)
    }

    fn put(&self, name: &str, text: &str) -> Result<PathBuf, ServerTlsError> {
        let path = self.folder.join(name);
        let put = |path: &Path| {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())
        };
        put(&path).map_err(|source| ServerTlsError::File { path: path.clone(), source })?;
        Ok(path)
    }
}
