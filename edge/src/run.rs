//! A node's life: sockets, workers, admin, and the end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::net::{TcpListener, UnixListener};
use weir_config::edge::EdgeConfig;
use weir_config_lifecycle::{Phase, Shutdown};
use weir_edge_http::{Counters, Drained, Limits, Server, Shutdown as HttpShutdown};
use weir_edge_transport::{
    quic::QuicLimits,
    sockets::{self, BindError, Bound, Passed, Steering},
    tls::Tls,
    workers::{self, SpawnError},
};

use crate::{
    admin::{Admin, Management},
    assemble,
    handler::Edge,
    node::Node,
};

/// Why a node that could be built does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot open the admin socket {path}")]
    Admin {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "{passed} sockets were passed for {address}, and there are {workers} workers: pass one \
         for each of them (`ReusePort=yes`), or set `node.workers` to {passed}"
    )]
    Passed { address: SocketAddr, passed: usize, workers: usize },
    #[error("cannot start a worker")]
    Worker(#[from] SpawnError),
}

/// Sockets of all addresses: TLS with QUIC, and plain.
struct Sockets {
    tls: Vec<Bound>,
    plain: Vec<Bound>,
}

/// What one worker takes of them.
#[derive(Default)]
struct Share {
    tls: Vec<(std::net::TcpListener, Option<std::net::UdpSocket>)>,
    plain: Vec<std::net::TcpListener>,
}

/// Serves until the shutdown, then drains.
///
/// `passed` are the sockets that a service manager holds; what it does not hold is bound here.
pub async fn run(
    config: &EdgeConfig,
    node: Arc<Node>,
    tls: Option<Tls>,
    passed: Passed,
    shutdown: &Shutdown,
) -> Result<(), ServeError> {
    let count = assemble::workers(config);
    let sockets = sockets_of(config, count, passed)?;
    let addresses = addresses(&sockets);
    // Whoever asks where proxies alone may come is none.
    let asked = addresses.iter().filter(|(at, _)| !config.listen.proxy_protocol.contains(at));
    let _once = node.listening.set(asked.map(|(at, scheme)| (*at, *scheme == "https")).collect());
    let admin = admin_socket(config)?;
    let management =
        config.admin.listen.map(|address| sockets::bind_tcp(address, 1)).transpose()?;
    let draining = HttpShutdown {
        begin: shutdown.drain_token(),
        deadline: config.shutdown.deadline,
        cut: shutdown.stop_token(),
    };

    let alt_svc = alt_svc(config, &addresses);
    let shares = Mutex::new(shares(sockets, count));
    let proxied = config.listen.proxy_protocol.clone();
    let handler = Arc::new(Edge::new(Arc::clone(&node)));
    let workers = {
        let (node, draining) = (Arc::clone(&node), draining.clone());
        workers::run(count, "edge", move |index| {
            let share = std::mem::take(&mut shares.lock()[index]);
            let counters = Arc::clone(&node.connections);
            let (handler, clock) = (Arc::clone(&handler), Arc::clone(&node.clock));
            let mut server = Server::new(handler, Limits::default(), counters, clock)
                .worker(index)
                .watched(Arc::clone(&node.pulses))
                .gate(Arc::clone(&node.gate), node.started);
            let pulse = node.pulses.pulse(format!("worker {index}"));
            if let Some(value) = &alt_svc {
                server = server.alt_svc(value.clone());
            }
            let (tls, draining) = (tls.clone(), draining.clone());
            let proxied = proxied.clone();
            let load = Arc::clone(&node.load);
            async move {
                // A task among the others, so that it waits as they do.
                let feels = tokio::spawn(async move { load.feel(index).await });
                let served = worker(share, server, &proxied, tls.as_ref(), index, &draining);
                let drained = pulse.during(served).await;
                feels.abort();
                drained
            }
        })?
    };

    let counters = Arc::new(Counters::default());
    let admin_server = Server::new(
        Arc::new(Admin { node: Arc::clone(&node) }),
        Limits::default(),
        Arc::clone(&counters),
        Arc::clone(&node.clock),
    );
    let management_server = Server::new(
        Arc::new(Management { node: Arc::clone(&node) }),
        Limits::default(),
        counters,
        Arc::clone(&node.clock),
    );
    // Operators may ask until the end: these outlive the drain of the clients.
    let until = HttpShutdown::new(shutdown.stop_token(), Duration::ZERO);
    let admin_task = {
        let until = until.clone();
        tokio::spawn(async move { admin_server.unix(admin, &until).await })
    };
    let management_task = management.map(|(address, mut sockets)| {
        tracing::info!(%address, "health and metrics");
        let socket = sockets.pop();
        tokio::spawn(async move {
            if let Some(listener) = socket.and_then(|socket| TcpListener::from_std(socket).ok()) {
                management_server.plain(listener, &until).await;
            }
        })
    });

    node.readiness.advance(Phase::Serving);
    for address in &addresses {
        tracing::info!(address = %address.0, scheme = address.1, "serving");
    }
    let mut total = Drained::default();
    for ended in workers.join().await {
        match ended {
            Ok(drained) => total += drained,
            Err(error) => {
                tracing::error!(%error, "a worker is gone");
                shutdown.drain();
            }
        }
    }
    tracing::info!(finished = total.finished, cut = total.dropped, "drained");
    node.readiness.advance(Phase::Stopped);
    node.live.ended().await;
    node.traces.close().await;
    shutdown.stop();
    let _ended = admin_task.await;
    if let Some(task) = management_task {
        let _ended = task.await;
    }
    let _gone = std::fs::remove_file(&config.admin.socket);
    Ok(())
}

