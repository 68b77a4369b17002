//! An HTTP/1.1 origin over plain TCP that serves self-proving content and misbehaves by
//! script. It knows nothing of the server under test.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use weir_benches_content::Content;

pub mod act;
mod answer;
mod request;
mod send;

pub use act::{Act, BadHead, BadRange, Fault, Pace};
pub use request::Request;

use answer::{Answer, Object};

/// Requests kept for a test to look at; older ones are only counted.
const SEEN: usize = 4096;
/// Connections at once; more are refused.
const CONNECTIONS: usize = 4096;

/// A running origin. Stops when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the connections share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<String, Object>,
    scripts: HashMap<String, Script>,
    counts: HashMap<String, Counts>,
    seen: VecDeque<Request>,
    connections: u64,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Act>,
    /// For every request once `next` is empty.
    rest: Act,
}

/// What happened to one path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests whose head arrived.
    pub requests: u64,
    /// Body bytes written, as far as the kernel took them.
    pub body_bytes: u64,
    /// When the first body byte of any response was written.
    pub first_body_byte: Option<Instant>,
    /// When the last body byte so far was written.
    pub last_body_byte: Option<Instant>,
}

impl Origin {
    /// Starts on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts on `address`.
    pub async fn start_on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As an upstream's `url` in a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests for `path` get these acts, in order; later ones are served well.
    pub fn script(&self, path: &str, acts: impl IntoIterator<Item = Act>) {
        self.with_script(path, |script| script.next.extend(acts));
    }

    /// Every request for `path` that no script covers gets `act`.
    pub fn always(&self, path: &str, act: Act) {
        self.with_script(path, |script| script.rest = act);
    }

    /// Forgets what was scripted for `path`: it is served well from now on.
    pub fn heal(&self, path: &str) {
        self.shared.state.lock().scripts.remove(path);
    }

    fn with_script(&self, path: &str, change: impl FnOnce(&mut Script)) {
        change(self.shared.state.lock().scripts.entry(path.to_owned()).or_default());
    }

    /// Publishes `content` under `path`, whatever its name.
    pub fn put(&self, path: &str, content: Content) {
        self.with_object(path, |object| object.body = answer::Body::Content(content));
    }

    /// Publishes a literal body, such as a playlist.
    pub fn put_text(&self, path: &str, text: impl Into<Bytes>) {
        let text = text.into();
        self.with_object(path, |object| object.body = answer::Body::Literal(text));
    }

    /// A field on every answer for `path`, instead of an earlier one of that name.
    pub fn set_header(&self, path: &str, name: &str, value: &str) {
        self.with_object(path, |object| {
            object.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            object.headers.push((name.to_owned(), value.to_owned()));
        });
    }

    /// Publishes another version under `path`: other bytes, other validators.
    pub fn set_version(&self, path: &str, version: u64) {
        self.with_object(path, |object| object.version = version);
    }

    fn with_object(&self, path: &str, change: impl FnOnce(&mut Object)) {
        let mut state = self.shared.state.lock();
        let object = state.objects.entry(path.to_owned()).or_insert_with(|| Object::of(path));
        change(object);
    }

    /// What happened to `path` so far (without query).
    pub fn counts(&self, path: &str) -> Counts {
        self.shared.state.lock().counts.get(path).copied().unwrap_or_default()
    }

    /// Requests for `path` so far.
    pub fn requests(&self, path: &str) -> u64 {
        self.counts(path).requests
    }

    /// Requests for all paths so far.
    pub fn all_requests(&self) -> u64 {
        self.shared.state.lock().counts.values().map(|counts| counts.requests).sum()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.state.lock().connections
    }

    /// The last requests for `path`, oldest first.
    pub fn seen(&self, path: &str) -> Vec<Request> {
        let state = self.shared.state.lock();
        state.seen.iter().filter(|request| request.path() == path).cloned().collect()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Counts a request and decides its answer and how it goes wrong.
    fn begin(&self, request: &Request) -> (Answer, Act) {
        let mut state = self.state.lock();
        let path = request.path();
        state.counts.entry(path.to_owned()).or_default().requests += 1;
        if state.seen.len() == SEEN {
            state.seen.pop_front();
        }
        state.seen.push_back(request.clone());
        let act = state.scripts.get_mut(path).map_or_else(Act::default, |script| {
            script.next.pop_front().unwrap_or_else(|| script.rest.clone())
        });
        let known = state.objects.get(path).cloned();
        let object = known.unwrap_or_else(|| Object::of(path));
        (answer::answer(&object, request, &act), act)
    }

    fn wrote(&self, path: &str, bytes: usize) {
        let mut state = self.state.lock();
        let counts = state.counts.entry(path.to_owned()).or_default();
        let now = Instant::now();
        counts.body_bytes += bytes as u64;
        counts.first_body_byte.get_or_insert(now);
        counts.last_body_byte = Some(now);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                if connections.len() < CONNECTIONS {
                    shared.state.lock().connections += 1;
                    connections.spawn(converse(stream, Arc::clone(&shared)));
                }
            }
        }
    }
}

/// One connection: requests in order until either side has had enough.
async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    // A test measures when bytes leave.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut unread = Vec::new();
    while let Ok(Some(request)) = request::read(&mut stream, &mut unread).await {
        let (answer, act) = shared.begin(&request);
        let path = request.path().to_owned();
        let sent = send::send(&mut stream, &request, answer, &act, |bytes| {
            shared.wrote(&path, bytes);
        });
        match sent.await {
            Ok(send::After::KeepAlive) if !request.wants_close() => {}
            _ => return,
        }
    }
}
