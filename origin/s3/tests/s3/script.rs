//! A server whose every byte the test decides, over memory or over TCP.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use weir_edge_http::client::{Client, ClientLimits, Connector, Deadlines, Dial, Target};
use weir_edge_transport::connect::{DialError, Dialed, Roots, client_config};
use weir_origin_s3::{S3Config, S3Credentials, S3Store};
use weir_origin_store::{Object, StoreError};

/// The bound of every phase in these tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Reads one request's head.
    Read,
    /// Reads this many bytes of a request's body.
    ReadBody(usize),
    Send(String),
    Wait(Duration),
    /// Stays open and says nothing more.
    Hold,
    /// RST instead of FIN; TCP only.
    Reset,
}

pub(crate) fn send(text: &str) -> Step {
    Step::Send(text.to_owned())
}

/// One request, one answer.
pub(crate) fn answer(text: &str) -> Vec<Step> {
    vec![Step::Read, send(text)]
}

/// The heads of all requests, in order.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

async fn play(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    script: Vec<Step>,
    seen: &Seen,
) -> std::io::Result<bool> {
    for step in script {
        match step {
            Step::Read => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            }
            Step::ReadBody(length) => {
                stream.read_exact(&mut vec![0; length]).await?;
            }
            Step::Send(text) => stream.write_all(text.as_bytes()).await?,
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Hold => std::future::pending().await,
            Step::Reset => return Ok(true),
        }
    }
    Ok(false)
}

#[derive(Debug)]
struct Memory {
    scripts: Mutex<VecDeque<Vec<Step>>>,
    seen: Seen,
}

impl Dial for Memory {
    fn dial<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Dialed, DialError>> {
        Box::pin(async move {
            let script = self.scripts.lock().unwrap().pop_front();
            let script = script.ok_or_else(|| DialError::NoAddress(target.to_string()))?;
            let (near, mut far) = tokio::io::duplex(1 << 20);
            let seen = self.seen.clone();
            tokio::spawn(async move { play(&mut far, script, &seen).await });
            Ok(Dialed { stream: Box::new(near), h2: false })
        })
    }
}

pub(crate) fn config(endpoint: &str, credentials: S3Credentials) -> S3Config {
    S3Config {
        endpoint: Some(endpoint.to_owned()),
        region: "local".to_owned(),
        path_style: true,
        credentials,
        deadlines: Deadlines::all(DEADLINE),
    }
}

/// A store on a server in memory, with one script for each connection.
pub(crate) fn in_memory(scripts: Vec<Vec<Step>>, credentials: S3Credentials) -> (S3Store, Seen) {
    let seen = Seen::default();
    let memory = Memory { scripts: Mutex::new(scripts.into()), seen: seen.clone() };
    let client = Client::new(memory, ClientLimits::default());
    (S3Store::new(&config("http://s3.test", credentials), client).unwrap(), seen)
}

/// The same over TCP, with one connection.
pub(crate) async fn over_tcp(script: Vec<Step>) -> S3Store {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if let Ok(true) = play(&mut stream, script, &Seen::default()).await {
            stream.set_zero_linger().unwrap();
        }
    });
    S3Store::new(&config(&endpoint, S3Credentials::Anonymous), network()).unwrap()
}

pub(crate) fn network() -> Client {
    Client::new(Connector::new(client_config(&Roots::Public).unwrap()), ClientLimits::default())
}

/// All bytes of an object, and how its body ended.
pub(crate) async fn bytes(mut object: Object) -> (Vec<u8>, Result<(), StoreError>) {
    let mut bytes = Vec::new();
    while let Some(piece) = object.body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}
