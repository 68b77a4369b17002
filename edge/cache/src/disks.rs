//! Several disks behind one [`ChunkStore`]: each a store of its own and a failure domain.
//!
//! A chunk goes to the disk that [draws](rendezvous) best among those that can be written; it
//! is read from the best that has it, so that what lay elsewhere before a disk came or went
//! is still found. A disk that fails, hangs or turns read-only is given up by a
//! [rule]: its chunks are misses, whoever waits for one is released, and the others go on,
//! down to RAM alone. That is [remembered](register) over a restart until an operator says
//! otherwise. A disk that cannot be used at the start is offline with a reason.
//!
//! Chunks may be removed while a disk is away. It is told of them when it comes back; where
//! nobody knows them any more (after a restart) it comes back empty. So a removed chunk never
//! comes back.

pub mod cause;
pub mod claim;
mod doubts;
pub mod drive;
mod folder;
mod member;
mod operate;
mod register;
mod renamed;
mod rendezvous;
mod rule;
mod scrub;
mod store;
mod watch;
mod wear;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Notify, task::JoinHandle, time::timeout};
use weir_config_lifecycle::Clock;

use self::{
    claim::{Claim, Label, claim},
    member::{Live, Member},
    register::{Entry, Register},
};
use crate::store::ChunkStore;

pub use cause::{Cause, Offline};
pub use doubts::doubts;
pub use drive::Drive;
pub use folder::{Folder, StoreOpener};
pub use operate::{DiskState, DiskView, OperateError};
pub use rendezvous::DiskId;
pub(crate) use rendezvous::point;
pub use rule::{Rule, Space};
pub use wear::Wear;

/// A disk that does not answer for so long when it is first looked at is not used.
const LOOK: Duration = Duration::from_secs(5);
/// Emptying a folder of large files, and laying the marker.
const TAKE: Duration = Duration::from_secs(60);
/// The start waits for stores to open for so long; those that take longer come later.
const OPEN: Duration = Duration::from_secs(60);
/// A store that shall close gets so long, at the end and before its disk is used again.
const CLOSE: Duration = Duration::from_secs(15);
/// Disks that share one list of places (the listing's cursor has 16 bits for them).
const DISKS_MAX: usize = 4096;

/// What all disks share.
pub struct DisksConfig {
    /// This node's name: a disk of another one is left alone.
    pub node: String,
    /// The file beside the state file in which is kept what is offline; `None` forgets it.
    pub register: Option<PathBuf>,
    /// When a disk is given up.
    pub rule: Rule,
    /// Dates.
    pub clock: Arc<dyn Clock>,
    /// Draws the identity of a new disk. Two of one node must not be the same.
    pub draw: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for DisksConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DisksConfig").field("register", &self.register).finish_non_exhaustive()
    }
}

/// All disks of a node.
pub struct Disks {
    inner: Arc<Inner>,
    watch: JoinHandle<()>,
}

/// Shared with the watch and with what runs on its own.
struct Inner {
    config: DisksConfig,
    rule: Rule,
    clock: Arc<dyn Clock>,
    handle: Handle,
    members: Vec<Member>,
    /// As it was found at the start; of disks that are not configured any more, too.
    found: Option<Register>,
    /// Held while it is written: the last to write has seen the last change. What keeps other
    /// processes off it, until the disks are closed.
    writing: Mutex<Option<std::fs::File>>,
    /// Why what is offline is not remembered over a restart; none where it is.
    unkept: Mutex<Option<String>>,
    /// Something failed: the watch shall look now.
    nudge: Notify,
    refused_chunks: AtomicU64,
    refused_bytes: AtomicU64,
    /// Rounds of the watch.
    looks: AtomicU64,
}

/// Why the disks are not opened.
#[derive(Debug, thiserror::Error)]
pub enum DisksError {
    /// Another process of this node runs.
    #[error(
        "the disks written down in {register} are in use by another process; stop it, or give \
         this one a cache.state and disks of its own"
    )]
    InUse {
        /// The register.
        register: PathBuf,
    },
    /// The node had another name.
    #[error(
        "{disk} is a disk of node {was:?}, as {register} knows, and node.name is {is:?} now: under \
         another name this node would lose all that its disks hold. Put node.name back; or, to begin \
         empty under the new name, remove {register} and what lies in the folders of the disks"
    )]
    Renamed {
        /// A disk of the last run.
        disk: PathBuf,
        /// The name in its marker.
        was: String,
        /// The name in the configuration.
        is: String,
        /// The register.
        register: PathBuf,
    },
}

