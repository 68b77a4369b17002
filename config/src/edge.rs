//! What an edge server is told. `config/examples/edge.toml` shows every key.

mod access;
mod clients;
mod decode;
mod limits;
mod memory;
mod overload;
mod service;
mod traces;
mod upstream;

use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use weir_config_units::ByteSize;

pub use access::{Access, AccessFormat, ClientAddress};
pub use clients::{Clients, ForwardedField};
pub use limits::Limits;
pub use memory::{MemoryParts, PER_OBJECT};
pub use overload::Overload;
pub use service::{Cors, HeaderRules, Preset, Service, TokenRule};
pub use traces::{Parents, Traces};
pub use upstream::{Credentials, HttpUpstream, S3Upstream, Upstream, UpstreamKind};

use crate::{
    common::{Log, Shutdown},
    judge::{Judge, Unjudged},
    keys::Server,
    load::Loaded,
    report::Report,
    sources::Texts,
};

/// The whole configuration of an edge server. Paths are absolute, or relative to the working
/// directory like the path of the file itself.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[node]`
    pub node: Node,
    /// `[listen]`
    pub listen: Listen,
    /// `[admin]`
    pub admin: Admin,
    /// `[tls]`
    pub tls: Tls,
    /// `[cache]`
    pub cache: Cache,
    /// `[fill]`
    pub fill: Fill,
    /// `[clients]`
    pub clients: Clients,
    /// `[limits]`
    pub limits: Limits,
    /// `[overload]`
    pub overload: Overload,
    /// `[log]`
    pub log: Log,
    /// What of `[log]` is an edge's alone.
    pub access: Access,
    /// `[traces]`
    pub traces: Traces,
    /// `[steering]`
    pub steering: Steering,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[[upstream]]`, in the order of the file; ids are unique.
    pub upstreams: Vec<Upstream>,
    /// `[[service]]`, in the order of the file; ids are unique, and every upstream they name
    /// exists.
    pub services: Vec<Service>,
}

impl EdgeConfig {
    /// Reads and checks the file, its `conf.d`, and every file they name but certificates and
    /// keys: those are there and readable, and no more is known of them.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Report> {
        crate::load::load(path.as_ref(), Server::Edge, &|root| decode::edge(root, &Unjudged))
    }

    /// All of what was read from the sources of a configuration, with certificates and keys, of
    /// which `judge` knows what they should be.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn of(texts: Texts, judge: &dyn Judge) -> Result<Loaded<Self>, Report> {
        crate::load::of_texts(texts, Server::Edge, &|root| decode::edge(root, judge))
    }

    /// As [`Self::load`] for text that is already here; `path` tells where relative paths start.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self, Report> {
        crate::load::parse(path.as_ref(), text, Server::Edge, &|root| decode::edge(root, &Unjudged))
    }

    /// The upstream of that id.
    pub fn upstream(&self, id: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.id == id)
    }
}

/// Who this server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Required; letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The servers of one place share it. Default `default`.
    pub site: String,
    /// Worker threads, 1 to 1024. Default: one for each core.
    pub workers: Option<NonZeroUsize>,
}

/// Where clients are served. At least one address of the two lists is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// TLS over TCP, and QUIC over UDP on the same port. Default: none.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP/1.1. Default: none.
    pub http: Vec<SocketAddr>,
    /// Whether HTTP/3 is served and announced. Default: true where there is `https`.
    pub http3: bool,
    /// Those of `https` and `http` on which trusted forwarders alone are expected, each connection
    /// over TCP with a PROXY header. Default: none.
    pub proxy_protocol: Vec<SocketAddr>,
    /// For how long a client may keep the `Alt-Svc` announcement. Default 24 h.
    pub alt_svc_max_age: Duration,
}

/// Where operators ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Unix socket of the admin API. Default `/run/weir/admin.sock`.
    pub socket: PathBuf,
    /// `/healthz`, `/readyz` and `/metrics`. Default: not served.
    pub listen: Option<SocketAddr>,
    /// Names under which that is asked for, beside addresses and the node's own. Default none.
    pub hosts: Vec<String>,
}

/// The oldest TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// Certificates and keys of the transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Default 1.3.
    pub min_version: TlsVersion,
    /// Keys of tickets and QUIC that survive a restart; made when missing.
    /// Default `state/transport-keys`.
    pub keys: PathBuf,
    /// Picked by SNI; the first one also serves everybody else. At least one where there is
    /// `listen.https`; each file was there and readable.
    pub certificates: Vec<Certificate>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// PEM, leaf first.
    pub chain: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Memory and disks of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Memory for cached chunks, metadata, fills under way and disk writes together: see
    /// [`Cache::parts`]. Default 512 MiB.
    pub memory: ByteSize,
    /// Objects whose metadata is kept, 1,000 to 10^9; 200 bytes of memory each. Default: as
    /// many as a sixteenth of the memory holds.
    pub objects: Option<u64>,
    /// Metadata of cached objects. Default `state/metadata.redb`.
    pub state: PathBuf,
    /// What of that which is filled on demand goes to the disks. Default by second hit.
    pub admission: Admission,
    /// None: RAM only.
    pub disks: Vec<Disk>,
}

/// What goes to the disks of that which clients ask for. What is pinned or warmed always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// What was asked for a second time, lately.
    #[default]
    SecondHit,
    /// Everything.
    Always,
}

/// One disk of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Folder; made when missing. None is inside another, or holds `cache.state`.
    pub path: PathBuf,
    /// How much of the disk is used, at least 256 MiB; its weight among the disks, too.
    pub size: ByteSize,
}

/// How upstreams are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Requests under way to all upstreams together, 1 to 65535. Default 64.
    pub concurrency: NonZeroU16,
    /// Until an upstream's headers are there, and between two pieces of its body; 10 ms to
    /// 10 min. Default 2 s.
    pub deadline: Duration,
    /// Attempts to resume a body that broke off, 0 to 100. Default 3.
    pub resumes: u32,
}

/// What the node has to do with a control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steering {
    /// Folder of its membership, which `weir-edge join` writes. Default: it belongs to no fleet.
    pub state: Option<PathBuf>,
    /// Where viewers reach it: `https://host:port` each. Default: the hosts of its services are not
    /// told.
    pub serves: Vec<String>,
}
