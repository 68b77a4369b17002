//! A configuration taken anew while requests run: read, checked, built and proved as a whole,
//! and only then put in the place of the one that runs. What cannot be built changes nothing.

mod build;
mod difference;
mod hidden;
mod history;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Weak},
};

use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};
use weir_config::{Entry, Loaded, Report, Sources, Texts, edge::EdgeConfig};
use weir_config_admin::{
    ConfigEntry, ConfigHistory, ConfigReport, ConfigSummary, ReloadOutcome, ReloadResult,
    ServedCertificate,
};
use weir_config_lifecycle::Notifier;
use weir_config_telemetry::logging::Verbosity;
use weir_edge_http::client::Client;
use weir_edge_transport::tls::Tls;

use crate::{
    judge::{Contents, chain},
    node::Node,
};

use build::Built;
use difference::{Difference, difference};
use hidden::Hidden;
use history::History;

/// Who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The process started.
    Start,
    /// A signal of the host.
    Hangup,
    /// An operator at the admin socket.
    Operator,
    /// An operator, to go back to a revision.
    Rollback(u64),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start => out.write_str("start"),
            Self::Hangup => out.write_str("SIGHUP"),
            Self::Operator => out.write_str("cachectl"),
            Self::Rollback(revision) => write!(out, "rollback to {revision}"),
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The files are not right.
    #[error(transparent)]
    Config(#[from] Report),
    /// They are, but what they ask for cannot be built.
    #[error("{0}\nnothing was changed")]
    Build(#[source] crate::assemble::StartError),
    /// A new certificate is not good now.
    #[error("{0}: clients would refuse it; nothing was changed")]
    OutOfDate(String),
    /// A certificate does not serve.
    #[error("a certificate was not taken; nothing was changed")]
    Proof(#[from] weir_edge_transport::tls::ProofError),
    /// The node is going down.
    #[error("the node is going down")]
    Gone,
}

/// What a reloader works with. Nothing of it is replaced.
pub struct Parts {
    /// Where the configuration comes from.
    pub sources: Sources,
    /// The node that runs by it.
    pub node: Weak<Node>,
    /// Connections to upstreams; those that stay keep theirs.
    pub pool: Client,
    /// None where nobody is served with TLS.
    pub tls: Option<Tls>,
    /// How much is logged, and what of the environment says so instead.
    pub verbosity: Verbosity,
    /// `WEIR_LOG`
    pub log_filter: Option<String>,
}

/// Takes configurations, one at a time.
pub struct Reloader {
    parts: Parts,
    running: Mutex<Running>,
    view: RwLock<View>,
    wake: Notify,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Reloader")
            .field("view", &self.view.read().summary)
            .finish_non_exhaustive()
    }
}

/// What runs.
struct Running {
    config: EdgeConfig,
    /// `fill.concurrency` at the start, which holds until the next one.
    fills: usize,
    history: History,
    /// The content of each chain that is served.
    chains: HashMap<PathBuf, Vec<u8>>,
    hidden: Hidden,
    /// Gone back: to which revision, and from what the sources said then.
    away: Option<(u64, Texts)>,
}

/// What is shown of it, without waiting for a reload that is under way.
#[derive(Default)]
struct View {
    summary: ConfigSummary,
    entries: Vec<Entry>,
    /// `admin.hosts`
    hosts: Vec<String>,
}

impl Reloader {
    /// Around the configuration that the node was built from.
    pub fn new(parts: Parts, loaded: Loaded<EdgeConfig>, now_millis: u64) -> Arc<Self> {
        let Loaded { config, entries, texts } = loaded;
        let mut history = History::open(&config.cache.state);
        let revision = history.record(&texts, &Cause::Start, &[], now_millis);
        let chains = build::chains(&config);
        let fills = usize::from(config.fill.concurrency.get());
        let hidden = Hidden::of(&config);
        let summary =
            ConfigSummary { revision, since_unix_ms: now_millis, ..ConfigSummary::default() };
        let hosts = config.admin.hosts.clone();
        let running = Running { config, fills, history, chains, hidden, away: None };
        Arc::new(Self {
            parts,
            running: Mutex::new(running),
            view: RwLock::new(View { summary, entries, hosts }),
            wake: Notify::new(),
        })
    }

    /// How it stands.
    pub fn summary(&self) -> ConfigSummary {
        self.view.read().summary.clone()
    }

    /// Whether operators ask the management address by this name.
    pub fn is_host(&self, host: &str) -> bool {
        self.view.read().hosts.iter().any(|known| known == host)
    }

    /// Everything that holds.
    pub fn report(&self) -> ConfigReport {
        let view = self.view.read();
        let entry = |entry: &Entry| ConfigEntry {
            key: entry.key.clone(),
            value: entry.value.clone(),
            origin: entry.origin.to_string(),
            class: entry.class.as_str().to_owned(),
        };
        ConfigReport {
            file: self.parts.sources.file().display().to_string(),
            summary: view.summary.clone(),
            entries: view.entries.iter().map(entry).collect(),
        }
    }

    /// TLS of the node; none where it was started without.
    pub fn tls(&self) -> Option<&Tls> {
        self.parts.tls.as_ref()
    }

    /// The configuration that runs; waits for a reload that is under way.
    pub async fn config(&self) -> EdgeConfig {
        self.running.lock().await.config.clone()
    }

    /// What clients are shown in handshakes.
    pub fn certificates(&self) -> Vec<ServedCertificate> {
        let served = self.parts.tls.as_ref().map(Tls::served).unwrap_or_default();
        let certificate = |(names, not_after_unix_s)| ServedCertificate { names, not_after_unix_s };
        served.into_iter().map(certificate).collect()
    }

    /// What ran before.
    pub async fn history(&self) -> ConfigHistory {
        let running = self.view.read().summary.revision;
        ConfigHistory { running, revisions: self.running.lock().await.history.list() }
    }

    /// Asks for a reload and does not wait: signals that come while one is under way are one.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Reloads whenever it is woken, and tells the service manager.
    pub async fn drive(self: Arc<Self>, notifier: Notifier) {
        loop {
            self.wake.notified().await;
            notifier.reloading();
            let result = self.reload(Cause::Hangup, false).await;
            notifier.ready(match &result.refused {
                Some(_) => "serving; the last configuration was refused, the log says why",
                None => "serving",
            });
            match &result.refused {
                Some(why) => tracing::error!(%why, "the configuration was refused"),
                None => tracing::info!(
                    revision = result.revision,
                    applied = result.applied.len(),
                    restart = result.restart.len(),
                    "the configuration was read again"
                ),
            }
        }
    }

    /// Takes what the sources say now.
    pub async fn reload(self: &Arc<Self>, cause: Cause, dry_run: bool) -> ReloadResult {
        let this = Arc::clone(self);
        let done = tokio::spawn(async move {
            let mut running = this.running.lock().await;
            let texts = this.parts.sources.read();
            let (texts, cause) = this.kept(&running, texts, cause);
            this.take(&mut running, texts, &cause, dry_run)
        });
        self.ended(done.await)
    }

    /// Takes what a revision said; nothing where it is not kept any more.
    pub async fn rollback(self: &Arc<Self>, revision: u64, dry_run: bool) -> Option<ReloadResult> {
        let texts = self.running.lock().await.history.texts(revision)?;
        let this = Arc::clone(self);
        let done = tokio::spawn(async move {
            let mut running = this.running.lock().await;
            this.take(&mut running, Ok(texts), &Cause::Rollback(revision), dry_run)
        });
        Some(self.ended(done.await))
    }

    /// A signal is no order to give up a rollback: logrotate sends one each night. While the files
    /// say what was gone back from, what runs is read again, with its certificates; an operator's
    /// reload, other files and the next start end it.
    fn kept(
        &self,
        running: &Running,
        said: Result<Texts, Report>,
        cause: Cause,
    ) -> (Result<Texts, Report>, Cause) {
        let revision = self.view.read().summary.revision;
        match (&running.away, &said) {
            (Some((to, from)), Ok(now)) if cause == Cause::Hangup && from == now => {
                match running.history.texts(revision) {
                    Some(texts) => (Ok(texts), Cause::Rollback(*to)),
                    None => (said, cause),
                }
            }
            _ => (said, cause),
        }
    }

    /// A reload goes on to its end whoever asked for it and went away; one that panicked has
    /// changed nothing, since everything is built before anything is replaced.
    fn ended(&self, result: Result<ReloadResult, tokio::task::JoinError>) -> ReloadResult {
        result.unwrap_or_else(|error| {
            let mut result = self.blank(false);
            result.outcome = ReloadOutcome::Refused;
            result.refused = Some(format!("the reload came to an end by itself: {error}"));
            result
        })
    }

    fn blank(&self, dry_run: bool) -> ReloadResult {
        ReloadResult {
            outcome: ReloadOutcome::Unchanged,
            dry_run,
            revision: self.view.read().summary.revision,
            applied: Vec::new(),
            restart: Vec::new(),
            certificates: 0,
            new_certificates: 0,
            notes: Vec::new(),
            refused: None,
        }
    }

    fn take(
        &self,
        running: &mut Running,
        texts: Result<Texts, Report>,
        cause: &Cause,
        dry_run: bool,
    ) -> ReloadResult {
        let taken = tokio::task::block_in_place(|| self.try_take(running, texts, cause, dry_run));
        let node = self.parts.node.upgrade();
        let count = |outcome: &str| {
            if let Some(node) = node.as_ref().filter(|_| !dry_run) {
                node.metrics.reloaded(outcome);
            }
        };
        match taken {
            Ok(result) => {
                count(if result.outcome == ReloadOutcome::Applied {
                    "applied"
                } else {
                    "unchanged"
                });
                result
            }
            Err(error) => {
                count("refused");
                let mut result = self.blank(dry_run);
                result.outcome = ReloadOutcome::Refused;
                let said = chain(&error);
                if !dry_run {
                    let line = said.lines().next().unwrap_or_default();
                    self.view.write().summary.refused = Some(line.to_owned());
                }
                result.refused = Some(said);
                result
            }
        }
    }

    fn try_take(
        &self,
        running: &mut Running,
        texts: Result<Texts, Report>,
        cause: &Cause,
        dry_run: bool,
    ) -> Result<ReloadResult, ReloadError> {
        let node = self.parts.node.upgrade().ok_or(ReloadError::Gone)?;
        let loaded = EdgeConfig::of(texts?, &Contents { now: None })?;
        let before = self.view.read().entries.clone();
        let Difference { mut applied, restart, entries } = difference(&before, loaded.entries);
        let hidden = Hidden::of(&loaded.config);
        applied.extend(hidden.changes(&running.hidden, &applied, &entries));
        let built = Built::new(&self.parts, &node, running, &loaded.config)?;
        let mut result = self.blank(dry_run);
        let same = applied.is_empty() && built.new_certificates() == 0;
        result.outcome = if same { ReloadOutcome::Unchanged } else { ReloadOutcome::Applied };
        result.certificates = built.certificates();
        result.new_certificates = built.new_certificates();
        if self.parts.log_filter.is_some() && applied.iter().any(|c| c.key == "log.level") {
            result.notes.push("WEIR_LOG is set: it says what is logged, not log.level".into());
        }
        if let Cause::Rollback(revision) = cause {
            result.notes.push(format!(
                "the files still say otherwise: the next start, `cachectl config reload`, and a SIGHUP \
                 after they were changed take them, not revision {revision}"
            ));
        }
        (result.applied, result.restart) = (applied, restart);
        if dry_run {
            return Ok(result);
        }
        let chains = built.put(&self.parts, &node, &loaded.config);
        let changed: Vec<String> = result.applied.iter().map(|change| change.key.clone()).collect();
        let now = node.clock.unix_millis();
        let revision = running.history.record(&loaded.texts, cause, &changed, now);
        running.away = match cause {
            Cause::Rollback(to) => self.parts.sources.read().ok().map(|from| (*to, from)),
            _ => None,
        };
        running.config = loaded.config;
        running.chains = chains;
        running.hidden = hidden;
        let mut view = self.view.write();
        let since = match revision == view.summary.revision {
            true => view.summary.since_unix_ms,
            false => now,
        };
        view.summary = ConfigSummary {
            revision,
            since_unix_ms: since,
            restart: result.restart.iter().map(|change| change.key.clone()).collect(),
            refused: None,
            rolled_back: matches!(cause, Cause::Rollback(_)),
        };
        view.entries = entries;
        view.hosts.clone_from(&running.config.admin.hosts);
        result.revision = revision;
        Ok(result)
    }
}
