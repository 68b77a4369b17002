//! quinn under h3: what h3 needs of a connection, and a way for us to take a response stream
//! over once h3 has written the headers. Bodies then go to quinn as they are, where h3 would
//! copy them, and we hear when the client stops listening. What comes in is `receive.rs`'s.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures::{
    future::{BoxFuture, FutureExt, ready as ready_now},
    stream::{self, BoxStream, StreamExt},
};
use h3::{
    error::Code,
    quic::{
        BidiStream, Connection, ConnectionErrorIncoming, OpenStreams, RecvStream, SendStream,
        StreamErrorIncoming, StreamId, WriteBuf,
    },
};
use parking_lot::Mutex;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

use super::{
    patience::Patience,
    receive::{Recv, Rules, Verdict},
    unidirectional::Unidirectional,
};
use crate::{counters::Counters, message::Malformed};

type Incoming<T> = BoxStream<'static, Result<T, ConnectionError>>;

/// The sending half of a stream, until somebody takes it.
type SharedSend = Arc<Mutex<Option<quinn::SendStream>>>;

/// Holds the response stream of the request that h3 has accepted last.
#[derive(Clone, Default)]
pub(super) struct Accepted(Arc<Mutex<Option<Claim>>>);

/// A response stream that h3 still writes to, and what is wrong with its request.
#[derive(Clone)]
pub(super) struct Claim {
    response: SharedSend,
    verdict: Verdict,
}

impl Accepted {
    /// To be asked right after `accept` has given a request.
    pub(super) fn claim(&self) -> Option<Claim> {
        self.0.lock().take()
    }
}

impl Claim {
    /// When the client stops listening, or its connection is lost.
    pub(super) fn stopped(&self) -> BoxFuture<'static, ()> {
        match self.response.lock().as_ref().map(quinn::SendStream::stopped) {
            Some(stopped) => stopped.map(|_| ()).boxed(),
            None => ready_now(()).boxed(),
        }
    }

    /// Takes the stream from h3, which must not write to it any more.
    pub(super) fn take(&self) -> Option<quinn::SendStream> {
        self.response.lock().take()
    }

    /// What is wrong with the request, once something is.
    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The request is refused: nobody answers it.
    pub(super) fn refuse(&self, why: Malformed) {
        // The first reason stays, as the first code does.
        let _ = self.verdict.set(why);
        if let Some(response) = self.response.lock().as_mut() {
            // Fails only where it is over already.
            let _ = response.reset(var_int(why.code()));
        }
    }
}

/// A QUIC connection as h3 wants it.
pub(super) struct Quinn {
    connection: quinn::Connection,
    requests: Incoming<(quinn::SendStream, quinn::RecvStream)>,
    unidirectional: Unidirectional,
    opener: Opener,
    accepted: Accepted,
    rules: Arc<Rules>,
}

impl Quinn {
    /// `section_max`: see [`Message`](crate::message::Message).
    pub(super) fn new(
        connection: quinn::Connection,
        counters: Arc<Counters>,
        section_max: usize,
        patience: Arc<Patience>,
    ) -> (Self, Accepted) {
        let accepted = Accepted::default();
        let requests = stream::unfold(connection.clone(), |connection| async {
            Some((connection.accept_bi().await, connection))
        });
        let rules =
            Arc::new(Rules { connection: connection.clone(), counters, section_max, patience });
        let this = Self {
            requests: requests.boxed(),
            unidirectional: Unidirectional::new(connection.clone(), Arc::clone(&rules)),
            opener: Opener::new(connection.clone()),
            rules,
            connection,
            accepted: accepted.clone(),
        };
        (this, accepted)
    }
}

/// Opens the streams that a server opens: control and QPACK.
pub(super) struct Opener {
    connection: quinn::Connection,
    opened: Incoming<quinn::SendStream>,
}

impl Opener {
    fn new(connection: quinn::Connection) -> Self {
        let opened = stream::unfold(connection.clone(), |connection| async {
            Some((connection.open_uni().await, connection))
        });
        Self { connection, opened: opened.boxed() }
    }
}

/// `unfold` above never ends.
fn endless<T>(item: Option<Result<T, ConnectionError>>) -> Result<T, ConnectionErrorIncoming> {
    item.unwrap_or(Err(ConnectionError::LocallyClosed)).map_err(connection_error)
}

