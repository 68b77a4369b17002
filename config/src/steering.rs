//! What the control plane is told. `config/examples/steering.toml` shows every key.

mod decode;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    common::{Log, Shutdown},
    keys::Server,
    load::Loaded,
    report::Report,
    secret::Secret,
    sources::Texts,
};

/// The whole configuration of a control plane. Paths are absolute, or relative to the working
/// directory like the path of the file itself.
#[derive(Debug, Clone)]
pub struct SteeringConfig {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[steering]`
    pub steering: Steering,
    /// `[listen]`
    pub listen: Listen,
    /// `[admin]`
    pub admin: Admin,
    /// `[store]`
    pub store: Store,
    /// `[fleet]`
    pub fleet: Fleet,
    /// `[log]`
    pub log: Log,
    /// `[shutdown]`
    pub shutdown: Shutdown,
}

impl SteeringConfig {
    /// Reads and checks the file, its `conf.d`, and every file they name.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Report> {
        crate::load::load(path.as_ref(), Server::Steering, &decode::steering)
    }

    /// All of what was read from the sources of a configuration.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn of(texts: Texts) -> Result<Loaded<Self>, Report> {
        crate::load::of_texts(texts, Server::Steering, &decode::steering)
    }

    /// As [`Self::load`] for text that is already here; `path` tells where relative paths start.
    ///
    /// # Errors
    /// A [`Report`] with every mistake that was found.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self, Report> {
        crate::load::parse(path.as_ref(), text, Server::Steering, &decode::steering)
    }
}

/// A job of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nodes join, report and are told.
    Fleet,
}

/// What this process does of all that a control plane does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    /// Default: fleet. At least one.
    pub roles: Vec<Role>,
}

/// Where nodes come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// TLS, on which nodes show their certificate; required, at least one.
    pub nodes: Vec<SocketAddr>,
    /// Host names and addresses that nodes reach it by; required, at least one.
    pub names: Vec<String>,
}

/// Where operators ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Unix socket. Default `/run/weir/steering.sock`.
    pub socket: PathBuf,
    /// `/healthz`, `/readyz` and `/metrics`. Default: not served.
    pub listen: Option<SocketAddr>,
}

/// Where it is kept.
#[derive(Debug, Clone)]
pub struct Store {
    /// Database of SQLite, made when missing. Default `state/steering.db`.
    pub sqlite: PathBuf,
    /// `postgres://…`; then SQLite is not used. Default: none.
    pub postgres: Option<Secret>,
    /// Folder of the keys that sign, made when missing. Default `state/authority`.
    pub authority: PathBuf,
}

/// What nodes are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// How long a node's certificate is good: 1 h to 30 d. Default 7 d.
    pub certificate: Duration,
    /// For how long tokens of running sessions pass after their end while the control plane is
    /// not heard: up to 7 d. Default 24 h.
    pub grace: Duration,
    /// Between two reports of a node: 200 ms to 1 min. Default 1 s.
    pub report_every: Duration,
}
