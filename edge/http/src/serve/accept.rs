//! Takes connections from a listener and sees each of them to its end.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::atomic::AtomicU64,
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::{JoinSet, yield_now},
    time::sleep,
};

use weir_config_lifecycle::pulses::Pulse;

use crate::{
    counters::{Counters, count},
    gate::Refused,
    serve::door::Inside,
    shutdown::{Drained, Shutdown},
};

/// Where connections come from.
pub(crate) trait Listen {
    type Socket;

    /// Waits for the next one. Cancelling loses none.
    async fn next(&self) -> io::Result<(Self::Socket, SocketAddr)>;

    /// Closes a connection so that the client knows at once.
    fn refuse(socket: Self::Socket) {
        drop(socket);
    }
}

impl Listen for TcpListener {
    type Socket = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.accept().await?;
        // Responses leave when they are whole; waiting for more gains nothing.
        let _ = socket.set_nodelay(true);
        Ok((socket, peer))
    }

    fn refuse(socket: TcpStream) {
        // A reset: nothing of it stays here, not even the wait for late packets.
        let _ = socket.set_zero_linger();
    }
}

impl Listen for UnixListener {
    type Socket = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, _) = self.accept().await?;
        Ok((socket, NOWHERE))
    }
}

/// Address of both ends of a Unix socket, which has none.
pub(crate) const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// As many as the kernel keeps waiting, of one listener.
const WAITING_MAX: usize = 4096;

/// What a listener is called where its loop does not go on.
pub(crate) fn shown(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "tcp".into(), |address| format!("tcp {address}"))
}

/// Runs `connection` for each accepted socket that `entry` lets in, of so many that run, until the shutdown.
pub(crate) async fn accept_loop<L, C, F>(
    listener: L,
    entry: impl Fn(SocketAddr, usize) -> Result<Inside, Refused>,
    counters: &Counters,
    shutdown: &Shutdown,
    mut pulse: Pulse,
    mut connection: C,
) -> Drained
where
    L: Listen,
    C: FnMut(L::Socket, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut take = |running: &mut JoinSet<()>, socket: L::Socket, peer: SocketAddr| {
        count(&counters.accepted);
        match entry(peer, running.len()) {
            Ok(inside) => {
                let connection = connection(socket, peer);
                running.spawn(async move {
                    connection.await;
                    drop(inside);
                });
            }
            Err(why) => {
                tracing::debug!(%peer, why = why.as_str(), "refused");
                count(&counters.over_limit);
                L::refuse(socket);
            }
        }
    };
    loop {
        tokio::select! {
            biased;
            () = shutdown.begin.cancelled() => break,
            // Before what may always be ready.
            () = pulse.next() => {}
            Some(_) = running.join_next() => {}
            accepted = listener.next() => match accepted {
                Ok((socket, peer)) => take(&mut running, socket, peer),
                Err(error) => pause_after(&error, &counters.accept_errors).await,
            },
        }
    }
    // Who has been waiting at the door was there before: closing the listener would reset it.
    for _ in 0..WAITING_MAX {
        let mut next = listener.next().now_or_never();
        if next.is_none() {
            // The runtime may not have heard of it yet.
            yield_now().await;
            next = listener.next().now_or_never();
        }
        let Some(Ok((socket, peer))) = next else { break };
        take(&mut running, socket, peer);
    }
    pulse.end();
    drop(listener);
    drain(running, shutdown).await
}

/// Waits for what runs, then cuts it.
pub(crate) async fn drain(mut running: JoinSet<()>, shutdown: &Shutdown) -> Drained {
    let mut deadline = pin!(sleep(shutdown.deadline));
    let mut drained = Drained::default();
    loop {
        tokio::select! {
            biased;
            ended = running.join_next() => match ended {
                Some(_) => drained.finished += 1,
                None => break,
            },
            () = &mut deadline => break,
            () = shutdown.cut.cancelled() => break,
        }
    }
    drained.dropped = running.len();
    running.shutdown().await;
    drained
}

async fn pause_after(error: &io::Error, errors: &AtomicU64) {
    // The client was faster away than we at the door.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    count(errors);
    tracing::warn!(%error, "accepting a connection failed");
    // Out of descriptors or memory: trying again at once would only burn the core.
    sleep(Duration::from_millis(50)).await;
}
