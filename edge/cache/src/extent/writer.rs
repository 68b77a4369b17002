//! What writes to a disk: one thread for struck-out heads and the manifest, and a few for the
//! chunks of its rounds, since a disk that is written past the page cache wants more than one
//! at a time.
//!
//! Order, for each chunk: its slot's former chunk leaves the index, the slot is written, the
//! chunk enters the index, the manifest's log hears of it. A kill in between leaves a manifest
//! that names the former chunk and a head that does not: a miss. Nothing is synced but a new
//! manifest, before it takes the place of the old one: a kill loses nothing that was written;
//! a power cut may tear what the kernel had not written back, and the checksums find it.

use std::sync::{Arc, mpsc};

use super::{
    Inner,
    geometry::{Class, PAGE, head_bytes},
    manifest::{Change, Framer, Loaded, Pin},
    media::Way,
    pool::Pool,
    record,
    state::{Placed, Round},
};

/// Where the manifest stands.
#[derive(Debug)]
pub(super) struct Log {
    framer: Framer,
    /// Bytes of the snapshot at its start, and of all.
    snapshot: u64,
    end: u64,
    /// It cannot be appended to; only a new one says what is there.
    broken: bool,
}

impl Log {
    /// Goes on where loading ended; without a manifest, a new one comes first.
    pub(super) fn after(loaded: Option<Loaded>, disk: u128) -> Self {
        let generation = loaded.map_or(0, |loaded| loaded.generation);
        let (snapshot, end) = loaded.map_or((0, 0), |loaded| (loaded.snapshot, loaded.end));
        let broken = loaded.is_none_or(|loaded| !loaded.whole);
        Self { framer: Framer { disk, generation }, snapshot, end, broken }
    }

    /// Appends, or writes the manifest anew where it has grown enough. False when neither
    /// could be done; then the next try starts with a new one.
    pub(super) fn write(&mut self, inner: &Inner, changes: &[Change], pins: &[Pin]) -> bool {
        if !self.broken {
            let frames = self.framer.frames(self.end, changes, pins);
            let end = self.end + frames.len() as u64;
            if end - self.snapshot <= inner.geometry.log_max {
                let device = &inner.device;
                let logged = frames.is_empty()
                    || device
                        .note("append to the manifest", device.media.log(self.end, &frames))
                        .is_some();
                if logged {
                    device.count_written(frames.len() as u64);
                    self.end = end;
                    return true;
                }
            }
        }
        self.broken = self.anew(inner).is_none();
        !self.broken
    }

    /// Writes what is there now as a manifest of the next generation. Others go on meanwhile:
    /// what they change is logged afterwards and holds whatever the snapshot says.
    fn anew(&mut self, inner: &Inner) -> Option<()> {
        const AT_ONCE: usize = 340 * 16;
        let device = &inner.device;
        let framer = Framer { generation: self.framer.generation + 1, ..self.framer };
        device.note("make a manifest", device.media.begin())?;
        let (mut from, mut end) = (Some(0), PAGE);
        let mut write = |changes: &[Change], pins: &[Pin]| {
            let blocks = framer.blocks(end, changes, pins);
            let written = device.media.prepare(end, &blocks);
            end += blocks.len() as u64;
            device.count_written(blocks.len() as u64);
            device.note("write a manifest", written)
        };
        while let Some(slot) = from {
            let (changes, next) = inner.state.lock().space.walk(slot, AT_ONCE);
            if !changes.is_empty() {
                write(&changes, &[])?;
            }
            from = next;
        }
        let pins = inner.state.lock().pins();
        write(&[], &pins)?;
        let title = framer.title(end / PAGE - 1);
        device.note("write a manifest", device.media.prepare(0, &title))?;
        device.note("take over a manifest", device.media.commit())?;
        (self.framer, self.snapshot, self.end) = (framer, end, end);
        Some(())
    }
}

/// Runs until the store is closed or dropped, then lets go of the device.
pub(super) fn run(inner: &Arc<Inner>, writers: Pool, mut log: Log) {
    if log.broken {
        log.write(inner, &[], &[]);
    }
    loop {
        let round = {
            let mut state = inner.state.lock();
            loop {
                if !inner.device.online() {
                    let lost = state.abandon();
                    inner.counts.lost(lost);
                }
                match state.next_round() {
                    Some(round) => break Some(round),
                    None if state.closing => break None,
                    None => inner.wake.wait(&mut state),
                }
            }
        };
        let Some(round) = round else { break };
        work(inner, &writers, &mut log, round);
    }
    drop(writers);
    if inner.device.online() {
        // Saves what eviction learned, and spares the next start the log.
        log.anew(inner);
    }
    inner.end();
}

fn work(inner: &Arc<Inner>, writers: &Pool, log: &mut Log, round: Round) {
    let device = &inner.device;
    for (_, at) in &round.condemned {
        // Four bytes of the magic: no manifest can bring this chunk back.
        if device
            .note("strike out a chunk", device.media.write(*at, &[&[0; 4]], Way::Cached))
            .is_some()
        {
            device.count_written(4);
        }
    }
    let chunks = place_all(inner, writers, round.chunks);
    let changes = {
        let mut state = inner.state.lock();
        for (slot, _) in &round.condemned {
            state.space.release(*slot);
        }
        let mut lost = 0;
        for (placed, written) in chunks {
            lost += u64::from(!state.settle(placed, written));
        }
        inner.counts.lost(lost);
        state.space.changes()
    };
    log.write(inner, &changes, &round.pins);
    inner.state.lock().wrote(round.written);
}

/// Writes the chunks of a round, several at once; with each, whether it is there.
fn place_all(inner: &Arc<Inner>, writers: &Pool, chunks: Vec<Placed>) -> Vec<(Placed, bool)> {
    let (done, all) = mpsc::channel();
    for placed in chunks {
        let (job, done) = (inner.clone(), done.clone());
        let write = move || {
            let written = place(&job, &placed).is_some();
            // The receiver is below.
            let _ = done.send((placed, written));
        };
        // Its queue is longer than a round.
        writers.run(write);
    }
    drop(done);
    all.into_iter().collect()
}

/// Writes a chunk into its slot; `None` when it is not there.
fn place(inner: &Inner, placed: &Placed) -> Option<()> {
    let (slot, at) = placed.slot?;
    let device = &inner.device;
    let data = placed.chunk.data();
    let length = data.len() as u32;
    let class = inner.geometry.class_for(length);
    let mut head = Vec::with_capacity(PAGE as usize);
    record::write(&mut head, inner.disk, slot, &placed.key, length, placed.chunk.sums());
    debug_assert_eq!(head.len(), head_bytes(length));
    if class == Class::FULL {
        head.resize(PAGE as usize, 0);
    }
    // To the end of the page, where the slot has one: a part of a page would have to be read
    // from the device first.
    let end = (head.len() + data.len()) as u64;
    let padded = end.next_multiple_of(PAGE).min(class.slot_bytes());
    let padding = [0; PAGE as usize];
    let padding = &padding[..(padded - end) as usize];
    device.note("write a chunk", device.media.write(at, &[&head, data, padding], class.way()))?;
    device.count_written(padded);
    Some(())
}
