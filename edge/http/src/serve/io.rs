//! Counts what passes a socket, for the driver's clock, and has what comes read along.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use weir_edge_transport::{sockets, stream::TlsStream};

use crate::serve::{state::State, tap::Tap};

/// A socket that can end with a reset instead of a clean close, and tells what its peer has of
/// what was written. One that cannot tell is as good as one whose peer has all.
pub(crate) trait Reset {
    fn reset_on_close(&self);
    fn unacknowledged(&self) -> u64;
}

impl Reset for TcpStream {
    fn reset_on_close(&self) {
        // Fails only on a socket that is gone already.
        let _ = self.set_zero_linger();
    }

    fn unacknowledged(&self) -> u64 {
        sockets::unacknowledged(self).unwrap_or(0)
    }
}

impl Reset for UnixStream {
    fn reset_on_close(&self) {
        // Both ends are on this host; a close without the final chunk is seen at once.
    }

    fn unacknowledged(&self) -> u64 {
        0
    }
}

impl Reset for TlsStream {
    fn reset_on_close(&self) {
        TlsStream::reset_on_close(self);
    }

    fn unacknowledged(&self) -> u64 {
        TlsStream::unacknowledged(self).unwrap_or(0)
    }
}

pub(crate) struct Counted<S: Reset> {
    stream: S,
    state: Arc<State>,
    tap: Tap,
    /// The last write took all it was offered: nothing of ours is half written.
    whole: bool,
}

impl<S: Reset> Drop for Counted<S> {
    fn drop(&mut self) {
        if self.state.must_reset() {
            self.stream.reset_on_close();
        }
    }
}

impl<S: Reset> Counted<S> {
    pub(crate) fn new(stream: S, state: Arc<State>, tap: Tap) -> Self {
        Self { stream, state, tap, whole: true }
    }

    /// Behind what may not be read there is nothing; a head that is refused stays half there, and
    /// whoever drives the connection takes the socket.
    fn nothing_more(&self) -> Poll<io::Result<()>> {
        if !self.state.is_refused() {
            return Poll::Ready(Ok(()));
        }
        self.state.set_drained();
        Poll::Pending
    }

    fn wrote(
        &mut self,
        offered: usize,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.state.info.outgoing.changed();
        match &result {
            Poll::Pending => {
                self.state.set_blocked(true);
                // Over TLS whoever flushes knows better.
                if self.state.info.tls.is_none() {
                    self.state.set_unacknowledged(self.stream.unacknowledged());
                }
            }
            Poll::Ready(Ok(bytes)) => {
                self.state.set_blocked(false);
                self.state.has_written(*bytes);
                self.whole = *bytes == offered;
            }
            Poll::Ready(Err(_)) => {}
        }
        result
    }
}

impl<S: AsyncRead + Reset + Unpin> Counted<S> {
    /// Throws away what still comes, `left` bytes at most. Ready at the end.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        let mut scratch = [0; 8192];
        while *left > 0 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    *left = left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.tap.is_over() {
            return this.nothing_more();
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.state.has_read(buffer.filled().len() - before);
        let out = (&mut this.stream, this.whole);
        this.tap.look(buffer, before, out, &this.state, cx)?;
        if this.tap.is_over() && buffer.filled().len() == before {
            return this.nothing_more();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(bytes.len(), result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(slices.iter().map(|slice| slice.len()).sum(), result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.state.info.outgoing.flushed(|| self.stream.unacknowledged());
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