impl Disks {
    /// Opens all disks at once; those that cannot be used are offline with a reason. Their
    /// sizes are their weights. The watch, probes and opening run on the runtime of `handle`.
    pub async fn open(
        config: DisksConfig,
        drives: Vec<(Arc<dyn Drive>, u64)>,
        handle: Handle,
    ) -> Result<Self, DisksError> {
        let mut config = config;
        let (mut lock, mut unkept) = (None, None);
        if let Some(path) = &config.register {
            // Before any disk is touched: it is the other one's.
            match register::lock(path) {
                Ok(Some(held)) => lock = Some(held),
                Ok(None) => return Err(DisksError::InUse { register: path.clone() }),
                Err(error) => {
                    let path = path.display();
                    tracing::error!(%path, %error, "the register of disks cannot be locked: \
                        nothing is written down in it");
                    unkept = Some(format!("{path} cannot be locked: {error}"));
                }
            }
        }
        let found = config.register.as_deref().map(register::read);
        if lock.is_none() {
            config.register = None;
        }
        let found = found.and_then(|found| match found {
            register::Found::Written(register) => Some(register),
            register::Found::Nothing => None,
        });
        let mut drives = drives;
        drives.truncate(DISKS_MAX);
        if let (Some(found), Some(register)) = (&found, &config.register)
            && let Some((disk, was)) = renamed::renamed(&config.node, found, &drives).await
        {
            let (is, register) = (config.node, register.clone());
            return Err(DisksError::Renamed { disk, was, is, register });
        }
        let members = drives.into_iter().map(|(drive, size)| Member::new(size, drive)).collect();
        let inner = Arc::new(Inner {
            rule: config.rule,
            clock: Arc::clone(&config.clock),
            config,
            handle: handle.clone(),
            members,
            found,
            writing: Mutex::new(lock),
            unkept: Mutex::new(unkept),
            nudge: Notify::new(),
            refused_chunks: AtomicU64::new(0),
            refused_bytes: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        });
        let starts = (0..inner.members.len()).map(|index| {
            let inner = Arc::clone(&inner);
            handle.spawn(async move { inner.start(index).await })
        });
        let starts: Vec<_> = starts.collect();
        // Those that take longer are not waited for: their chunks are misses until then.
        drop(handle.spawn(timeout(OPEN, join_all(starts))).await);
        inner.save();
        let watch = handle.spawn(watch::run(Arc::clone(&inner)));
        Ok(Self { inner, watch })
    }
}

