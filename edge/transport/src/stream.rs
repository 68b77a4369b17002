//! A server's TLS stream that decides itself when to go to the kernel. What is written is sealed
//! into records at once, and many records leave in one call: 16 KiB a call costs seven times the
//! CPU of 256 KiB a call.
//!
//! In the *deferred* mode flushing is a wish that a [`Flusher`] grants: HTTP/2 flushes after each
//! frame, so the driver of the connection flushes for real once it has polled the connection.
//!
//! Worst case in memory: the limit, one record more, and what rustls holds of a record that is
//! coming in. Nothing of it stays when the peer has taken all.

use std::{
    io::{self, BufRead as _, IoSlice, Read, Write},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use rustls::ServerConnection;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

use crate::sockets::unacknowledged;

/// Plaintext of a full record (RFC 8446 §5.1).
const RECORD: usize = 16_384;

/// Ciphertext that waits for the socket at most, give or take a record.
const LIMIT: usize = 256 * 1024;

/// What sealing adds to a record: 22 bytes in TLS 1.3, 29 in 1.2. Only the estimate of what is
/// queued depends on it.
const OVERHEAD: usize = 22;

/// Records sealed for one write: rustls hands at most so many slices to one call.
const SLICES: usize = 64;

/// One TLS connection, after its handshake.
#[derive(Debug)]
pub struct TlsStream {
    shared: Arc<Mutex<Inner>>,
    /// A real flush is somebody else's task.
    deferred: bool,
}

/// Sends what a [`TlsStream`] has sealed.
#[derive(Debug)]
pub struct Flusher(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    socket: TcpStream,
    tls: ServerConnection,
    /// About how many sealed bytes wait for the socket.
    queued: usize,
    /// Bytes the kernel has taken.
    sent: u64,
    limit: usize,
    closing: bool,
}

impl TlsStream {
    pub(crate) fn new(socket: TcpStream, mut tls: ServerConnection) -> Self {
        // The limit is kept here, in whole records.
        tls.set_buffer_limit(None);
        let inner = Inner { socket, tls, queued: 0, sent: 0, limit: LIMIT, closing: false };
        Self { shared: Arc::new(Mutex::new(inner)), deferred: false }
    }

    /// Makes flushing a wish. The flusher must be polled after whoever writes has been polled,
    /// by the same task.
    #[must_use]
    pub fn deferred(self) -> (Self, Flusher) {
        let flusher = Flusher(Arc::clone(&self.shared));
        (Self { deferred: true, ..self }, flusher)
    }

    /// Another limit than 256 KiB for what waits for the socket.
    pub fn set_limit(&mut self, bytes: usize) {
        self.shared.lock().limit = bytes.max(1);
    }

    /// Ends the connection with a reset instead of a clean close.
    pub fn reset_on_close(&self) {
        // Fails only on a socket that is gone already.
        let _ = self.shared.lock().socket.set_zero_linger();
    }

    /// Sealed bytes that wait for the socket, and those that have not come to the peer's host.
    pub fn unacknowledged(&self) -> io::Result<u64> {
        let inner = self.shared.lock();
        Ok(inner.queued as u64 + unacknowledged(&inner.socket)?)
    }
}

impl Flusher {
    /// Ready when all that was written is with the kernel. Otherwise the task is woken when the
    /// socket takes more.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().send(cx)
    }

    /// Of the bytes that the kernel has taken, those that have not come to the peer's host; 0 where
    /// it does not say.
    pub fn unacknowledged(&self) -> u64 {
        unacknowledged(&self.0.lock().socket).unwrap_or(0)
    }

    /// Bytes that the kernel has taken so far, sealed.
    pub fn sent(&self) -> u64 {
        self.0.lock().sent
    }

    /// Tells the peer that nothing more comes, and flushes.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        inner.close();
        inner.send(cx)
    }

    /// Tells the peer that nothing more comes, and throws away what it still sends, `left` bytes
    /// at most. A socket that closes with unread bytes closes with a reset, which overtakes what
    /// was said last. Ready when the peer has closed as well, or has sent too much.
    pub fn poll_linger(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        let mut inner = self.0.lock();
        inner.close();
        if ready!(inner.send(cx)).is_err() {
            return Poll::Ready(());
        }
        // Fails only on a socket that is gone already.
        let _ = SockRef::from(&inner.socket).shutdown(Shutdown::Write);
        let mut scratch = [0; 8192];
        while *left > 0 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut inner.socket).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    *left = left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl Inner {
    /// Moves sealed bytes to the kernel until none is left or the socket is full.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            ready!(self.socket.poll_write_ready(cx))?;
            match send(&self.socket, |sink| self.tls.write_tls(sink)) {
                Ok(sent) => {
                    self.queued = self.queued.saturating_sub(sent);
                    self.sent += sent as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.queued = 0;
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.queued >= self.limit {
            if let Poll::Ready(Err(error)) = self.send(cx) {
                return Poll::Ready(Err(error));
            }
            // When still over the limit the socket is full, and has our waker.
            if self.queued >= self.limit {
                return Poll::Pending;
            }
        }
        // Whole records: a limit that cuts one costs a small record each time.
        let room = (self.limit - self.queued).div_ceil(RECORD) * RECORD;
        let sealed = self.seal(slices, room)?;
        self.queued += sealed + sealed.div_ceil(RECORD) * OVERHEAD;
        Poll::Ready(Ok(sealed))
    }

    fn close(&mut self) {
        if !self.closing {
            self.closing = true;
            self.tls.send_close_notify();
        }
    }

    /// Seals at most `room` bytes from the front of `slices`.
    fn seal(&mut self, slices: &[IoSlice<'_>], room: usize) -> io::Result<usize> {
        let mut writer = self.tls.writer();
        let mut taken = [IoSlice::new(&[]); SLICES];
        let (mut count, mut left) = (0, room);
        for slice in slices {
            if left == 0 || count == SLICES {
                break;
            }
            if slice.is_empty() {
                continue;
            }
            let part = &slice[..slice.len().min(left)];
            left -= part.len();
            taken[count] = IoSlice::new(part);
            count += 1;
        }
        match count {
            0 => Ok(0),
            1 => writer.write(&taken[0]),
            _ => writer.write_vectored(&taken[..count]),
        }
    }

    fn read(&mut self, buffer: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                // Empty means that the peer has closed cleanly.
                Ok(plain) => {
                    let taken = plain.len().min(buffer.remaining());
                    buffer.put_slice(&plain[..taken]);
                    reader.consume(taken);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.socket.poll_read_ready(cx))?;
            match receive(&self.socket, |source| self.tls.read_tls(source)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Err(error) = self.tls.process_new_packets() {
                // An alert for the peer, if it can still take one.
                let _ = self.send(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.shared.lock();
        let result = inner.read(buffer, cx);
        // A key update of the peer may ask for one of ours, and nobody else may flush it.
        if !self.deferred
            && inner.tls.wants_write()
            && let Poll::Ready(Err(error)) = inner.send(cx)
        {
            return Poll::Ready(Err(error));
        }
        result
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.lock().write(&[IoSlice::new(bytes)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.lock().write(slices, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deferred {
            return Poll::Ready(Ok(()));
        }
        self.shared.lock().send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.shared.lock();
        inner.close();
        ready!(inner.send(cx))?;
        Pin::new(&mut inner.socket).poll_shutdown(cx)
    }
}

/// Lets `write` put bytes into the socket. A call that takes only part of what it was offered
/// means a full socket, which spares the call that would only say so.
pub(crate) fn send(
    socket: &TcpStream,
    write: impl FnOnce(&mut dyn Write) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut sink = Sink { socket: SockRef::from(socket), moved: 0, full: false };
    let mut write = Some(write);
    let result = socket.try_io(Interest::WRITABLE, || {
        let write = write.take().expect("try_io calls once");
        let sent = write(&mut sink)?;
        // Clears the readiness; the count is kept in the sink.
        if sink.full { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(sent) }
    });
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && sink.moved > 0 => Ok(sink.moved),
        other => other,
    }
}

/// Lets `read` take bytes from the socket; the counterpart of [`send`].
pub(crate) fn receive(
    socket: &TcpStream,
    read: impl FnOnce(&mut dyn Read) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut source = Source { socket: SockRef::from(socket), moved: 0, empty: false };
    let mut read = Some(read);
    let result = socket.try_io(Interest::READABLE, || {
        let read = read.take().expect("try_io calls once");
        let received = read(&mut source)?;
        if source.empty { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(received) }
    });
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && source.moved > 0 => {
            Ok(source.moved)
        }
        other => other,
    }
}

struct Sink<'a> {
    socket: SockRef<'a>,
    moved: usize,
    full: bool,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let moved = self.socket.send_vectored(slices)?;
        self.moved += moved;
        self.full = moved < offered;
        Ok(moved)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Source<'a> {
    socket: SockRef<'a>,
    moved: usize,
    empty: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let moved = (&*self.socket).read(buffer)?;
        self.moved += moved;
        self.empty = moved > 0 && moved < buffer.len();
        Ok(moved)
    }
}
