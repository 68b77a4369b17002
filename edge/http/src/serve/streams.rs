//! The streams of one HTTP/2 connection, run by the connection's own task: they are ready
//! together, their frames leave together, and they end with it.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;
use parking_lot::Mutex;

use crate::serve::{
    drive::Ended,
    passage::{Passages, Stream},
};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How often new requests are answered before the connection's frames go out.
const ROUNDS: usize = 4;

/// Where hyper puts a stream that begins.
#[derive(Clone)]
pub(crate) struct Inbox {
    begun: Arc<Mutex<Vec<Task>>>,
    passages: Arc<Passages>,
}

impl Inbox {
    pub(crate) fn new(passages: &Arc<Passages>) -> Self {
        Self { begun: Arc::default(), passages: Arc::clone(passages) }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Inbox {
    fn execute(&self, stream: F) {
        let stream = Stream::new(Box::pin(stream), Arc::clone(&self.passages));
        self.begun.lock().push(Box::pin(stream));
    }
}

/// A connection and its streams. The peer's stream limit bounds them.
pub(crate) struct WithStreams<C> {
    connection: Pin<Box<C>>,
    inbox: Inbox,
    running: FuturesUnordered<Task>,
}

impl<C> WithStreams<C> {
    pub(crate) fn new(connection: C, inbox: Inbox) -> Self {
        Self { connection: Box::pin(connection), inbox, running: FuturesUnordered::new() }
    }

    /// What is done to the connection, done to both.
    pub(crate) fn on_connection<A: FnMut(Pin<&mut C>)>(
        &self,
        mut action: A,
    ) -> impl FnMut(Pin<&mut Self>) + use<C, A> {
        move |both| action(both.get_mut().connection.as_mut())
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        let begun = mem::take(&mut *self.inbox.begun.lock());
        self.running.extend(begun);
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {}
    }
}

impl<C: Future<Output = hyper::Result<()>>> Future for WithStreams<C> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..ROUNDS {
            self.poll_streams(cx);
            if let Poll::Ready(result) = self.connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_or_else(Ended::Broken, |()| Ended::Clean));
            }
            if self.inbox.begun.lock().is_empty() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