impl<B: Buf> Connection<B> for Quinn {
    type RecvStream = Recv;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Recv, ConnectionErrorIncoming>> {
        self.unidirectional.poll(cx).map_err(connection_error)
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bidi<B>, ConnectionErrorIncoming>> {
        let stream = ready!(self.requests.poll_next_unpin(cx));
        Poll::Ready(endless(stream).map(|(send, recv)| {
            let send = Send::new(send);
            let response = Arc::clone(&send.stream);
            let claim = Claim { response, verdict: Verdict::default() };
            *self.accepted.0.lock() = Some(claim.clone());
            Bidi { send, recv: Recv::request(recv, claim, &self.rules) }
        }))
    }

    fn opener(&self) -> Opener {
        Opener::new(self.connection.clone())
    }
}

impl<B: Buf> OpenStreams<B> for Quinn {
    type BidiStream = Bidi<B>;
    type SendStream = Send<B>;

    fn poll_open_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bidi<B>, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Send<B>, StreamErrorIncoming>> {
        let opened: Poll<Result<Send<B>, _>> = self.opener.poll_open_send(cx);
        if let Poll::Ready(Ok(stream)) = &opened
            && let Some(stream) = stream.stream.lock().as_ref()
        {
            // h3 opens three: for control and for QPACK.
            self.unidirectional.critical(stream.stopped());
        }
        opened
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        OpenStreams::<B>::close(&mut self.opener, code, reason);
    }
}

impl<B: Buf> OpenStreams<B> for Opener {
    type BidiStream = Bidi<B>;
    type SendStream = Send<B>;

    fn poll_open_bidi(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Bidi<B>, StreamErrorIncoming>> {
        // RFC 9114 §6.1: a server opens none.
        let error = io::Error::from(io::ErrorKind::Unsupported);
        Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Send<B>, StreamErrorIncoming>> {
        let stream = endless(ready!(self.opened.poll_next_unpin(cx)));
        Poll::Ready(stream.map(Send::new).map_err(|connection_error| {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error }
        }))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(var_int(code.value()), reason);
    }
}

/// A request's stream.
pub(super) struct Bidi<B: Buf> {
    send: Send<B>,
    recv: Recv,
}

impl<B: Buf> BidiStream<B> for Bidi<B> {
    type SendStream = Send<B>;
    type RecvStream = Recv;

    fn split(self) -> (Send<B>, Recv) {
        (self.send, self.recv)
    }
}

impl<B: Buf> SendStream<B> for Bidi<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl<B: Buf> RecvStream for Bidi<B> {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

/// The sending half while h3 has it.
pub(super) struct Send<B: Buf> {
    id: StreamId,
    stream: SharedSend,
    writing: Option<WriteBuf<B>>,
}

impl<B: Buf> Send<B> {
    fn new(stream: quinn::SendStream) -> Self {
        let id = stream_id(stream.id());
        Self { id, stream: Arc::new(Mutex::new(Some(stream))), writing: None }
    }
}

impl<B: Buf> SendStream<B> for Send<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(data) = &mut self.writing {
            let mut stream = self.stream.lock();
            let Some(stream) = stream.as_mut() else {
                let error = io::Error::from(io::ErrorKind::BrokenPipe);
                return Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(error))));
            };
            while data.has_remaining() {
                let written = Pin::new(&mut *stream).poll_write(cx, data.chunk());
                data.advance(ready!(written).map_err(write_error)?);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::ConnectionErrorIncoming {
                connection_error: ConnectionErrorIncoming::InternalError(
                    "h3 wrote before the stream was ready".into(),
                ),
            });
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        ready!(SendStream::<B>::poll_ready(self, cx))?;
        if let Some(stream) = self.stream.lock().as_mut() {
            // Fails only where it is finished or reset already.
            let _ = stream.finish();
        }
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        if let Some(stream) = self.stream.lock().as_mut() {
            let _ = stream.reset(var_int(code));
        }
    }

    fn send_id(&self) -> StreamId {
        self.id
    }
}

pub(super) fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(u64::from(id)).expect("quinn's stream ids have 62 bits")
}

pub(super) fn var_int(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn connection_error(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => {
            StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }
        }
        WriteError::ConnectionLost(error) => StreamErrorIncoming::ConnectionErrorIncoming {
            connection_error: connection_error(error),
        },
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

pub(super) fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => {
            StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }
        }
        ReadError::ConnectionLost(error) => StreamErrorIncoming::ConnectionErrorIncoming {
            connection_error: connection_error(error),
        },
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}
