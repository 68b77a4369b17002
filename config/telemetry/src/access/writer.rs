//! The thread that brings lines to the file.

use std::{
    fs::File,
    io::{self, Write},
    mem,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tracing::{error, info};

use super::{Shared, open};

pub(super) struct Writer {
    shared: Arc<Shared>,
    file: File,
    /// Swapped with a shard's buffer, so that neither side allocates.
    spare: Vec<u8>,
    /// The last write failed, perhaps in the middle of a line.
    torn: bool,
    /// Bytes of the file.
    size: u64,
    /// When it was begun, and how old it was then already.
    begun: (Instant, Duration),
}

/// Says that the writer is gone, also when it panics: nobody shall wait for it then.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        let mut orders = self.0.orders.lock();
        orders.close = true;
        orders.finished = u64::MAX;
        self.0.done.notify_all();
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, file: File) -> Self {
        let begun = (Instant::now(), Duration::ZERO);
        let mut writer = Self { shared, file, spare: Vec::new(), torn: false, size: 0, begun };
        writer.begin();
        writer
    }

    /// Looks at a file that was just opened. An empty one gets what its form begins with.
    fn begin(&mut self) {
        let meta = self.file.metadata().ok();
        self.size = meta.as_ref().map_or(0, |meta| meta.len());
        // Where the file system knows no birth, its age counts from now.
        let age = meta.and_then(|meta| meta.created().ok()).and_then(|at| at.elapsed().ok());
        let age = age.filter(|_| self.size > 0).unwrap_or_default();
        self.begun = (Instant::now(), age);
        let header = self.shared.options.format.header();
        if self.size == 0 && self.file.write_all(header.as_bytes()).is_ok() {
            self.size = header.len() as u64;
        }
    }

    /// Makes room for a new file where it is time, or somebody says so.
    fn rotate(&mut self, now: bool) {
        let Some(rotation) = self.shared.options.rotation else { return };
        // What a form begins with is no line.
        let lines = self.size.saturating_sub(self.shared.options.format.header().len() as u64);
        let age = self.begun.0.elapsed() + self.begun.1;
        if !(rotation.is_due(lines, age) || now && lines > 0) {
            return;
        }
        let path = self.shared.path.clone();
        match rotation.turn(&path) {
            Ok(()) => self.reopen(),
            Err(error) => {
                // Not at each round.
                self.begun = (Instant::now(), Duration::ZERO);
                self.size = 0;
                let path = path.display();
                error!(%path, %error, "cannot rotate the access log; writing on to the old file");
            }
        }
    }

    pub(super) fn run(mut self) {
        let _gone = Gone(Arc::clone(&self.shared));
        loop {
            let shared = Arc::clone(&self.shared);
            let mut orders = shared.orders.lock();
            if orders.asked == orders.finished && !shared.nudged.load(Ordering::Relaxed) {
                shared.wake.wait_for(&mut orders, shared.options.flush);
            }
            let (asked, close) = (orders.asked, orders.close);
            let reopen = mem::take(&mut orders.reopen);
            let rotate = mem::take(&mut orders.rotate);
            drop(orders);
            shared.nudged.store(false, Ordering::Relaxed);
            self.round();
            if reopen {
                self.reopen();
            }
            self.rotate(rotate);
            let mut orders = shared.orders.lock();
            orders.finished = asked;
            shared.done.notify_all();
            if close {
                return;
            }
        }
    }

    /// Writes what every shard holds.
    fn round(&mut self) {
        let shared = Arc::clone(&self.shared);
        for shard in &shared.shards {
            let mut buffer = shard.0.lock();
            mem::swap(&mut *buffer, &mut self.spare);
            drop(buffer);
            if !self.spare.is_empty() {
                self.write();
                self.spare.clear();
            }
        }
    }

    fn write(&mut self) {
        let lines = self.spare.iter().filter(|byte| **byte == b'\n').count() as u64;
        let result = self.mend().and_then(|()| self.file.write_all(&self.spare));
        match result {
            Ok(()) => {
                self.size += self.spare.len() as u64;
                self.shared.written.fetch_add(lines, Ordering::Relaxed);
                if mem::take(&mut self.torn) {
                    *self.shared.failing.lock() = None;
                    info!(path = %self.shared.path.display(), "the access log can be written again");
                }
            }
            Err(error) => {
                self.shared.drop_lines(lines);
                // Once for a full disk, not once for each round.
                if !mem::replace(&mut self.torn, true) {
                    *self.shared.failing.lock() = Some(error.to_string());
                    let path = self.shared.path.display();
                    error!(%path, %error, "cannot write the access log; lines are dropped");
                }
            }
        }
    }

    /// Ends a line that a failed write may have left half written.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn { self.file.write_all(b"\n") } else { Ok(()) }
    }

    fn reopen(&mut self) {
        match open(&self.shared.path) {
            Ok(file) => {
                self.file = file;
                self.begin();
            }
            Err(error) => {
                let path = self.shared.path.display();
                error!(%path, %error, "cannot open the access log again; writing on to the old one");
            }
        }
    }
}
