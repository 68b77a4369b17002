//! One connection to a peer: the handshake of HTTP on it, the task that drives it, and what
//! that task found when it ended.

use std::{future::poll_fn, io, pin::Pin, sync::Arc, task::Poll, time::Duration};

use hyper::{
    client::conn::{http1, http2},
    rt::ReadBuf,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, timeout},
};
use weir_edge_transport::connect::Stream;

use super::{ClientLimits, pool::Slot, upload::Upload};

/// How long a connection that will not be used again may take to end after the last byte of
/// its answer, so that bytes too many are seen. Only origins that announce `close` and then
/// do not close make anybody wait that long.
const LINGER: Duration = Duration::from_millis(20);

/// An HTTP/2 connection that answers no ping is given up after these together.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// What HTTP/2 may buffer for us: one stream, and all streams of a connection, in bytes.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// hyper takes no smaller buffer.
const LEAST_READ: usize = 8 << 10;

type Io = TokioIo<Box<dyn Stream>>;

/// The client side of an HTTP/1.1 connection. Dropped, it ends the connection.
pub(super) struct H1 {
    pub(super) sender: http1::SendRequest<Upload>,
    /// Resolves when the connection ended, with whether bytes were left over after an answer.
    pub(super) ended: oneshot::Receiver<bool>,
    pub(super) idle_since: Instant,
    task: AbortHandle,
}

impl Drop for H1 {
    fn drop(&mut self) {
        // Nobody may go on reading or writing here, also not an upload that is under way.
        self.task.abort();
    }
}

impl H1 {
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        limits: &ClientLimits,
        slot: Slot,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::Builder::new()
            .max_headers(limits.fields)
            .max_header_size(limits.head_bytes)
            .max_buf_size(limits.read_bytes.max(LEAST_READ))
            .handshake::<Io, Upload>(TokioIo::new(stream))
            .await?;
        let (report, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let leftover = drive(connection).await;
            drop(slot);
            // The receiver is gone when nobody waits for the end of an answer.
            report.send(leftover).ok();
        });
        Ok(Self { sender, ended, idle_since: Instant::now(), task: task.abort_handle() })
    }
}

/// Drives a connection to its end. Returns whether bytes came that belong to no answer.
async fn drive(mut connection: http1::Connection<Io, Upload>) -> bool {
    let result = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let parts = connection.into_parts();
    if !parts.read_buf.is_empty() {
        return true;
    }
    if result.is_err() {
        return false;
    }
    let mut io = parts.io;
    matches!(timeout(LINGER, read_some(&mut io)).await, Ok(Ok(read)) if read > 0)
}

async fn read_some(io: &mut Io) -> io::Result<usize> {
    let mut space = [0; 64];
    poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut space);
        match hyper::rt::Read::poll_read(Pin::new(io), cx, buffer.unfilled()) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The client side of an HTTP/2 connection; clones share it. It lives as long as a clone does.
#[derive(Clone)]
pub(super) struct H2 {
    pub(super) sender: http2::SendRequest<Upload>,
    /// Tells one connection from its successor.
    pub(super) identity: Arc<()>,
}

impl H2 {
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        limits: &ClientLimits,
        slot: Slot,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake::<Io, Upload>(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            // What ended the connection reaches every request on it by itself.
            connection.await.ok();
            drop(slot);
        });
        Ok(Self { sender, identity: Arc::new(()) })
    }
}
