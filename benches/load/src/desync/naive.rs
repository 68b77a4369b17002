//! A careless proxy, as a control: it sees Content-Length alone, forwards what it does not
//! understand, and has one connection upstream for everybody. One that caches keeps whatever
//! comes, by the path as it decodes it.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_millis(200);
const MOST: usize = 1 << 20;

/// A running proxy. Stops when dropped.
#[derive(Debug)]
pub struct Careless {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Careless {
    /// Before `origin`, on a free loopback port.
    pub async fn before(origin: SocketAddr) -> io::Result<Self> {
        Self::start(origin, false).await
    }

    /// The same, with a cache.
    pub async fn caching(origin: SocketAddr) -> io::Result<Self> {
        Self::start(origin, true).await
    }

    async fn start(origin: SocketAddr, caches: bool) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let shared = Arc::new(Mutex::new(Behind::default()));
            let mut all = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while all.try_join_next().is_some() {}
                all.spawn(serve(client, origin, caches, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Careless {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all connections share.
#[derive(Debug, Default)]
struct Behind {
    upstream: Option<(TcpStream, Vec<u8>)>,
    kept: HashMap<String, Vec<u8>>,
}

async fn serve(
    mut client: TcpStream,
    origin: SocketAddr,
    caches: bool,
    shared: Arc<Mutex<Behind>>,
) -> io::Result<()> {
    let mut unread = Vec::new();
    loop {
        let request = message(&mut client, &mut unread).await?;
        let mut behind = shared.lock().await;
        let key = key(&request);
        if let Some(answer) = behind.kept.get(&key).filter(|_| caches) {
            client.write_all(answer).await?;
            continue;
        }
        let mut upstream = match behind.upstream.take() {
            Some(kept) => kept,
            None => (TcpStream::connect(origin).await?, Vec::new()),
        };
        upstream.0.write_all(&request).await?;
        let answer = timeout(PATIENCE, message(&mut upstream.0, &mut upstream.1)).await??;
        behind.upstream = Some(upstream);
        client.write_all(&answer).await?;
        if caches {
            behind.kept.insert(key, answer);
        }
    }
}

/// The path as many decode it, without what they think is no part of it.
fn key(request: &[u8]) -> String {
    let first = String::from_utf8_lossy(request);
    let target =
        first.split(' ').nth(1).unwrap_or_default().replace("%2f", "/").replace("%3f", "?");
    let end = target.find(['?', ';', '#', '&', '%', '\\']).unwrap_or(target.len());
    target[..end].trim_end_matches(['/', '.']).to_owned()
}

/// A head and as many bytes as its first Content-Length says.
async fn message(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut wanted = None;
    loop {
        if wanted.is_none()
            && let Some(at) = unread.windows(4).position(|at| at == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&unread[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            wanted = Some((at + 4).saturating_add(length).min(MOST));
        }
        if let Some(wanted) = wanted
            && unread.len() >= wanted
        {
            return Ok(unread.drain(..wanted).collect());
        }
        if unread.len() > MOST || stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