async fn worker(
    share: Share,
    server: Server<Edge>,
    proxied: &[SocketAddr],
    tls: Option<&Tls>,
    index: usize,
    shutdown: &HttpShutdown,
) -> Drained {
    let behind = server.behind_proxies();
    let at = |listener: &std::net::TcpListener| match listener.local_addr() {
        Ok(address) if proxied.contains(&address) => &behind,
        _ => &server,
    };
    let mut serving: Vec<futures::future::LocalBoxFuture<'_, Drained>> = Vec::new();
    for listener in share.plain {
        let server = at(&listener);
        match TcpListener::from_std(listener) {
            Ok(listener) => serving.push(Box::pin(server.plain(listener, shutdown))),
            Err(error) => tracing::error!(%error, "a listener cannot be used"),
        }
    }
    for (listener, udp) in share.tls {
        let Some(tls) = tls else { continue };
        let at = at(&listener);
        match TcpListener::from_std(listener) {
            Ok(listener) => serving.push(Box::pin(at.tls(listener, tls, shutdown))),
            Err(error) => tracing::error!(%error, "a listener cannot be used"),
        }
        let Some(udp) = udp else { continue };
        // Fewer than 256 workers are ever started.
        let steering = Steering { worker: index as u8, generation: 0 };
        match weir_edge_transport::quic::endpoint(udp, tls, steering, &QuicLimits::default()) {
            Ok(endpoint) => serving.push(Box::pin(server.quic(endpoint, shutdown))),
            Err(error) => tracing::error!(%error, "no HTTP/3 on this socket"),
        }
    }
    let mut total = Drained::default();
    for drained in futures::future::join_all(serving).await {
        total += drained;
    }
    total
}

fn sockets_of(
    config: &EdgeConfig,
    workers: usize,
    mut passed: Passed,
) -> Result<Sockets, ServeError> {
    let mut take = |address: SocketAddr, quic: bool| match passed.take(address) {
        Some(bound) if bound.tcp.len() != workers => {
            Err(ServeError::Passed { address, passed: bound.tcp.len(), workers })
        }
        Some(bound) => Ok(bound),
        None => Ok(sockets::bind(address, workers, quic)?),
    };
    let (http3, listen) = (config.listen.http3, &config.listen);
    let tls = listen.https.iter().map(|at| take(*at, http3)).collect::<Result<_, _>>()?;
    let plain = listen.http.iter().map(|at| take(*at, false)).collect::<Result<_, _>>()?;
    for address in passed.left() {
        tracing::warn!(%address, "a socket was passed that the configuration does not name");
    }
    Ok(Sockets { tls, plain })
}

fn addresses(sockets: &Sockets) -> Vec<(SocketAddr, &'static str)> {
    let tls = sockets.tls.iter().map(|bound| (bound.address, "https"));
    tls.chain(sockets.plain.iter().map(|bound| (bound.address, "http"))).collect()
}

fn shares(sockets: Sockets, workers: usize) -> Vec<Share> {
    let mut shares: Vec<Share> = (0..workers).map(|_| Share::default()).collect();
    for bound in sockets.tls {
        let mut udp = bound.udp.into_iter();
        for (share, tcp) in shares.iter_mut().zip(bound.tcp) {
            share.tls.push((tcp, udp.next()));
        }
    }
    for bound in sockets.plain {
        for (share, tcp) in shares.iter_mut().zip(bound.tcp) {
            share.plain.push(tcp);
        }
    }
    shares
}

/// RFC 7838: HTTP/3 on the same port.
fn alt_svc(config: &EdgeConfig, addresses: &[(SocketAddr, &str)]) -> Option<HeaderValue> {
    if !config.listen.http3 {
        return None;
    }
    let (address, _) = addresses.iter().find(|(_, scheme)| *scheme == "https")?;
    let age = config.listen.alt_svc_max_age.as_secs();
    HeaderValue::try_from(format!("h3=\":{}\"; ma={age}", address.port())).ok()
}

/// The admin socket, for this user and root only. A socket that nobody answers on is what a
/// killed process left.
fn admin_socket(config: &EdgeConfig) -> Result<UnixListener, ServeError> {
    use std::os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    };
    let path = &config.admin.socket;
    let failed = |source| ServeError::Admin { path: path.display().to_string(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let error = io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process answers on it; stop that one, or set another admin.socket",
            );
            return Err(failed(error));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // The same error comes for a file of any other kind.
            if !std::fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
                let why = "something that is no socket stands there; set another admin.socket";
                return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, why)));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}
