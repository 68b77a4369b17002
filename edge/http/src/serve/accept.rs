//! Takes connections from a TCP listener and sees each of them to its end.

use std::{io, net::SocketAddr, pin::pin, sync::atomic::AtomicU64, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use crate::{
    counters::{Counters, count},
    shutdown::{Drained, Shutdown},
};

/// Runs `connection` for each accepted socket until the shutdown, at most `limit` at once.
pub(crate) async fn accept_loop<C, F>(
    listener: TcpListener,
    limit: usize,
    counters: &Counters,
    shutdown: &Shutdown,
    mut connection: C,
) -> Drained
where
    C: FnMut(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.begin.cancelled() => break,
            Some(_) = running.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    count(&counters.accepted);
                    if running.len() < limit {
                        // Responses leave when they are whole; waiting for more gains nothing.
                        let _ = socket.set_nodelay(true);
                        running.spawn(connection(socket, peer));
                    } else {
                        count(&counters.over_limit);
                    }
                }
                Err(error) => pause_after(&error, &counters.accept_errors).await,
            },
        }
    }
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
