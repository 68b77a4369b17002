//! Everything that a reload puts in place, built before anything is replaced.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};

use weir_config::edge::EdgeConfig;
use weir_edge_transport::tls::Candidate;

use super::{Parts, ReloadError, Running};
use crate::{
    assemble::{self, StartError},
    judge,
    node::Node,
    observe::Observed,
    service::Services,
};

/// What is ready to be put in place.
pub(super) struct Built {
    upstreams: Vec<Arc<Observed>>,
    services: Services,
    tls: Option<Candidate>,
    chains: HashMap<PathBuf, Vec<u8>>,
    new_certificates: u64,
}

impl Built {
    pub(super) fn new(
        parts: &Parts,
        node: &Node,
        running: &Running,
        config: &EdgeConfig,
    ) -> Result<Self, ReloadError> {
        let before = node.upstreams.load();
        let fills = running.fills;
        let keep = assemble::Kept { config: &running.config, fills, upstreams: &before };
        let pool = &parts.pool;
        let (upstreams, services) =
            assemble::served(config, &node.metrics, &node.journal, pool, Some(&keep))
                .map_err(ReloadError::Build)?;
        let chains = chains(config);
        let is_new = |path: &&PathBuf| running.chains.get(*path) != chains.get(*path);
        let new: Vec<&PathBuf> = chains.keys().filter(is_new).collect();
        let mut built = Self {
            upstreams,
            services,
            tls: None,
            new_certificates: new.len() as u64,
            chains: HashMap::new(),
        };
        // Where the process listens without TLS, certificates wait for its next start as the
        // addresses do.
        if let Some(tls) = &parts.tls {
            // What runs already and has expired is no reason to refuse everything else.
            let now = node.clock.unix_seconds();
            for path in new {
                if let Some(said) = judge::out_of_date(path, now).into_iter().next() {
                    return Err(ReloadError::OutOfDate(said));
                }
            }
            let start = |error: StartError| ReloadError::Build(error);
            let certificates = assemble::certificates(config).map_err(start)?;
            let candidate = tls
                .candidate(certificates, assemble::oldest(config))
                .map_err(|error| ReloadError::Build(error.into()))?;
            candidate.prove()?;
            built.tls = Some(candidate);
        }
        built.chains = chains;
        Ok(built)
    }

    pub(super) fn certificates(&self) -> u64 {
        if self.tls.is_some() { self.chains.len() as u64 } else { 0 }
    }

    pub(super) fn new_certificates(&self) -> u64 {
        if self.tls.is_some() { self.new_certificates } else { 0 }
    }

    /// Puts it in place; nothing here can fail. Gives the chains that are served.
    pub(super) fn put(
        self,
        parts: &Parts,
        node: &Node,
        config: &EdgeConfig,
    ) -> HashMap<PathBuf, Vec<u8>> {
        if let (Some(tls), Some(candidate)) = (&parts.tls, self.tls) {
            tls.adopt(candidate);
        }
        node.upstreams.store(Arc::new(self.upstreams));
        node.services.store(Arc::new(self.services));
        node.gate.set(assemble::gate::limits(config));
        node.engine.accounts().set_burst(config.clients.fill_burst.as_u64());
        node.load.set(config);
        node.journal.tell_addresses(config.access.client_address);
        if let Some(access) = &node.access {
            access.set_rotation(assemble::rotation(config));
        }
        node.traces.set(&config.traces, &node.name, &node.site);
        let level = config.log.level.as_str().parse().unwrap_or(tracing::Level::INFO);
        if let Err(error) = parts.verbosity.set(level, parts.log_filter.as_deref()) {
            tracing::warn!(%error, "the level of the log stays as it was");
        }
        self.chains
    }
}

/// The content of each certificate's file. One that cannot be read is refused where it is loaded.
pub(super) fn chains(config: &EdgeConfig) -> HashMap<PathBuf, Vec<u8>> {
    let read = |path: &PathBuf| Some((path.clone(), fs::read(path).ok()?));
    config.tls.certificates.iter().filter_map(|pair| read(&pair.chain)).collect()
}
