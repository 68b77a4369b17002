//! HTTP/1.1 that may not be read any further: when hyper has answered what came before, its socket
//! is taken from it and the refusal is ours. hyper's own would say neither what nor why.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderValue, header};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::HttpService};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep},
};

use crate::{
    serve::{
        date::Dates,
        drive::{Ended, LINGER, LINGER_BYTES},
        io::{Counted, Reset},
        response::plain,
        state::State,
    },
    wire::Fault,
};

/// A connection of hyper's that gives its socket back.
pub(crate) trait Engine: Future<Output = hyper::Result<()>> + Unpin {
    type Socket: AsyncRead + AsyncWrite + Reset + Unpin;

    fn go_away(&mut self);

    fn socket(self) -> Counted<Self::Socket>;
}

impl<S, V, B> Engine for http1::Connection<TokioIo<Counted<S>>, V>
where
    S: AsyncRead + AsyncWrite + Reset + Unpin,
    V: HttpService<Incoming, ResBody = B>,
    V::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Socket = S;

    fn go_away(&mut self) {
        Pin::new(self).graceful_shutdown();
    }

    fn socket(self) -> Counted<S> {
        self.into_parts().io.into_inner()
    }
}

/// A connection, until it ends or is refused.
pub(crate) struct Refusing<'a, C: Engine> {
    connection: Option<C>,
    parting: Option<Parting<C::Socket>>,
    state: &'a State,
    dates: &'a Dates,
    /// Nobody else moves to the socket what is written, or waits until the client has read it.
    lingers: bool,
}

impl<'a, C: Engine> Refusing<'a, C> {
    pub(crate) fn new(connection: C, state: &'a State, dates: &'a Dates, lingers: bool) -> Self {
        Self { connection: Some(connection), parting: None, state, dates, lingers }
    }

    pub(crate) fn go_away(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.go_away();
        }
    }
}

impl<C: Engine> Future for Refusing<'_, C> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = self.get_mut();
        if let Some(connection) = &mut this.connection {
            if let Poll::Ready(ended) = Pin::new(connection).poll(cx) {
                return Poll::Ready(ended.map_or_else(Ended::Broken, |()| Ended::Clean));
            }
            let Some(fault) = this.state.due_refusal() else { return Poll::Pending };
            this.state.set_parting();
            let answer = written(fault, this.dates);
            let socket = this.connection.take().map(Engine::socket);
            this.parting = socket.map(|socket| Parting::new(socket, fault, answer, this.lingers));
        }
        let Some(parting) = &mut this.parting else { return Poll::Ready(Ended::Clean) };
        parting.poll(cx).map(|()| Ended::Refused(parting.fault))
    }
}

/// What is left to do for one who is refused.
struct Parting<S: Reset> {
    socket: Counted<S>,
    fault: Fault,
    answer: Bytes,
    lingers: bool,
    /// Runs from the moment when all is said.
    rest: Option<Pin<Box<Sleep>>>,
    left: usize,
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> Parting<S> {
    fn new(socket: Counted<S>, fault: Fault, answer: Bytes, lingers: bool) -> Self {
        Self { socket, fault, answer, lingers, rest: None, left: LINGER_BYTES }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.answer.is_empty() {
            let written = Pin::new(&mut self.socket).poll_write(cx, &self.answer);
            match ready!(written) {
                Ok(bytes @ 1..) => self.answer.advance(bytes),
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        if !self.lingers {
            return Poll::Ready(());
        }
        if self.rest.is_none() {
            // A client that is gone learns nothing, whatever we do.
            let _ = ready!(Pin::new(&mut self.socket).poll_shutdown(cx));
        }
        let rest = self.rest.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if rest.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        self.socket.poll_discard(cx, &mut self.left)
    }
}

/// The refusal as it goes to the wire.
fn written(fault: Fault, dates: &Dates) -> Bytes {
    let mut response = plain(fault.status(), "");
    dates.date(response.headers_mut());
    let text = told(&fault.to_string(), fault);
    let (status, headers) = (fault.status(), response.headers_mut());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len() + 1));
    let mut head = format!("HTTP/1.1 {status}\r\n").into_bytes();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in headers.iter() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(text.as_bytes());
    head.push(b'\n');
    head.into()
}

/// What is wrong, and what may be done about it.
pub(crate) fn told(why: &str, fault: Fault) -> String {
    format!("{why}; {}", fault.advice())
}

/// One more that is refused, for this reason.
pub(crate) fn count(state: &Arc<State>, fault: Fault) {
    state.counters.refused.add(state.protocol());
    state.counters.fault(fault);
}
