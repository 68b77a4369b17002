//! From a configuration to a node that can serve: everything that can fail at the start fails
//! here, before a socket is open to clients.

pub mod disks;
pub mod gate;
mod services;
mod upstreams;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{runtime::Handle, time::Instant};
use weir_config::edge::{AccessFormat, Admission, EdgeConfig, PER_OBJECT, TlsVersion};
use weir_config_lifecycle::{Clock, Pulses, Readiness, pulses::Count};
use weir_config_telemetry::{
    AccessFormat as Form, AccessLog, AccessOptions, Metrics as Registry, Rotation,
};
use weir_edge_cache::disks::Disks;
use weir_edge_cache::{CHUNK_SIZE, Cache, CacheConfig, ChunkStore, OBJECT_BYTES};
use weir_edge_fill::Engine;
use weir_edge_http::{Counters, Gate, client::Client};
use weir_edge_transport::{
    connect::TlsClientError,
    tls::{CertificateError, Certificates, Keys, KeysError, MinVersion, Tls, TlsError},
};

use crate::{
    admin::warm::Warms,
    clients::Rules,
    fleet::Membership,
    journal::Journal,
    judge,
    live::{self, Bounds, Live},
    load::{self, Load},
    metrics::Metrics,
    node::Node,
    observe::Observed,
    service::Services,
    traces::{self, Traces},
    upkeep::{self, Upkeep},
};

