//! A cache on disk as one should not be, for the control of kills: it writes objects in place
//! under their names, takes every file for a whole object after a restart, checks nothing,
//! never asks again whether what it has still holds, and forgets a purge when it dies.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    fs,
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{naive::head, world::Purge};

/// Bytes that are moved at once.
const PIECE: usize = 64 << 10;

/// What survives a kill: the folder, and where it listens.
#[derive(Debug)]
pub struct Careless {
    folder: PathBuf,
    origin: SocketAddr,
    address: SocketAddr,
    running: Option<JoinHandle<()>>,
    /// Purged since its start.
    purged: Purged,
}

/// Names of files that are not to be served. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Purged(Arc<Mutex<HashSet<String>>>);

impl Purge for Purged {
    async fn purge(&self, path: &str) -> bool {
        self.0.lock().insert(path.to_owned());
        true
    }
}

impl Careless {
    /// Starts in front of `origin` with what is in `folder`.
    pub async fn start(folder: &Path, origin: SocketAddr) -> io::Result<Self> {
        fs::create_dir_all(folder).await?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut careless = Self {
            folder: folder.to_owned(),
            origin,
            address: any,
            running: None,
            purged: Purged::default(),
        };
        careless.start_again().await?;
        Ok(careless)
    }

    /// Where it listens, for plain HTTP/1.1.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who has objects removed.
    pub fn purged(&self) -> Purged {
        self.purged.clone()
    }

    /// Ends everything where it stands, as a kill does.
    pub fn kill(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
        self.purged.0.lock().clear();
    }

    /// Starts it again at the same address.
    pub async fn start_again(&mut self) -> io::Result<()> {
        if let Some(killed) = self.running.take() {
            // Its socket is free when it has ended; how it ended is known.
            drop(killed.await);
        }
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let (folder, origin, purged) = (self.folder.clone(), self.origin, self.purged.clone());
        let task = tokio::spawn(async move {
            // Dropped, and aborted, with the task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, origin, folder.clone(), purged.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        self.running = Some(task);
        Ok(())
    }
}

impl Drop for Careless {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(
    stream: TcpStream,
    origin: SocketAddr,
    folder: PathBuf,
    purged: Purged,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((first, fields)) = head(&mut stream).await? {
        let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
        let file = folder.join(path.trim_start_matches('/'));
        let known = fs::metadata(&file).await.is_ok();
        let gone = purged.0.lock().remove(&path);
        if !known || gone {
            fetch(origin, &path, &file).await?;
        }
        let body = fs::read(&file).await?;
        let part = fields.iter().find(|(name, _)| name == "range").and_then(|(_, field)| {
            let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let (status, range) = match part {
            Some((first, last)) => {
                let end = (last + 1).min(body.len());
                let field = format!("206 Partial Content\r\ncontent-range: bytes {first}-{last}/*");
                (field, first.min(end)..end)
            }
            None => ("200 OK".to_owned(), 0..body.len()),
        };
        let length = range.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncache-status: careless; hit; detail=disk\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body[range]).await?;
    }
    Ok(())
}

/// Straight into the file that is served from.
async fn fetch(origin: SocketAddr, path: &str, file: &Path) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(origin).await?);
    let request = format!("GET {path} HTTP/1.1\r\nhost: origin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    head(&mut stream).await?;
    let mut out = fs::File::create(file).await?;
    let mut piece = vec![0; PIECE];
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return out.flush().await;
        }
        out.write_all(&piece[..length]).await?;
    }
}
