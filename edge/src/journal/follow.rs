//! Whoever watches requests as they end: a bounded queue each. One that does not take its
//! records in time loses the new ones and is told how many; no request waits for it.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;
use weir_config_admin::LogLost;
use weir_config_telemetry::{Entry, access::filter::Filter};

use super::Journal;

/// Of a node.
pub(super) const FOLLOWERS_MAX: usize = 16;
/// Bytes that wait for a follower.
const QUEUE_BYTES: usize = 1 << 20;
/// Longer records are lost.
const LINE_MAX: usize = 16 << 10;
/// Bytes given at once.
const PIECE: usize = 64 << 10;

/// As many follow as may.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

/// One that follows.
#[derive(Debug)]
pub struct Follower {
    pub(super) filter: Filter,
    queue: Mutex<Queue>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Bytes>,
    bytes: usize,
    /// Records that found no room since the last line that is queued.
    lost: u64,
}

impl Follower {
    pub(super) fn new(filter: Filter) -> Self {
        Self { filter, queue: Mutex::default(), news: Notify::new() }
    }

    /// Takes a line where there is room.
    pub(super) fn push(&self, line: &Bytes) {
        let mut queue = self.queue.lock();
        if line.len() > LINE_MAX || queue.bytes + line.len() > QUEUE_BYTES {
            queue.lost += 1;
        } else {
            let missing = lost(&mut queue);
            queue.bytes += missing.len() + line.len();
            queue.lines.extend([missing, line.clone()].into_iter().filter(|one| !one.is_empty()));
        }
        drop(queue);
        self.news.notify_one();
    }

    fn pop(&self) -> Option<Bytes> {
        let mut queue = self.queue.lock();
        let mut piece = BytesMut::new();
        while piece.len() < PIECE {
            let Some(line) = queue.lines.pop_front() else { break };
            queue.bytes -= line.len();
            piece.extend_from_slice(&line);
        }
        if queue.lines.is_empty() {
            piece.extend_from_slice(&lost(&mut queue));
        }
        (!piece.is_empty()).then(|| piece.freeze())
    }
}

/// What says that records are missing, where any are.
fn lost(queue: &mut Queue) -> Bytes {
    match std::mem::take(&mut queue.lost) {
        0 => Bytes::new(),
        lost => ended(serde_json::to_vec(&LogLost { lost })),
    }
}

/// A record as a line.
pub fn line(entry: &Entry<'_>) -> Bytes {
    ended(serde_json::to_vec(entry))
}

fn ended(line: serde_json::Result<Vec<u8>>) -> Bytes {
    let mut line = line.expect("our types have string keys only");
    line.push(b'\n');
    line.into()
}

/// A follower's place; it is given up when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    journal: Arc<Journal>,
    follower: Arc<Follower>,
}

impl Subscription {
    pub(super) fn new(journal: Arc<Journal>, follower: Arc<Follower>) -> Self {
        Self { journal, follower }
    }

    /// The next lines, as soon as there are any.
    pub async fn next(&self) -> Bytes {
        loop {
            if let Some(piece) = self.follower.pop() {
                return piece;
            }
            self.follower.news.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.journal.leave(&self.follower);
    }
}