impl Inner {
    /// Looks at a disk that is not in use and uses it, or says why not.
    async fn start(self: &Arc<Self>, index: usize) {
        let member = &self.members[index];
        let Ok(_acting) = member.acting.try_lock() else { return };
        let path = member.drive.path().to_owned();
        let inspected = match timeout(LOOK, member.drive.inspect()).await {
            Ok(inspected) => inspected,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        let known = self.found.as_ref().and_then(|register| register.at(&path));
        let recall = || {
            if let Some((id, entry)) = known {
                self.recall(member, id, Some(entry));
                member.mounted.store(entry.mounted, Ordering::Relaxed);
            }
        };
        let found = match inspected {
            Ok(found) => found,
            Err(error) => {
                recall();
                return match known.and_then(|(_, entry)| self.kept(member, entry)) {
                    Some(offline) => self.stays_offline(index, offline),
                    None => self.leave(index, Cause::Unusable, format!("cannot be read: {error}")),
                };
            }
        };
        let drawn = DiskId((self.config.draw)());
        let decided = claim(&path, &found, &self.config.node, self.found.as_ref(), drawn);
        let (id, fresh) = match decided {
            Claim::Use { id, fresh } => (id, fresh),
            Claim::Leave(cause, what) => {
                recall();
                return self.leave(index, cause, what);
            }
        };
        let twin =
            self.members.iter().any(|other| !std::ptr::eq(other, member) && other.id() == Some(id));
        if twin {
            let what = format!("another disk of this node has its identity {id}: it is a copy");
            return self.leave(index, Cause::Foreign, what);
        }
        let entry = self.found.as_ref().and_then(|register| register.disks.get(&id));
        self.recall(member, id, entry);
        member.mounted.store(found.mounted, Ordering::Relaxed);
        if let Some(offline) = entry.and_then(|entry| self.kept(member, entry)) {
            return self.stays_offline(index, offline);
        }
        member.opens();
        if let Err((cause, what)) = self.use_it(index, id, fresh).await {
            self.leave(index, cause, what);
        }
    }

    /// Gives a disk its identity, and what the register knows of it.
    fn recall(&self, member: &Member, id: DiskId, entry: Option<&Entry>) {
        if member.id() == Some(id) {
            return;
        }
        let wear = entry.map(|entry| entry.wear.clone());
        member.name(id, wear.unwrap_or_else(|| Wear::new(self.clock.unix_millis())));
        if entry.is_some_and(|entry| entry.offline.is_some()) {
            member.missed_all();
        }
    }

    /// Why a disk was offline in the last run, where that holds still.
    fn kept(&self, member: &Member, entry: &Entry) -> Option<Offline> {
        let pardoned = member.pardoned.load(Ordering::Relaxed);
        entry.offline.clone().filter(|offline| offline.cause.stays() && !pardoned)
    }

    fn stays_offline(self: &Arc<Self>, index: usize, offline: Offline) {
        tracing::warn!(
            disk = %self.members[index].drive.path().display(),
            cause = %offline.cause,
            what = offline.what,
            "disk stays offline, as it was before the restart"
        );
        self.members[index].goes_offline(offline, self.clock.unix_millis());
    }

    /// A disk that cannot be used.
    fn leave(self: &Arc<Self>, index: usize, cause: Cause, what: String) {
        let since_unix_ms = self.clock.unix_millis();
        self.take_offline(index, None, Offline { cause, what, since_unix_ms });
    }

    /// Takes a disk offline: at once for everybody who waits for it, and in the register. Its
    /// store is closed behind that. Does nothing where `expected` is not in use any more.
    fn take_offline(self: &Arc<Self>, index: usize, expected: Option<&Arc<Live>>, why: Offline) {
        let member = &self.members[index];
        let live = member.live();
        if let Some(expected) = expected
            && !live.is_some_and(|live| Arc::ptr_eq(&live, expected))
        {
            return;
        }
        let same = match member.seat() {
            member::Seat::Offline(before) => (before.cause, &before.what) == (why.cause, &why.what),
            _ => false,
        };
        let (path, cause, what) = (member.drive.path().display(), why.cause, why.what.clone());
        if cause == Cause::Operator {
            tracing::warn!(disk = %path, "disk offline: an operator took it out of use");
        } else if !same {
            tracing::error!(disk = %path, %cause, what, "disk offline: its chunks are misses, \
                and the node serves on without it");
        }
        if let Some(live) = member.goes_offline(why, self.clock.unix_millis()) {
            self.let_go(index, Arc::clone(&live.store));
        }
        if !same {
            self.save();
        }
    }

    /// Closes a store that nobody uses any more, and lets go of its disk.
    fn let_go(&self, index: usize, store: Arc<dyn ChunkStore>) {
        let drive = Arc::clone(&self.members[index].drive);
        let closed = self.handle.spawn(async move {
            // It may hang on a dead disk for as long as the kernel does.
            store.close().await;
            drop(store);
            drive.release();
        });
        let closed = closed.map(drop).boxed().shared();
        *self.members[index].closing.lock() = Some(closed);
    }

    /// Writes the register, beside what runs.
    fn save(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        drop(self.handle.spawn_blocking(move || inner.save_now()));
    }

    fn save_now(&self) {
        let Some(path) = &self.config.register else { return };
        let writing = self.writing.lock();
        if writing.is_none() {
            return;
        }
        let mut register = Register::default();
        for member in &self.members {
            let Some(id) = member.id() else { continue };
            let offline = match member.seat() {
                member::Seat::Offline(offline) => Some(offline),
                _ => None,
            };
            let entry = Entry {
                path: member.drive.path().to_owned(),
                mounted: member.mounted.load(Ordering::Relaxed),
                offline,
                wear: member.wear(),
            };
            register.disks.insert(id, entry);
        }
        let failed = register::write(path, &register).err();
        let path = path.display();
        let now = failed.as_ref().map(|error| format!("{path} cannot be written: {error}"));
        let before = std::mem::replace(&mut *self.unkept.lock(), now);
        match (failed, before) {
            (Some(error), None) => tracing::error!(%path, %error, "the register of disks cannot \
                be written: after a restart, which of them are offline is not known"),
            (None, Some(_)) => tracing::info!(%path, "the register of disks is written again"),
            _ => {}
        }
    }

    /// Takes a disk into use. Where that fails its seat is for the caller to change.
    async fn use_it(
        self: &Arc<Self>,
        index: usize,
        id: DiskId,
        fresh: bool,
    ) -> Result<(), (Cause, String)> {
        let member = &self.members[index];
        let drive = &member.drive;
        let fresh = fresh || member.must_be_fresh();
        let label = Label { id, node: self.config.node.clone() };
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let unusable = |error: io::Error| (Cause::Unusable, format!("cannot be taken: {error}"));
        let taken = timeout(TAKE, drive.take(label, fresh)).await;
        taken.unwrap_or_else(|_| Err(late())).map_err(unusable)?;
        if fresh {
            member.is_fresh();
        }
        let store = drive.open().await.map_err(|why| {
            drive.release();
            (Cause::Unusable, why)
        })?;
        let probe = timeout(LOOK, drive.probe(id)).await.unwrap_or_else(|_| Err(late()));
        match probe {
            Ok(space) => *member.space.lock() = Some(space),
            Err(error) => {
                let cause = match error.kind() {
                    io::ErrorKind::TimedOut => Cause::Slow,
                    _ => Cause::of(&error),
                };
                self.let_go(index, store);
                return Err((cause, format!("its probe failed: {error}")));
            }
        }
        let capacity = store.stats().capacity_bytes;
        member.goes_online(id, store);
        tracing::info!(disk = %drive.path().display(), %id, capacity, fresh, "disk online");
        Ok(())
    }
}

impl fmt::Debug for Disks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.inner.members.iter().map(|member| member.drive.path());
        f.debug_struct("Disks").field("disks", &paths.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[cfg(test)]
mod tests;
