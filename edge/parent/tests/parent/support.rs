//! A scripted origin: what it sends on each connection, byte for byte, over memory (so that a
//! paused clock decides) or over TCP (where a reset is wanted).

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture};
use http::{HeaderMap, Method};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};
use weir_edge_fill::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};
use weir_edge_http::client::{Client, ClientLimits, Connector, Dial, Target};
use weir_edge_parent::{Host, HttpUpstream};
use weir_edge_transport::connect::{DialError, Dialed, Roots, client_config};

/// The deadline of every request in these tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Reads one request's head.
    Read,
    /// Reads this many bytes of a request's body.
    ReadBody(usize),
    Send(Vec<u8>),
    Wait(Duration),
    /// Stays open and says nothing more.
    Hold,
    /// RST instead of FIN; TCP only.
    Reset,
}

pub(crate) fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// A request's head, then `text`.
pub(crate) fn answer(text: &str) -> Vec<Step> {
    vec![Step::Read, send(text)]
}

/// What the origin saw: the heads of requests, by connection.
pub(crate) type Seen = Arc<Mutex<Vec<Vec<String>>>>;

/// Plays a script. Returns whether it ended with a reset.
async fn play(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    script: Vec<Step>,
    seen: &Seen,
) -> io::Result<bool> {
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(Vec::new());
        seen.len() - 1
    };
    for step in script {
        match step {
            Step::Read => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                seen.lock().unwrap()[number].push(String::from_utf8(head).unwrap());
            }
            Step::ReadBody(length) => {
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await?;
            }
            Step::Send(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Hold => std::future::pending().await,
            Step::Reset => return Ok(true),
        }
    }
    Ok(false)
}

/// Connections to a scripted origin in memory.
#[derive(Debug)]
struct Wire {
    scripts: Mutex<VecDeque<Vec<Step>>>,
    seen: Seen,
    ended: Arc<Notify>,
    /// How long a connection takes.
    delay: Duration,
}

impl Dial for Wire {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Dialed, DialError>> {
        Box::pin(async move {
            tokio::time::sleep(self.delay).await;
            let script = self.scripts.lock().unwrap().pop_front();
            let script = script.ok_or_else(|| DialError::NoAddress(target.to_string()))?;
            let (near, mut far) = tokio::io::duplex(1 << 20);
            let (seen, ended) = (self.seen.clone(), self.ended.clone());
            tokio::spawn(async move {
                play(&mut far, script, &seen).await.ok();
                ended.notify_one();
            });
            Ok(Dialed { stream: Box::new(near), h2: false })
        })
    }
}

pub(crate) struct Origin {
    pub(crate) upstream: HttpUpstream,
    pub(crate) seen: Seen,
    /// A script in memory came to its end, or the other side went away.
    pub(crate) ended: Arc<Notify>,
}

/// An origin in memory with one script for each connection.
pub(crate) fn in_memory(scripts: Vec<Vec<Step>>) -> Origin {
    slow_to_connect(Duration::ZERO, scripts)
}

pub(crate) fn slow_to_connect(delay: Duration, scripts: Vec<Vec<Step>>) -> Origin {
    limited(ClientLimits::default(), delay, scripts)
}

pub(crate) fn limited(limits: ClientLimits, delay: Duration, scripts: Vec<Vec<Step>>) -> Origin {
    let seen = Seen::default();
    let ended = Arc::new(Notify::new());
    let wire = Wire {
        scripts: Mutex::new(scripts.into()),
        seen: seen.clone(),
        ended: ended.clone(),
        delay,
    };
    let client = Client::new(wire, limits);
    let base = "http://origin.test".parse().unwrap();
    let upstream = HttpUpstream::new("test", base, Host::Upstream, client, DEADLINE);
    Origin { upstream, seen, ended }
}

/// The same over TCP.
pub(crate) async fn over_tcp(scripts: Vec<Vec<Step>>) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let seen = Seen::default();
    let also_seen = seen.clone();
    tokio::spawn(async move {
        for script in scripts {
            let (mut stream, _) = listener.accept().await.unwrap();
            if let Ok(true) = play(&mut stream, script, &also_seen).await {
                stream.set_zero_linger().unwrap();
            }
        }
    });
    let upstream =
        HttpUpstream::new("test", base, Host::Upstream, network(&Roots::Public), DEADLINE);
    Origin { upstream, seen, ended: Arc::default() }
}

/// A client of the real network.
pub(crate) fn network(roots: &Roots) -> Client {
    Client::new(Connector::new(client_config(roots).unwrap()), ClientLimits::default())
}

pub(crate) fn get(path: &str) -> UpstreamRequest {
    UpstreamRequest {
        method: Method::GET,
        path_and_query: path.to_owned(),
        authority: Some("client.test".to_owned()),
        headers: HeaderMap::new(),
        body: None,
        deadline: DEADLINE,
    }
}

/// The status and the bytes that came, and how the body ended.
pub(crate) async fn whole(response: UpstreamResponse) -> (u16, Vec<u8>, Result<(), UpstreamError>) {
    let status = response.status.as_u16();
    let mut body = response.body;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => {
                assert!(!piece.is_empty(), "pieces are never empty");
                bytes.extend_from_slice(&piece);
            }
            Err(error) => return (status, bytes, Err(error)),
        }
    }
    (status, bytes, Ok(()))
}

/// One request, to the last byte or the first error.
pub(crate) async fn fetch(
    origin: &Origin,
    request: UpstreamRequest,
) -> Result<(u16, Vec<u8>), UpstreamError> {
    let (status, bytes, end) = whole(origin.upstream.send(request).await?).await;
    end.map(|()| (status, bytes))
}
