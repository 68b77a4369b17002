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
    /// The file has to begin with what its form begins with, and did not yet.
    headless: bool,
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
        let (spare, torn, size, headless) = (Vec::new(), false, 0, false);
        let mut writer = Self { shared, file, spare, torn, size, headless, begun };
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
        self.headless = self.size == 0;
        // On a disk that is full it is tried again with the first line.
        drop(self.head());
    }

    /// Writes what the form begins with, where that is not there yet. What is half written of it is
    /// taken back: a reader of the file goes by its first lines.
    fn head(&mut self) -> io::Result<()> {
        if !self.headless {
            return Ok(());
        }
        let header = self.shared.options.format.header();
        if let Err(error) = self.file.write_all(header.as_bytes()) {
            // A pipe has no length.
            drop(self.file.set_len(0));
            return Err(error);
        }
        (self.size, self.headless) = (header.len() as u64, false);
        Ok(())
    }

    /// Makes room for a new file where it is time, or somebody says so.
    fn rotate(&mut self, now: bool) {
        let Some(rotation) = *self.shared.rotation.lock() else { return };
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
        if self.headless {
            // Lines cannot come before it, so nothing is torn either.
            return self.head();
        }
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

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicBool, AtomicU64},
    };

    use parking_lot::{Condvar, Mutex};

    use super::{
        super::{AccessFormat, AccessOptions, Shard},
        *,
    };

    /// A disk that is full when the file is begun: what the file has to begin with comes with the
    /// first line that it takes.
    #[test]
    fn a_file_begun_on_a_full_disk_has_its_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let options = AccessOptions { format: AccessFormat::W3c, ..AccessOptions::default() };
        let shared = Arc::new(Shared {
            path: path.clone(),
            options,
            shards: vec![Shard::default()].into(),
            nudged: AtomicBool::new(false),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failing: Mutex::default(),
            rotation: Mutex::default(),
            orders: Mutex::default(),
            wake: Condvar::new(),
            done: Condvar::new(),
        });
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writer = Writer::new(Arc::clone(&shared), full);
        let line = |writer: &mut Writer, text: &str| {
            writer.spare.extend_from_slice(text.as_bytes());
            writer.write();
            writer.spare.clear();
        };
        line(&mut writer, "lost\n");
        assert!(writer.torn && shared.failing.lock().is_some());
        // There is room again.
        writer.file = open(&path).unwrap();
        line(&mut writer, "first\n");
        line(&mut writer, "second\n");
        let text = fs::read_to_string(&path).unwrap();
        let header = AccessFormat::W3c.header();
        assert!(header.starts_with("#Version"));
        assert_eq!(text, format!("{header}first\nsecond\n"));
        assert_eq!(writer.size, text.len() as u64);
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 1);
        assert!(shared.failing.lock().is_none());
    }
}
