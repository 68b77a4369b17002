//! Brings what the state file has into the table while the node serves.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::watch;

use super::{File, RETRY, Shared, is_broken};
use crate::{
    chunk::ObjectId,
    object::StoredObject,
    table::{Load, Pin, Table},
};

/// Records read at once: less than a millisecond.
const SLICE: usize = 1024;

/// The thread's own.
pub(super) struct Loader {
    pub(super) file: Arc<File>,
    pub(super) shared: Arc<Shared>,
    pub(super) table: Arc<Table>,
    pub(super) done: watch::Sender<bool>,
}

impl Loader {
    pub(super) fn run(self) {
        let mut next = Some(0);
        while let Some(from) = next {
            if self.table.gave_up_loading() {
                tracing::error!(
                    path = %self.file.path().display(),
                    "state file: more was removed than is remembered while it is read; what \
                     was not read yet is forgotten"
                );
                self.shared.mark_all(false);
                break;
            }
            if self.shared.closing.load(Ordering::Relaxed) {
                // What was not read stays in the file, and awaited.
                let _ = self.done.send(true);
                return;
            }
            match self.file.slice(from, SLICE) {
                Ok(slice) => {
                    self.shared.dropped.fetch_add(slice.rotten.len() as u64, Ordering::Relaxed);
                    let mut changed = slice.rotten;
                    for (object, pin) in slice.objects {
                        self.load(&object, pin, &mut changed);
                    }
                    if !changed.is_empty() {
                        self.shared.mark(changed);
                    }
                    if let Some(next) = slice.next {
                        self.table.loaded_below(ObjectId(next));
                    }
                    next = slice.next;
                }
                // A full disk, a failed write beside it: what is there can be read later.
                Err(error) if !is_broken(&error) => {
                    self.shared.errors.fetch_add(1, Ordering::Relaxed);
                    let path = self.file.path().display();
                    tracing::warn!(%path, %error, "state file: not read further yet");
                    // Until it is tried again, or the file is closed.
                    std::thread::park_timeout(RETRY);
                }
                Err(error) => {
                    self.shared.errors.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        path = %self.file.path().display(), %error,
                        "state file: cannot be read to its end; what was not read is forgotten"
                    );
                    self.table.give_up_loading();
                    self.shared.mark_all(true);
                    break;
                }
            }
            // Serving goes first.
            std::thread::yield_now();
        }
        self.table.end_loading();
        // Whoever waited may have gone.
        let _ = self.done.send(true);
    }

    fn load(&self, object: &StoredObject, pin: Option<Pin>, changed: &mut Vec<u128>) {
        let id = object.id.0;
        match self.table.load(object, pin, false) {
            Load::Taken(displaced) => {
                // A pinned one took their place.
                changed.extend(displaced.evicted.iter().map(|gone| gone.id.0));
                self.shared.loaded.fetch_add(1, Ordering::Relaxed);
            }
            Load::Known => {}
            // A smaller bound than last time.
            Load::Full => changed.push(id),
        }
    }
}