/// The configuration plans with what the table takes.
const _: () = assert!(PER_OBJECT == OBJECT_BYTES as u64);
/// Connection ids carry the worker in one byte.
const WORKERS_MAX: usize = 256;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot open the cache")]
    Cache(#[source] weir_edge_cache::OpenError),
    #[error("cannot open the disks")]
    Disks(#[from] weir_edge_cache::disks::DisksError),
    #[error("cannot use the certificates")]
    Certificates(#[from] CertificateError),
    #[error("cannot use the transport keys")]
    Keys(#[from] KeysError),
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    #[error("cannot set up TLS towards upstreams")]
    TlsClient(#[from] TlsClientError),
    #[error("upstream {id}: {reason}")]
    Upstream { id: String, reason: String },
    #[error("service {id}: {reason}")]
    Service { id: String, reason: String },
    #[error("cannot write the access log")]
    Access(#[from] weir_config_telemetry::AccessLogError),
    #[error("cannot make the folder {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the memory of the cache does not suffice for its parts")]
    Memory,
}

/// Worker threads of a node.
pub fn workers(config: &EdgeConfig) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.node.workers.map_or_else(cores, usize::from).min(WORKERS_MAX)
}

/// What runs already: an upstream that is told the same keeps its connections and its counts.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'k> {
    pub config: &'k EdgeConfig,
    /// Fills that may be under way: what the process started with, whatever its files say by now.
    pub fills: usize,
    pub upstreams: &'k [Arc<Observed>],
}

/// What a reload replaces: upstreams, and the services that name them.
pub fn served(
    config: &EdgeConfig,
    metrics: &Metrics,
    journal: &Journal,
    pool: &Client,
    kept: Option<&Kept<'_>>,
) -> Result<(Vec<Arc<Observed>>, Services), StartError> {
    let upstreams = upstreams::all(config, metrics, journal, pool, kept)?;
    let services = Services::new(services::all(config, &upstreams, workers(config))?)
        .with_clients(Rules::of(&config.clients));
    Ok((upstreams, services))
}

/// Connections to upstreams, for as long as the process lives.
pub fn pool() -> Result<Client, StartError> {
    upstreams::pool()
}

/// Builds the node. `fills` is the runtime on which fills and disk writes run.
pub async fn node(
    config: &EdgeConfig,
    pool: &Client,
    clock: Arc<dyn Clock>,
    fills: Handle,
    readiness: Readiness,
) -> Result<Arc<Node>, StartError> {
    let metrics = Metrics::new(Registry::new());
    let parts = config.cache.parts(&config.fill).ok_or(StartError::Memory)?;
    let journal = Arc::new(Journal::new(workers(config)).telling(config.access.client_address));
    let (upstreams, services) = served(config, &metrics, &journal, pool, None)?;
    let access = config.log.access.as_deref().map(|path| {
        folder_of(path)?;
        let options = access_options(config);
        AccessLog::open(path, options).map_err(StartError::from)
    });
    let access = access.transpose()?;
    folder_of(&config.cache.state)?;
    // Last, since these have work under way of their own, which an error would cut off.
    let opening = Instant::now();
    let buffers = parts.disk_buffers.as_u64();
    let disks = disks::disks(config, buffers, &clock, &fills).await?;
    let store = disks.clone().map(|disks| disks as Arc<dyn ChunkStore>);
    let cache_config = CacheConfig {
        memory_bytes: parts.ram.as_u64(),
        state: Some(config.cache.state.clone()),
        metadata_objects_max: usize::try_from(parts.objects).unwrap_or(usize::MAX),
    };
    let cache = match Cache::open_at(&cache_config, store.clone(), clock.unix_millis() * 1_000_000)
    {
        Ok(cache) => cache,
        Err(error) => {
            if let Some(store) = store {
                store.close().await;
            }
            return Err(StartError::Cache(error));
        }
    };
    let cache = match config.cache.admission {
        Admission::Always => cache,
        Admission::SecondHit => {
            let room: u64 = config.cache.disks.iter().map(|disk| disk.size.as_u64()).sum();
            cache.second_hit(room / CHUNK_SIZE as u64)
        }
    };
    metrics.recovery.set(opening.elapsed().as_secs_f64());
    let concurrency = usize::from(config.fill.concurrency.get());
    let cache = Arc::new(cache);
    fills.spawn(tick(Arc::downgrade(&cache), Arc::clone(&clock)));
    fills.spawn(Cache::reclaim(Arc::downgrade(&cache)));
    let traces = Arc::new(Traces::new(&config.traces, &config.node.name, &config.node.site));
    fills.spawn(traces::run(Arc::clone(&traces), pool.clone()));
    let engine = Engine::new(cache, Arc::clone(&clock), fills.clone(), concurrency);
    engine.accounts().set_burst(config.clients.fill_burst.as_u64());
    let load = Load::new(workers(config));
    load.set(config);
    let node = Arc::new(Node {
        load,
        name: config.node.name.clone(),
        site: config.node.site.clone(),
        started: Instant::now(),
        clock,
        services: ArcSwap::from_pointee(services),
        engine,
        upstreams: ArcSwap::from_pointee(upstreams),
        connections: Arc::new(Counters::default()),
        gate: Gate::new(gate::limits(config)),
        metrics,
        access,
        listening: OnceLock::new(),
        journal,
        traces,
        readiness,
        pulses: pulses(&fills, disks.as_ref()),
        disks,
        config: OnceLock::new(),
        warms: Warms::default(),
        upkeep: Upkeep::default(),
        live: Live::new(bounds(config)),
        fleet: Membership::default(),
    });
    fills.spawn(upkeep::watch(Arc::downgrade(&node)));
    fills.spawn(load::watch(Arc::downgrade(&node)));
    fills.spawn(live::watch(Arc::downgrade(&node)));
    Ok(node)
}

/// When the access log begins a new file.
pub fn rotation(config: &EdgeConfig) -> Option<Rotation> {
    let told = &config.access;
    let rotation = Rotation {
        bytes: told.rotate_size.map(|size| size.as_u64()),
        age: told.rotate_age,
        keep: told.keep.get(),
    };
    (rotation.bytes.is_some() || rotation.age.is_some()).then_some(rotation)
}

/// How the access log writes, and when it begins a new file.
fn access_options(config: &EdgeConfig) -> AccessOptions {
    let told = &config.access;
    AccessOptions {
        shards: workers(config),
        format: match told.format {
            AccessFormat::Json => Form::Json,
            AccessFormat::Combined => Form::Combined,
            AccessFormat::W3c => Form::W3c,
        },
        rotation: rotation(config),
        ..AccessOptions::default()
    }
}

/// What the figures of the node are a part of.
fn bounds(config: &EdgeConfig) -> Bounds {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Bounds {
        memory_bytes: config.cache.memory.as_u64(),
        fills: u64::from(config.fill.concurrency.get()),
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
    }
}

/// What goes on beside the workers, which bring their own pulses: the threads that fill, and the
/// watch that gives up a disk when it hangs. The disks themselves are no part: one that hangs is
/// offline, and no reason to start anew.
fn pulses(fills: &Handle, disks: Option<&Arc<Disks>>) -> Arc<Pulses> {
    let pulses = Arc::new(Pulses::default());
    fills.spawn(pulses.pulse("fill threads").go_on());
    if let Some(disks) = disks {
        let disks = Arc::downgrade(disks);
        pulses.count("watch of the disks", move || {
            disks.upgrade().map_or(Count::Ended, |disks| Count::Steps(disks.looks()))
        });
    }
    pulses
}

/// Tells the cache the time as long as it is there: what reads of objects are noted with.
async fn tick(cache: Weak<Cache>, clock: Arc<dyn Clock>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let Some(cache) = cache.upgrade() else { return };
        cache.tick(clock.unix_millis());
    }
}

/// TLS of a node; none where it listens without.
pub fn tls(config: &EdgeConfig, clock: &Arc<dyn Clock>) -> Result<Option<Tls>, StartError> {
    if config.listen.https.is_empty() {
        return Ok(None);
    }
    let certificates = certificates(config)?;
    for pair in &config.tls.certificates {
        for said in judge::out_of_date(&pair.chain, clock.unix_seconds()) {
            tracing::warn!("{said}: clients will refuse it");
        }
    }
    folder_of(&config.tls.keys)?;
    let clock = Arc::clone(clock);
    let keys = Keys::load_or_make(&config.tls.keys, Arc::new(move || clock.unix_seconds()))?;
    Ok(Some(Tls::new(certificates, keys, oldest(config))?))
}

/// The certificates of a configuration.
pub fn certificates(config: &EdgeConfig) -> Result<Certificates, StartError> {
    let pairs = config.tls.certificates.iter().map(|pair| (&pair.chain, &pair.key));
    Ok(Certificates::load(pairs)?)
}

/// The oldest TLS that it speaks.
pub fn oldest(config: &EdgeConfig) -> MinVersion {
    match config.tls.min_version {
        TlsVersion::Tls12 => MinVersion::Tls12,
        TlsVersion::Tls13 => MinVersion::Tls13,
    }
}

/// Makes the folder in which a file will stand.
pub(crate) fn folder_of(file: &std::path::Path) -> Result<(), StartError> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder)
        .map_err(|source| StartError::Folder { path: folder.to_owned(), source })
}
