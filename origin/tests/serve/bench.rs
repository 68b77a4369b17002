//! A server in a temporary directory, and ways to ask it.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use weir_config::origin::OriginConfig;
use weir_config_lifecycle::{Clock, ManualClock, Shutdown, SystemClock};
use weir_config_telemetry::Metrics;
use weir_edge_http::client::{Client, ClientLimits, Connector, Deadlines};
use weir_edge_transport::connect::{Roots, client_config};
use weir_origin::serve::{Origin, ServeError};
use weir_origin_s3::{S3Config, S3Credentials, S3Store};
use weir_origin_store::{Conditions, ObjectBody, ObjectMeta, ObjectStore, PutOptions, StoreError};

pub(crate) const WRITER: &str = "writer-secret-0123456789";
pub(crate) const READER: &str = "reader-secret-0123456789";

/// A configuration with all that the tests use, on ports of the system's choice.
pub(crate) fn configure(root: &Path, http: &str, admin: &str) -> PathBuf {
    fs::write(root.join("writer.secret"), format!("{WRITER}\n")).unwrap();
    fs::write(root.join("reader.secret"), format!("{READER}\n")).unwrap();
    let file = root.join("origin.toml");
    let text = format!(
        r#"
        [listen]
        http = ["{http}"]
        [admin]
        listen = "{admin}"
        [store]
        path = "store"
        buckets = ["films", "open", "sealed"]
        public_buckets = ["open"]
        region = "local"
        [log]
        access = "access.jsonl"
        [shutdown]
        deadline = "5s"
        [[access_key]]
        id = "writer"
        secret_file = "writer.secret"
        allow = "write"
        buckets = ["films", "open"]
        [[access_key]]
        id = "reader"
        secret_file = "reader.secret"
        allow = "read"
        buckets = ["films"]
        "#
    );
    fs::write(&file, text).unwrap();
    file
}

pub(crate) struct Bench {
    pub(crate) root: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) shutdown: Shutdown,
    pub(crate) origin: Origin,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let file = configure(root.path(), "127.0.0.1:0", "127.0.0.1:0");
        // s3s looks at the host's clock beside ours, so ours starts there.
        let clock = Arc::new(ManualClock::at(SystemClock.unix_millis()));
        let shutdown = Shutdown::new();
        let origin = start(&file, Arc::clone(&clock), shutdown.clone()).await.unwrap();
        let address = origin.addresses()[0];
        let admin = origin.admin().unwrap();
        Self { root, address, admin, clock, shutdown, origin }
    }

    pub(crate) fn store(&self, who: &str, secret: &str) -> S3Store {
        store(self.address, who, secret)
    }

    pub(crate) fn writer(&self) -> S3Store {
        self.store("writer", WRITER)
    }

    /// A URL for one minute from the server's time.
    pub(crate) async fn url(&self, key: &str) -> String {
        self.url_for(key, Duration::from_secs(60)).await
    }

    pub(crate) async fn url_for(&self, key: &str, lifetime: Duration) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock.unix_millis());
        self.writer().presign_get("films", key, now, lifetime).await.unwrap()
    }

    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.address, "GET", target, headers, b"").await
    }

    /// What the access log has to say, once everything is written.
    pub(crate) async fn stop(self) -> (TempDir, String) {
        self.shutdown.drain();
        self.origin.finished().await;
        let log = fs::read_to_string(self.root.path().join("access.jsonl")).unwrap();
        (self.root, log)
    }
}

pub(crate) async fn start(
    file: &Path,
    clock: Arc<ManualClock>,
    shutdown: Shutdown,
) -> Result<Origin, ServeError> {
    let config = OriginConfig::load(file).unwrap();
    Origin::start(&config, clock, &Metrics::new(), shutdown).await
}

pub(crate) fn store(address: SocketAddr, who: &str, secret: &str) -> S3Store {
    let tls = client_config(&Roots::Public).unwrap();
    let client = Client::new(Connector::new(tls), ClientLimits::default());
    let config = S3Config {
        endpoint: Some(format!("http://{address}")),
        region: "local".into(),
        path_style: true,
        credentials: S3Credentials::Static {
            access_key: who.into(),
            secret_key: secret.into(),
            session_token: None,
        },
        deadlines: Deadlines::all(Duration::from_secs(20)),
    };
    S3Store::new(&config, client).unwrap()
}

pub(crate) fn body(bytes: &Bytes) -> ObjectBody {
    let pieces: Vec<_> = bytes.chunks(50_000).map(|part| Ok(bytes.slice_ref(part))).collect();
    stream::iter(pieces).boxed()
}

pub(crate) async fn put(
    store: &S3Store,
    key: &str,
    bytes: &Bytes,
) -> Result<ObjectMeta, StoreError> {
    let size = bytes.len() as u64;
    store.put("films", key, size, body(bytes), PutOptions::default()).await
}

pub(crate) async fn get(store: &S3Store, bucket: &str, key: &str) -> Result<Bytes, StoreError> {
    let object = store.get(bucket, key, None, Conditions::default()).await?;
    let pieces: Vec<Bytes> = object.body.try_collect().await?;
    Ok(pieces.concat().into())
}

/// Content that differs from place to place and seed to seed.
pub(crate) fn content(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

/// One answer, read to the end of its connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request written as it is; `target` may be a whole URL.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let target = target.strip_prefix(&format!("http://{address}")).unwrap_or(target);
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("content-length: {}\r\n", body.len());
    }
    request += "connection: close\r\n\r\n";
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    // The server may answer and close before it has taken all of a body.
    let _ = socket.write_all(body).await;
    let mut raw = Vec::new();
    // A broken answer ends with an error, and what came is looked at.
    let _ = socket.read_to_end(&mut raw).await;
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Answer { status, headers, body: raw[end + 4..].to_vec() }
}
